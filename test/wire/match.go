package wire

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

func decoder(text string) *json.Decoder {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	return d
}

// decode reads a text that is one JSON value and nothing else.
func decode(text string) (v any, err error) {
	d := decoder(text)
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("more than one value")
	}
	return v, nil
}

// Match says where a JSON text differs from a pattern, nil where it does not. What
// the pattern captures is added to values.
func Match(pattern, text string, values map[string]string) error {
	want, err := decode(pattern)
	if err != nil {
		return fmt.Errorf("the pattern is no JSON: %w", err)
	}
	got, err := decode(text)
	if err != nil {
		return fmt.Errorf("the body is no JSON: %w", err)
	}
	return match("", want, got, values)
}

// differs is an error with the place it speaks of.
func differs(at, format string, args ...any) error {
	if at == "" {
		at = "."
	}
	return fmt.Errorf("at %s: %s", at, fmt.Sprintf(format, args...))
}

func match(at string, want, got any, values map[string]string) error {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return differs(at, "got %s, want an object", show(got))
		}
		return matchObject(at, w, g, values)
	case []any:
		g, ok := got.([]any)
		if !ok {
			return differs(at, "got %s, want an array", show(got))
		}
		return matchArray(at, w, g, values)
	case string:
		return matchText(at, w, got, values)
	}
	// Numbers are json.Number: 1.0 and 1 differ, as they do to some clients.
	if want != got {
		return differs(at, "got %s, want %s", show(got), show(want))
	}
	return nil
}

// more, as a key or an element, allows others than those named.
const more = "..."

func matchObject(at string, want, got map[string]any, values map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if key == more {
			continue
		}
		v, ok := got[key]
		if !ok {
			return differs(at+"."+key, "missing in %s", show(got))
		}
		if err := match(at+"."+key, want[key], v, values); err != nil {
			return err
		}
	}
	if _, ok := want[more]; ok {
		return nil
	}
	for key := range got {
		if _, ok := want[key]; !ok {
			return differs(at+"."+key, "got %s, want no such key", show(got[key]))
		}
	}
	return nil
}

// inOrder, as the first element, says that the order of the others counts.
const inOrder = "<in order>"

func matchArray(at string, want, got []any, values map[string]string) error {
	ordered := len(want) > 0 && want[0] == inOrder
	if ordered {
		want = want[1:]
	}
	open := slices.Contains(want, any(more))
	want = slices.DeleteFunc(slices.Clone(want), func(v any) bool { return v == more })
	if len(got) < len(want) || len(got) > len(want) && !open {
		return differs(at, "got %d elements, want %d: %s", len(got), len(want), show(got))
	}
	rest := slices.Clone(got)
	for i, w := range want {
		at := at + "[" + strconv.Itoa(i) + "]"
		if ordered {
			if err := match(at, w, got[i], values); err != nil {
				return err
			}
			continue
		}
		var first error
		found := slices.IndexFunc(rest, func(g any) bool {
			trial := maps.Clone(values)
			err := match(at, w, g, trial)
			if err == nil {
				maps.Copy(values, trial)
			} else if first == nil {
				first = err
			}
			return err == nil
		})
		if found < 0 {
			return fmt.Errorf("no element is %s, such as %w", show(w), first)
		}
		rest = slices.Delete(rest, found, found+1)
	}
	return nil
}

var placeholder = regexp.MustCompile(`^<([a-z ]+?)(?: as ([a-z]+))?>$`)

// matchText compares with a text or what it stands for.
func matchText(at, want string, got any, values map[string]string) error {
	if len(want) > 1 && want[0] == '/' && strings.HasSuffix(want, "/") {
		text, ok := got.(string)
		if !ok || !regexp.MustCompile("^(?:"+want[1:len(want)-1]+")$").MatchString(text) {
			return differs(at, "got %s, want what matches %s", show(got), want)
		}
		return nil
	}
	m := placeholder.FindStringSubmatch(want)
	if m == nil {
		if want != got {
			return differs(at, "got %s, want %s", show(got), show(want))
		}
		return nil
	}
	ok, err := stands(m[1], got, values)
	if err != nil {
		return err
	}
	if !ok {
		return differs(at, "got %s, want %s", show(got), want)
	}
	if m[2] != "" {
		values[m[2]] = fmt.Sprint(got)
	}
	return nil
}

// stands reports whether got is of a kind.
func stands(kind string, got any, values map[string]string) (bool, error) {
	number, isNumber := got.(json.Number)
	if name, ok := strings.CutPrefix(kind, "at least "); ok {
		was, err := strconv.ParseFloat(values[name], 64)
		if err != nil {
			return false, fmt.Errorf("%s was kept as %q, no number", name, values[name])
		}
		f, err := number.Float64()
		return isNumber && err == nil && f >= was, nil
	}
	text, isText := got.(string)
	switch kind {
	case "any":
		return true, nil
	case "number":
		return isNumber, nil
	case "whole number":
		_, err := number.Int64()
		return isNumber && err == nil, nil
	case "positive":
		f, err := number.Float64()
		return isNumber && err == nil && f > 0, nil
	case "now":
		ms, err := number.Int64()
		return isNumber && err == nil && time.Since(time.UnixMilli(ms)).Abs() < time.Minute, nil
	case "text":
		return isText && text != "", nil
	case "any text":
		return isText, nil
	case "true or false":
		_, ok := got.(bool)
		return ok, nil
	case "text or null":
		return isText || got == nil, nil
	case "object":
		_, ok := got.(map[string]any)
		return ok, nil
	case "array":
		_, ok := got.([]any)
		return ok, nil
	}
	return false, fmt.Errorf("<%s> is no placeholder", kind)
}

func show(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	if len(b) > 300 {
		return string(b[:300]) + "…"
	}
	return string(b)
}
