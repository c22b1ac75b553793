package nacos

import (
	"net/http"
	"strconv"
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

// has reports whether a parameter was sent, blank or not.
func (p params) has(name string) bool {
	_, ok := p[name]
	return ok
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
		return "", absent{name}
	}
	return v, nil
}

// flag reads a boolean of an instance: a blank one is true, any word that does
// not say yes is false.
func (p params) flag(names ...string) bool { return p.flagOr(true, names...) }

// flagOr is flag with what a blank one is.
func (p params) flagOr(otherwise bool, names ...string) bool {
	if v := p.value(names...); v != "" {
		return says(v)
	}
	return otherwise
}

func says(v string) bool {
	switch strings.ToLower(v) {
	case "true", "on", "yes", "t", "y":
		return true
	}
	return false
}

// isTrue reads a boolean of a query, for which only true is true.
func (p params) isTrue(name string) bool { return strings.EqualFold(p.value(name), "true") }

// page reads pageNo, at least 1, and pageSize, at least 0; both are required.
func (p params) page() (no, size int, err error) {
	if no, err = p.number("pageNo"); err != nil {
		return 0, 0, err
	}
	size, err = p.number("pageSize")
	return max(no, 1), max(size, 0), err
}

func (p params) number(name string) (int, error) {
	v, err := p.required(name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil {
		return 0, illegal(name, "the value should be a number.")
	}
	return int(n), nil
}

// pageOr reads pageNo and pageSize as versions 2 and 3 do: each has a default,
// and has to be above 0.
func (p params) pageOr(size int) (int, int, error) {
	no, err := p.above0("pageNo", 1)
	if err != nil {
		return 0, 0, err
	}
	size, err = p.above0("pageSize", size)
	return no, size, err
}

func (p params) above0(name string, otherwise int) (int, error) {
	if p.value(name) == "" {
		return otherwise, nil
	}
	n, err := p.number(name)
	if err == nil && n <= 0 {
		err = refuse(http.StatusBadRequest, "Parameter '%s' should be positive", name).as(paramInvalid)
	}
	return n, err
}

// looser reads pageNo and pageSize of calls of old consoles: absent ones have
// defaults, and none is too small.
func (p params) looser(size int) (int, int, error) {
	no := 1
	for name, at := range map[string]*int{"pageNo": &no, "pageSize": &size} {
		if p.value(name) == "" {
			continue
		}
		var err error
		if *at, err = p.number(name); err != nil {
			return 0, 0, err
		}
	}
	return max(no, 1), max(size, 0), nil
}

// bounds returns where a page begins and ends in a list of total entries. Numbers of any
// size are taken: over gRPC they come as clients send them.
func bounds(no, size, total int) (from, to int) {
	if size > 0 && no-1 > total/size {
		return total, total
	}
	from = (no - 1) * size
	return from, from + min(size, total-from)
}
