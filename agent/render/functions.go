package render

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/template"
	"unicode"

	"github.com/goccy/go-yaml"
)

const (
	configName = "config"
	stepName   = "step"
	tickName   = "tick"
)

// functions returns what a template may call. Those of text/template that make
// text are among them, so that they are bounded too, or have nothing to do here.
func (r *run) functions() template.FuncMap {
	return template.FuncMap{
		stepName:   r.step,
		tickName:   r.tick,
		configName: r.config,

		"json":       r.parsed(decodeJSON),
		"yaml":       r.parsed(decodeYAML),
		"properties": r.parsed(decodeProperties),
		"get":        get,
		"default":    fallback,

		"toJSON":  func(v any) (string, error) { return r.encoded(v, encodeJSON) },
		"toYAML":  func(v any) (string, error) { return r.encoded(v, encodeYAML) },
		"quote":   func(s string) (string, error) { return r.made(len(s), func() string { return quoted(s) }) },
		"trim":    strings.TrimSpace,
		"lower":   func(s string) (string, error) { return r.made(len(s), func() string { return strings.ToLower(s) }) },
		"upper":   func(s string) (string, error) { return r.made(len(s), func() string { return strings.ToUpper(s) }) },
		"indent":  r.indent,
		"replace": r.replace,
		"split":   r.split,
		"join":    r.join,
		"base64": func(s string) (string, error) {
			return r.made(2*len(s), func() string { return base64.StdEncoding.EncodeToString([]byte(s)) })
		},
		"unbase64": r.unbase64,

		"print":    func(args ...any) (string, error) { return r.printed(fmt.Sprint, 1, args) },
		"println":  func(args ...any) (string, error) { return r.printed(fmt.Sprintln, 1, args) },
		"printf":   r.printf,
		"html":     absent("html"),
		"js":       absent("js"),
		"urlquery": absent("urlquery"),
		"call":     absent("call"),
	}
}

func absent(name string) func(...any) (string, error) {
	return func(...any) (string, error) { return "", errors.New(name + " is not to be had here") }
}

// config returns the content of a document: config DATAID [GROUP [NAMESPACE]].
func (r *run) config(words ...string) (string, error) {
	if len(words) == 0 || len(words) > 3 {
		return "", errors.New("config takes a data id, a group and a namespace, the last two if need be")
	}
	if _, err := r.step(); err != nil {
		return "", err
	}
	return r.lookup(documentOf(words))
}

// made returns what f makes, at most size bytes, unless that is too much.
func (r *run) made(size int, f func() string) (string, error) {
	if _, err := r.step(); err != nil {
		return "", err
	}
	if r.text+size > maxText {
		return "", errLong
	}
	return r.spend(f())
}

func (r *run) encoded(v any, encode func(any) (string, error)) (string, error) {
	var failed error
	s, err := r.made(sizeOf(v), func() (text string) {
		text, failed = encode(v)
		return text
	})
	return s, errors.Join(err, failed)
}

// printed returns what print makes of args, each of which it may show so often.
func (r *run) printed(show func(...any) string, often int, args []any) (string, error) {
	return r.made(often*sizeOf(args), func() string { return show(args...) })
}

// printf refuses widths: a short format could else ask for much text.
func (r *run) printf(format string, args ...any) (string, error) {
	digits := 0
	for _, c := range format {
		if digits++; c < '0' || c > '9' {
			digits = 0
		}
		if digits > 3 || c == '*' {
			return "", errors.New("printf takes widths of at most three digits")
		}
	}
	return r.printed(func(args ...any) string { return fmt.Sprintf(format, args...) }, strings.Count(format, "%"), args)
}

func (r *run) indent(n int, s string) (string, error) {
	if n < 0 || n > 100 {
		return "", errors.New("indent takes 0 to 100")
	}
	return r.made(len(s)+n*(1+strings.Count(s, "\n")), func() string {
		var b strings.Builder
		for line := range strings.Lines(s) {
			if line != "\n" {
				b.WriteString(strings.Repeat(" ", n))
			}
			b.WriteString(line)
		}
		return b.String()
	})
}

func (r *run) replace(old, by, s string) (string, error) {
	return r.made(len(s)+len(by)*strings.Count(s, old), func() string { return strings.ReplaceAll(s, old, by) })
}

func (r *run) split(sep, s string) ([]any, error) {
	if _, err := r.made(16*strings.Count(s, sep), func() string { return "" }); err != nil {
		return nil, err
	}
	var all []any
	for part := range strings.SplitSeq(s, sep) {
		all = append(all, part)
	}
	return all, nil
}

func (r *run) join(sep string, list []any) (string, error) {
	return r.made(sizeOf(list)+len(sep)*len(list), func() string {
		words := make([]string, len(list))
		for i, v := range list {
			words[i] = fmt.Sprint(v)
		}
		return strings.Join(words, sep)
	})
}

func (r *run) unbase64(s string) (string, error) {
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(s))
	if err != nil {
		return "", errors.New("is not base64")
	}
	return r.spend(string(b))
}

// quoted returns s as JSON, YAML and most languages read it.
func quoted(s string) string {
	text, _ := encodeJSON(s) // a text has a JSON form
	return text
}

func encodeJSON(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", errors.New("has no JSON form")
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

func encodeYAML(v any) (string, error) {
	b, err := yaml.MarshalWithOptions(v,
		yaml.CustomMarshaler(func(n json.Number) ([]byte, error) { return []byte(n), nil }),
		yaml.CustomMarshaler(yamlString))
	if err != nil {
		return "", errors.New("has no YAML form")
	}
	return strings.TrimSuffix(string(b), "\n"), nil
}

// yamlString writes text with control characters as JSON has it, which is YAML
// too: in other forms they do not come back.
func yamlString(s string) ([]byte, error) {
	if strings.ContainsFunc(s, unicode.IsControl) {
		return []byte(quoted(s)), nil
	}
	return yaml.Marshal(s)
}
