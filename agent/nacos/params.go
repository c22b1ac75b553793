package nacos

import (
	"net/http"
	"strconv"
	"strings"
)

// maxParams bounds the parameters of one call.
const maxParams = 10000

// params are the parameters of a call by name, decoded and untrimmed.
//
// They are read as leniently as the servers read them: a text is split at & and
// at the first =, an escape that is none and a ; stand for themselves, and the
// bytes are UTF-8 whatever charset is declared.
type params map[string]string

// add reads the pairs of one encoded text. A name that is there already keeps
// its value: the query is added before the body, and wins.
func (p params) add(encoded string) error {
	for pair := range strings.SplitSeq(encoded, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name = decode(name)
		if _, there := p[name]; there {
			continue
		}
		if len(p) == maxParams {
			return refuse(http.StatusBadRequest, "more than %d parameters", maxParams)
		}
		p[name] = decode(value)
	}
	return nil
}

// decode undoes form encoding, leaving what is no escape as it is.
func decode(s string) string {
	i := strings.IndexAny(s, "%+")
	if i < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	b.WriteString(s[:i])
	for ; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '+':
			c = ' '
		case c == '%' && i+2 < len(s):
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				c = byte(n)
				i += 2
			}
		}
		b.WriteByte(c)
	}
	return b.String()
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
