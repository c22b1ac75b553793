package nacos

import (
	"net/http"
	"strings"
)

// namePattern is what a client of version 3 watches: namespace>>group>>name, where group and
// name may begin with * or end with it, or both.
type namePattern struct {
	text             string // as sent
	namespace        string
	group, name      string
	anyGroup, anyOne bool // group and name are * alone
}

// parsePattern reads a pattern.
func parsePattern(text string) (namePattern, error) {
	parts := strings.Split(text, ">>")
	if len(parts) != 3 || parts[1] == "" || parts[2] == "" || len(text) > 1024 {
		return namePattern{}, refuse(http.StatusBadRequest, "groupKeyPattern is not namespace>>group>>name: %s", shortened(text))
	}
	return namePattern{text, folded(parts[0]), parts[1], parts[2], parts[1] == "*", parts[2] == "*"}, nil
}

// matches reports whether a name in a group of a namespace is meant.
func (p namePattern) matches(namespace, group, name string) bool {
	return namespace == p.namespace && (p.anyGroup || like(p.group, group)) && (p.anyOne || like(p.name, name))
}

// within returns the group that all that is meant is in, empty: more than one.
func (p namePattern) within() string {
	if strings.Contains(p.group, "*") {
		return ""
	}
	return p.group
}

// like reports whether a text is what a pattern of x, x*, *x or *x* means.
func like(pattern, text string) bool {
	rest, open := strings.CutPrefix(pattern, "*")
	part, on := strings.CutSuffix(rest, "*")
	switch {
	case open && on:
		return strings.Contains(text, part)
	case open:
		return strings.HasSuffix(text, part)
	case on:
		return strings.HasPrefix(text, part)
	}
	return text == pattern
}
