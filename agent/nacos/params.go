package nacos

import (
	"net/http"
	"strings"

	"github.com/musterhq/muster/internal/nacoswire"
)

// params are the parameters of a call by name, decoded and untrimmed.
type params map[string]string

// add reads the pairs of one encoded text. A name that is there already keeps
// its value: the query is added before the body, and wins.
func (p params) add(encoded string) error {
	if !nacoswire.AddParams(p, encoded) {
		return refuse(http.StatusBadRequest, "more than %d parameters", nacoswire.MaxParams)
	}
	return nil
}

// value returns the first of the named parameters that is not blank, trimmed.
func (p params) value(names ...string) string {
	for _, name := range names {
		if v := strings.TrimSpace(p[name]); v != "" {
			return v
		}
	}
	return ""
}

// or returns a parameter trimmed, or what stands for a blank one.
func (p params) or(name, otherwise string) string {
	if v := p.value(name); v != "" {
		return v
	}
	return otherwise
}

// required returns a parameter of a naming call that must not be blank.
func (p params) required(name string) (string, error) {
	v := p.value(name)
	if v == "" {
		return "", refuse(http.StatusBadRequest, "Param '%s' is required.", name)
	}
	return v, nil
}

// flag reads a boolean of an instance: a blank one is true, any word that does
// not say yes is false.
func (p params) flag(names ...string) bool {
	switch v := p.value(names...); strings.ToLower(v) {
	case "", "true", "on", "yes", "t", "y":
		return true
	}
	return false
}
