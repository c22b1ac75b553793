package syntax

import (
	"errors"
	"reflect"
	"regexp"
	rx "regexp/syntax"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// A small schema can ask for work without end: references that fork at every
// level, long lists for every value, patterns for every key. So what it asks for
// is counted in steps of about a microsecond.
const (
	maxSteps   = 500_000
	maxPattern = 1 << 10 // bytes
	maxProgram = 100_000 // instructions of all patterns
)

// effort is what a judgement may still cost.
type effort struct {
	parts, steps, price int
	most                int // steps of one judgement
}

// renew begins a judgement of a document of some depth. There each part of the
// effort costs more: the library looks back for circles, and an error holds its
// path. It also calls itself for each part of the schema at each level, and a
// stack that is too long ends a process: this keeps it below 70,000 parts.
func (e *effort) renew(depth int) {
	e.steps, e.price = e.most, 1+depth/8+e.parts*depth/5000
}

// tired is what spend panics with when nothing is left: the library has no other
// way out of a validation.
type tired struct{}

func (e *effort) spend(steps int) {
	if e.steps -= steps * e.price; e.steps < 0 {
		panic(tired{})
	}
}

// errNotListed is the error of a value that a schema does not list.
var errNotListed = errors.New("not listed")

// meter makes s spend what a value costs before the value is held to it. The
// format is where the library looks first; what it would do before, enum and
// const, is done here as well, because it is costly there.
func (e *effort) meter(s *jsonschema.Schema) {
	e.parts++
	var listed [][]any
	if s.Enum != nil {
		listed = append(listed, s.Enum.Values)
	}
	if s.Const != nil {
		listed = append(listed, []any{*s.Const})
	}
	s.Enum, s.Const = nil, nil
	asks := 1 + len(s.PatternProperties) + (len(s.Required)+len(s.Dependencies)+len(s.DependentRequired)+len(s.DependentSchemas))/8
	for _, r := range s.DependentRequired {
		asks += len(r) / 8
	}
	// With unevaluatedProperties each of these begins with a list of all keys.
	forks := 1 + len(s.AllOf) + len(s.AnyOf) + len(s.OneOf) + len(s.DependentSchemas) + len(s.Dependencies)
	format, unique := s.Format, s.UniqueItems
	metered := &jsonschema.Format{Validate: func(v any) error {
		e.spend(asks + forks*width(v))
		if unique {
			e.spendAll(v)
		}
		for _, values := range listed {
			e.spend(len(values) / 16)
			if !e.among(v, values) {
				return errNotListed
			}
		}
		if format != nil {
			return format.Validate(v)
		}
		return nil
	}}
	if format != nil {
		metered.Name = format.Name
	}
	s.Format = metered
}

// width returns the cost of looking at each part of v once.
func width(v any) int {
	switch v := v.(type) {
	case map[string]any:
		return len(v)
	case []any:
		return len(v)
	case string:
		return len(v) / 64
	}
	return 0
}

// spendAll spends what comparing all parts of v with each other costs.
func (e *effort) spendAll(v any) {
	e.spend(10 + width(v))
	switch v := v.(type) {
	case map[string]any:
		for _, part := range v {
			e.spendAll(part)
		}
	case []any:
		for _, part := range v {
			e.spendAll(part)
		}
	}
}

func depthOf(v any) int {
	deepest := 0
	switch v := v.(type) {
	case map[string]any:
		for _, part := range v {
			deepest = max(deepest, 1+depthOf(part))
		}
	case []any:
		for _, part := range v {
			deepest = max(deepest, 1+depthOf(part))
		}
	}
	return deepest
}

func (e *effort) among(v any, values []any) bool {
	for _, other := range values {
		switch other.(type) {
		case map[string]any, []any:
			e.spend(1 + width(other))
			if reflect.DeepEqual(v, other) {
				return true
			}
		default:
			switch v.(type) {
			case map[string]any, []any: // no comparing them with ==
			default:
				if v == other {
					return true
				}
			}
		}
	}
	return false
}

// pattern is a regular expression that spends what it costs.
type pattern struct {
	*regexp.Regexp
	size   int // instructions
	effort *effort
}

func (p pattern) MatchString(s string) bool {
	p.effort.spend(1 + len(s)*p.size/128)
	return p.Regexp.MatchString(s)
}

// patterns returns the engine of one schema.
func (e *effort) patterns() jsonschema.RegexpEngine {
	total := 0
	return func(text string) (jsonschema.Regexp, error) {
		if len(text) > maxPattern {
			return nil, errors.New("is too long")
		}
		parsed, err := rx.Parse(text, rx.Perl)
		if err != nil {
			return nil, errors.New("is not a regular expression of RE2")
		}
		program, err := rx.Compile(parsed.Simplify())
		if err != nil {
			return nil, err
		}
		if total += len(program.Inst); total > maxProgram {
			return nil, errors.New("is too much, with all the others")
		}
		compiled, err := regexp.Compile(text)
		if err != nil {
			return nil, err
		}
		return pattern{compiled, len(program.Inst), e}, nil
	}
}
