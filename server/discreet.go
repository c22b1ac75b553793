package server

import (
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// longestQuoted is how many bytes of what was sent an error repeats.
const longestQuoted = 256

// discreet takes out of an error what it repeats of a body, but for short values
// of fields that are no content: a content is secret, and errors are logged.
func discreet(_ huma.Context, _ string, answer any) (any, error) {
	e, ok := answer.(*huma.ErrorModel)
	if !ok {
		return answer, nil
	}
	for _, d := range e.Errors {
		if d.Location == "body" || strings.HasSuffix(d.Location, ".content") || !short(d.Value) {
			d.Value = nil
		}
	}
	return e, nil
}

func short(value any) bool {
	switch value := value.(type) {
	case map[string]any, []any, []byte:
		return false
	case string:
		return len(value) <= longestQuoted
	}
	return true
}
