package syntax

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
)

// jsonPhrases are tried in this order, the narrower ones first.
var jsonPhrases = []phrase{
	{"unexpected end of JSON input", "it ends too early"},
	{"looking for beginning of object key string", "a key in quotes is expected"},
	{"after object key:value pair", "a comma or the end of the object is expected"},
	{"after object key", "a colon is expected after the key"},
	{"after array element", "a comma or the end of the array is expected"},
	{"after top-level value", "something follows the document"},
	{"looking for beginning of value", "a value is expected"},
	{"string escape code", "an escape in a string is unknown"},
	{"hexadecimal character escape", "an escape in a string needs four hexadecimal digits"},
	{"string literal", "a control character in a string is not escaped"},
	{"numeric literal", "a number is not complete"},
	{"in literal", "a word is none of true, false and null"},
}

// checkJSON refuses a key that stands twice in an object too: which of the two
// values counts differs from one parser to the next.
func checkJSON(content []byte) *Error {
	_, err := scanJSON(content)
	return err
}

// scanJSON returns how many values are in a JSON text, or what is wrong with it.
func scanJSON(content []byte) (values int, err *Error) {
	if bytes.HasPrefix(content, []byte("\ufeff")) {
		return 0, wrong("it begins with a byte order mark").at(content, 0)
	}
	// First that it is JSON at all: the scan below relies on it.
	var raw json.RawMessage
	if err := json.Unmarshal(content, &raw); err != nil {
		var syntax *json.SyntaxError
		if !errors.As(err, &syntax) {
			return 0, wrong("it is not JSON")
		}
		if strings.Contains(err.Error(), "max depth") {
			return 0, tooDeep()
		}
		at := int(syntax.Offset) - 1 // it counts the byte that is wrong
		if strings.HasPrefix(err.Error(), "unexpected end") {
			at++
		}
		return 0, wrong(saying(jsonPhrases, err.Error(), "it is not JSON")).at(content, at)
	}
	var open []keys
	for i, text := 0, string(content); i < len(text); {
		switch text[i] {
		case '{', '[':
			if len(open) == MaxDepth {
				return 0, tooDeep().at(content, i)
			}
			open = append(open, keys{})
			values++
			i++
		case '}', ']':
			open = open[:len(open)-1]
			i++
		case '"':
			end := endOfString(text, i)
			if rest := strings.TrimLeft(text[end:], " \t\r\n"); !strings.HasPrefix(rest, ":") {
				values++
			} else if !open[len(open)-1].add(unquoted(text[i:end])) {
				return 0, wrong("a key stands twice in its object").at(content, i)
			}
			i = end
		case ' ', '\t', '\r', '\n', ',', ':':
			i++
		default:
			values++
			for i < len(text) && !strings.ContainsRune(" \t\r\n,]}", rune(text[i])) {
				i++
			}
		}
	}
	return values, nil
}

// endOfString returns where the string that begins at i ends, behind its quote.
func endOfString(text string, i int) int {
	for i++; text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i + 1
}

func unquoted(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s[1 : len(s)-1]
	}
	var key string
	_ = json.Unmarshal([]byte(s), &key) // it is a string of a valid text
	return key
}

// keys are the keys of one object so far: few, in nearly all objects.
type keys struct {
	few  []string
	many map[string]bool
}

// add reports whether key was not there before.
func (k *keys) add(key string) bool {
	if k.many[key] || slices.Contains(k.few, key) {
		return false
	}
	if len(k.few) < 8 {
		k.few = append(k.few, key)
		return true
	}
	if k.many == nil {
		k.many = make(map[string]bool)
	}
	k.many[key] = true
	return true
}

func jsonValues(content []byte) ([]any, *Error) {
	if n, err := scanJSON(content); err != nil {
		return nil, err
	} else if n > MaxValues {
		return nil, tooManyValues(MaxValues)
	}
	dec := json.NewDecoder(bytes.NewReader(content))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, wrong("it is not JSON")
	}
	return []any{withNumbers(v)}, nil
}

// withNumbers returns v with its numbers as number has them.
func withNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		return number(v.String())
	case []any:
		for i := range v {
			v[i] = withNumbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = withNumbers(v[k])
		}
	}
	return v
}

// number returns a number as nearly all programs read it: an integer of 64 bits,
// or else a float. To take it as exact as it is written would be a trap: one of
// twelve characters can have a billion digits.
func number(text string) any {
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return i
	}
	f, _ := strconv.ParseFloat(text, 64) // infinite, when it is out of range
	return float(f)
}

func float(f float64) any {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case f == math.Trunc(f) && math.Abs(f) < 1<<53:
		return int64(f)
	}
	return max(-math.MaxFloat64, min(f, math.MaxFloat64))
}
