package syntax

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// unmet returns the first demand of a schema, in the order of paths, that was
// not met, and how many more there are.
func unmet(v *jsonschema.ValidationError) *Error {
	found := demands(v, nil)
	first := slices.MinFunc(found, func(a, b *jsonschema.ValidationError) int {
		if n := slices.Compare(a.InstanceLocation, b.InstanceLocation); n != 0 {
			return n
		}
		return strings.Compare(says(a.ErrorKind), says(b.ErrorKind))
	})
	e := wrong(says(first.ErrorKind))
	e.Path = pointer(first.InstanceLocation)
	if more := len(found) - 1; more > 0 {
		e.Reason += " (and " + strconv.Itoa(more) + " more)"
	}
	return e
}

// demands appends to found what v is about: its causes, where all of them must
// be met, or else v itself.
func demands(v *jsonschema.ValidationError, found []*jsonschema.ValidationError) []*jsonschema.ValidationError {
	switch v.ErrorKind.(type) {
	case *kind.Schema, *kind.Group, *kind.AllOf, *kind.Reference:
		for _, c := range v.Causes {
			found = demands(c, found)
		}
		if len(v.Causes) > 0 {
			return found
		}
	}
	return append(found, v)
}

// pointer returns the JSON pointer of a path, shortened at both of its ends.
func pointer(path []string) string {
	if len(path) == 0 {
		return "/"
	}
	var b strings.Builder
	for i, key := range path {
		if i == 16 {
			b.WriteString("/…")
			break
		}
		b.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(short(key)))
	}
	return b.String()
}

// short returns a key or a word of a schema, of which any length and any
// character may come, for one line.
func short(s string) string {
	const limit = 100
	if utf8.RuneCountInString(s) > limit {
		s = string([]rune(s)[:limit]) + "…"
	}
	quoted := strconv.Quote(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// list returns up to five names.
func list(names []string) string {
	names = slices.Sorted(slices.Values(names))
	var quoted []string
	for i, n := range names {
		if i == 5 {
			quoted = append(quoted, "…")
			break
		}
		quoted = append(quoted, `"`+short(n)+`"`)
	}
	return strings.Join(quoted, ", ")
}

// says returns what a demand is, by words of the schema and keys of the document,
// never by a value. The messages of the library hold values.
func says(demand jsonschema.ErrorKind) string {
	number := strconv.Itoa
	switch k := demand.(type) {
	case *kind.Type:
		return "want " + strings.Join(k.Want, " or ") + ", got " + k.Got
	case *kind.Format:
		if errors.Is(k.Err, errNotListed) {
			return "the value is none that the schema lists"
		}
		return "the value is no " + short(k.Want)
	case *kind.Required:
		return "misses " + list(k.Missing)
	case *kind.AdditionalProperties:
		return "has what the schema does not know: " + list(k.Properties)
	case *kind.Dependency:
		return `with "` + short(k.Prop) + `" it needs ` + list(k.Missing)
	case *kind.DependentRequired:
		return `with "` + short(k.Prop) + `" it needs ` + list(k.Missing)
	case *kind.PropertyNames:
		return `the key "` + short(k.Property) + `" is not allowed`
	case *kind.FalseSchema:
		return "nothing may stand here"
	case *kind.AdditionalItems:
		return "has " + number(k.Count) + " items too many"
	case *kind.MinItems:
		return "want at least " + number(k.Want) + " items"
	case *kind.MaxItems:
		return "want at most " + number(k.Want) + " items"
	case *kind.UniqueItems:
		return "items " + number(k.Duplicates[0]) + " and " + number(k.Duplicates[1]) + " are equal"
	case *kind.MinProperties:
		return "want at least " + number(k.Want) + " keys"
	case *kind.MaxProperties:
		return "want at most " + number(k.Want) + " keys"
	case *kind.MinLength:
		return "want at least " + number(k.Want) + " characters"
	case *kind.MaxLength:
		return "want at most " + number(k.Want) + " characters"
	case *kind.Pattern:
		return "the value does not match " + short(k.Want)
	case *kind.Minimum:
		return "want " + short(k.Want.RatString()) + " or more"
	case *kind.Maximum:
		return "want " + short(k.Want.RatString()) + " or less"
	case *kind.ExclusiveMinimum:
		return "want more than " + short(k.Want.RatString())
	case *kind.ExclusiveMaximum:
		return "want less than " + short(k.Want.RatString())
	case *kind.MultipleOf:
		return "want a multiple of " + short(k.Want.RatString())
	case *kind.Not:
		return "fits what the schema rules out (not)"
	}
	return "does not fit " + short(strings.Join(demand.KeywordPath(), "/"))
}
