package nacos

import (
	"regexp"
	"regexp/syntax"
	"strings"
)

// Bounds of an expression: matching takes time with its length, and with what its
// repetitions stand for. It is tried on every name there is.
const (
	maxFragment = 1024 // bytes
	maxProgram  = 500  // instructions
)

// fragment returns what tells whether an expression matches anywhere in a text;
// all match when the parameter is blank. With loose, a text that is none, such as
// *pay*, is sought as it is, without stars.
func fragment(c *call, name string, loose bool) (func(string) bool, error) {
	v := c.value(name)
	if v == "" {
		return func(string) bool { return true }, nil
	}
	if len(v) > maxFragment {
		return nil, tooLong(name, maxFragment)
	}
	parsed, err := syntax.Parse(v, syntax.Perl)
	switch {
	case err != nil && loose:
		v = strings.Trim(v, "*")
		return func(s string) bool { return strings.Contains(s, v) }, nil
	case err != nil:
		return nil, illegal(name, "it should be a regular expression.")
	}
	if program, err := syntax.Compile(parsed.Simplify()); err != nil || len(program.Inst) > maxProgram {
		return nil, illegal(name, "it repeats too much.")
	}
	expr, err := regexp.Compile(v)
	if err != nil {
		return nil, illegal(name, "it should be a regular expression.")
	}
	return expr.MatchString, nil
}
