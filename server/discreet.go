package server

import (
	"errors"
	"net/http"
	"regexp"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

const (
	// longestQuoted is how many bytes of what was sent an error repeats.
	longestQuoted = 256
	// longestMessage is how long what an error says of one thing may be: a parser repeats in
	// it what it cannot read, such as a number of a million digits.
	longestMessage = 512
)

// secretField is where a body holds what is secret.
var secretField = regexp.MustCompile(`\.(content|password|current|code|verifier|nonce)$|\.headers\.`)

// discreet takes out of an error what it repeats of a body, but for short values
// of fields that are no secret: errors are logged.
func discreet(_ huma.Context, _ string, answer any) (any, error) {
	e, ok := answer.(*huma.ErrorModel)
	if !ok {
		return answer, nil
	}
	for _, d := range e.Errors {
		if d.Location == "body" || secretField.MatchString(d.Location) || !short(d.Value) {
			d.Value = nil
		}
		if len(d.Message) > longestMessage {
			d.Message = strings.ToValidUTF8(d.Message[:longestQuoted], "") + "…"
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

// unreadable is what huma says of a body that breaks off, or is malformed on the way. It
// calls that a failure of the server, which anybody could then have counted and alarmed of.
const unreadable = "cannot read request body"

func init() {
	fault := huma.NewErrorWithContext
	huma.NewErrorWithContext = func(ctx huma.Context, status int, text string, errs ...error) huma.StatusError {
		if status == http.StatusInternalServerError && text == unreadable {
			status = http.StatusBadRequest
			if _, large := errors.AsType[*http.MaxBytesError](errors.Join(errs...)); large {
				status = http.StatusRequestEntityTooLarge
			}
		}
		return fault(ctx, status, text, errs...)
	}
}
