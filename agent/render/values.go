package render

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/musterhq/muster/config/syntax"
)

// Bounds of a text that is parsed.
const (
	maxParsed = 4 << 20
	maxValues = 1 << 20 // of the values in it, counted as often as they show
)

// parsed returns decode with its bounds. Errors say what is wrong without a
// word of the text, which may be secret.
func (r *run) parsed(decode func(string) (any, error)) func(string) (any, error) {
	return func(text string) (any, error) {
		if _, err := r.step(); err != nil {
			return nil, err
		}
		if len(text) > maxParsed {
			return nil, fmt.Errorf("the text is longer than %d bytes", maxParsed)
		}
		v, err := decode(text)
		if err != nil {
			return nil, err
		}
		return v, small(v)
	}
}

func decodeJSON(text string) (v any, err error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber() // as they are written, however many digits
	if err = d.Decode(&v); err == nil {
		if _, err = d.Token(); errors.Is(err, io.EOF) {
			return counted(v), nil
		}
	}
	offset := d.InputOffset()
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = syntax.Offset
	}
	return nil, fmt.Errorf("is no JSON, line %d", 1+strings.Count(text[:min(int(offset), len(text))], "\n"))
}

// counted makes whole numbers of JSON what templates can compare. Longer ones
// and fractions stay as they are written.
func counted(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
	case map[string]any:
		for k, e := range v {
			v[k] = counted(e)
		}
	case []any:
		for i, e := range v {
			v[i] = counted(e)
		}
	}
	return v
}

func decodeYAML(text string) (any, error) { return syntax.YAML([]byte(text)) }

// decodeProperties reads the format of Java's properties, but for escapes of
// characters by number.
func decodeProperties(text string) (any, error) {
	all := make(map[string]any)
	var whole strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimLeft(strings.TrimRight(line, "\r\n"), " \t\f")
		if whole.Len() == 0 && (line == "" || line[0] == '#' || line[0] == '!') {
			continue
		}
		if continued(line) {
			whole.WriteString(line[:len(line)-1])
			continue
		}
		whole.WriteString(line)
		key, value := property(whole.String())
		all[key] = value
		whole.Reset()
	}
	if whole.Len() > 0 {
		key, value := property(whole.String())
		all[key] = value
	}
	return all, nil
}

// continued reports whether line ends in a backslash that stands for itself.
func continued(line string) bool {
	return (len(line)-len(strings.TrimRight(line, `\`)))%2 == 1
}

// property cuts a line at its first =, : or white space that is not escaped.
func property(line string) (key, value string) {
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case '=', ':', ' ', '\t', '\f':
			rest := strings.TrimLeft(line[i:], " \t\f")
			if rest != "" && (rest[0] == '=' || rest[0] == ':') {
				rest = strings.TrimLeft(rest[1:], " \t\f")
			}
			return unescaped(line[:i]), unescaped(rest)
		}
	}
	return unescaped(line), ""
}

var escapes = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\t`, "\t", `\r`, "\r", `\:`, ":", `\=`, "=", `\ `, " ", `\#`, "#", `\!`, "!")

func unescaped(s string) string { return escapes.Replace(s) }

// errMissing is met by get where nothing is at a path.
var errMissing = errors.New("is not there, and get was told no default")

// get returns what is at a path in v: get PATH [DEFAULT] VALUE. A part of the
// path is a key or, in a list, a number. A key that holds dots is found too.
func get(path string, args ...any) (any, error) {
	if len(args) == 0 || len(args) > 2 {
		return nil, errors.New("get takes a path, a default if need be, and a value")
	}
	if found, ok := at(args[len(args)-1], path); ok {
		return found, nil
	}
	if len(args) == 2 {
		return args[0], nil
	}
	return nil, fmt.Errorf("%q %w", path, errMissing)
}

func at(v any, path string) (any, bool) {
	if path == "" {
		return v, v != nil
	}
	key, rest, _ := strings.Cut(path, ".")
	switch v := v.(type) {
	case map[string]any:
		if found, ok := v[path]; ok {
			return found, found != nil
		}
		if inner, ok := v[key]; ok {
			return at(inner, rest)
		}
	case []any:
		if i, err := strconv.Atoi(key); err == nil && i >= 0 && i < len(v) {
			return at(v[i], rest)
		}
	}
	return nil, false
}

// fallback returns v, or by where v is nothing or an empty text.
func fallback(by, v any) any {
	if v == nil || v == "" {
		return by
	}
	return v
}

// small returns an error when v has too many values or too much text. YAML can
// say with a few words that the same value is there a million times.
func small(v any) error {
	if left := count(v, maxValues); left < 0 {
		return errors.New("holds too many values")
	}
	return nil
}

func count(v any, left int) int {
	left--
	switch v := v.(type) {
	case string:
		left -= len(v) / 64
	case map[string]any:
		for k, e := range v {
			if left = count(e, left-len(k)/64); left < 0 {
				return left
			}
		}
	case []any:
		for _, e := range v {
			if left = count(e, left); left < 0 {
				return left
			}
		}
	}
	return left
}

// sizeOf returns about how much text a value makes; what shows twice counts
// twice.
func sizeOf(v any) int {
	switch v := v.(type) {
	case string:
		return len(v)
	case json.Number:
		return len(v)
	case map[string]any:
		n := 8
		for k, e := range v {
			n += len(k) + sizeOf(e)
		}
		return n
	case []any:
		n := 8
		for _, e := range v {
			n += sizeOf(e)
		}
		return n
	}
	return 24
}
