package syntax

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Package yaml of go.yaml.in is used and not that of the settings, goccy's: that
// one takes more than twenty seconds for a megabyte of keys or of brackets.

var yamlPhrases = []phrase{
	{"URI escaped", "a tag is not well-formed"},
	{"unknown anchor", "an alias names an anchor that is not there"},
	{"tab character", "a tab stands where spaces are expected"},
	{"mapping values are not allowed", "a colon stands where none is expected: is a value in need of quotes, or the indentation wrong?"},
	{"sequence entries are not allowed", "a dash stands where none is expected"},
	{"mapping keys are not allowed", "a question mark stands where none is expected"},
	{"could not find expected ':'", "a colon is expected after a key"},
	{"',' or ']'", "a comma or the end of the list is expected"},
	{"',' or '}'", "a comma or the end of the mapping is expected"},
	{"'-' indicator", "a dash is expected: is the indentation wrong?"},
	{"did not find expected key", "a key is expected: is the indentation wrong?"},
	{"<document start>", "the start of a document is expected"},
	{"end of stream", "it ends within a string"},
	{"document indicator", "a document ends within a string"},
	{"cannot start any token", "a value begins with a character that is reserved: it needs quotes"},
	{"escape", "an escape in a string is unknown"},
	{"node content", "a value is expected"},
	{"tag", "a tag is not well-formed"},
	{"directive", "a directive is not well-formed"},
	{"indentation indicator", "the indentation of a block is 0"},
	{"control characters", "it has a control character"},
	{"alphabetic or numeric", "the name of an anchor or alias is not well-formed"},
	{"comment or line break", "something follows where the line should end"},
}

func checkYAML(content []byte) *Error {
	return eachDocument(content, func(root *yaml.Node) *Error { return uniqueKeys(root, 0) })
}

// eachDocument calls do with every document of a stream, until one is wrong.
func eachDocument(content []byte, do func(*yaml.Node) *Error) *Error {
	if nodes(content) > MaxNodes {
		return beyond("it has over " + strconv.Itoa(MaxNodes) + " lines and values")
	}
	for dec := yaml.NewDecoder(bytes.NewReader(content)); ; {
		var root yaml.Node
		switch err := dec.Decode(&root); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return yamlError(err)
		}
		if err := do(&root); err != nil {
			return err
		}
	}
}

// nodes returns a number that the nodes of a YAML stream do not exceed by much:
// each begins after one of these.
func nodes(content []byte) (n int) {
	for _, mark := range []string{"\n", ",", "[", "{", ": ", "- ", "? "} {
		n += bytes.Count(content, []byte(mark))
	}
	return n
}

func yamlError(err error) *Error {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	if strings.Contains(message, "exceeded max depth") {
		return tooDeep()
	}
	line := 0
	if rest, ok := strings.CutPrefix(message, "line "); ok {
		digits, _, _ := strings.Cut(rest, ":")
		line, _ = strconv.Atoi(digits)
	}
	e := wrong(saying(yamlPhrases, message, "it is not YAML"))
	e.Line = line
	return e
}

func uniqueKeys(n *yaml.Node, depth int) *Error {
	if depth > MaxDepth {
		e := tooDeep()
		e.Line, e.Column = n.Line, n.Column
		return e
	}
	var seen keys
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && child.Kind == yaml.ScalarNode && !isMerge(child) &&
			!seen.add(child.ShortTag()+" "+child.Value) {
			return &Error{Line: child.Line, Column: child.Column, Reason: "a key stands twice in its mapping"}
		}
		if err := uniqueKeys(child, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func isMerge(key *yaml.Node) bool { return key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge" }

func yamlValues(content []byte) ([]any, *Error) {
	var documents []any
	p := plainYAML{scalar: scalar}
	err := eachDocument(content, func(root *yaml.Node) *Error {
		v, err := p.value(root, 0)
		documents = append(documents, v)
		return err
	})
	return documents, err
}

// YAML returns the first document of a stream: mappings with the text of their
// keys, lists, texts, booleans, nil, whole numbers of 64 bits, and other numbers
// as they are written ([json.Number]). A content that is none, or beyond the
// bounds, is an [*Error].
func YAML(content []byte) (v any, err error) {
	defer func() {
		if recover() != nil { // as in Judge.check
			v, err = nil, &Error{Type: "yaml", Reason: "the parser gave up", Unjudged: true}
		}
	}()
	p := plainYAML{scalar: asWritten}
	first := true
	failure := eachDocument(content, func(root *yaml.Node) (err *Error) {
		if err = uniqueKeys(root, 0); err == nil && first {
			v, err = p.value(root, 0)
		}
		first = false
		return err
	})
	if failure != nil {
		failure.Type = "yaml"
		return nil, failure
	}
	return v, nil
}

// plainYAML makes plain values of nodes. An alias is a copy of what it names, so
// that few lines can mean billions of values, or no end of them: they are counted.
type plainYAML struct {
	values int
	scalar func(*yaml.Node) any
}

func (p *plainYAML) value(n *yaml.Node, depth int) (any, *Error) {
	if p.values++; p.values > MaxValues {
		return nil, tooManyValues(MaxValues)
	}
	if depth > MaxDepth {
		return nil, tooDeep()
	}
	switch n.Kind {
	case yaml.DocumentNode:
		return p.value(n.Content[0], depth)
	case yaml.AliasNode:
		return p.value(n.Alias, depth+1)
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, child := range n.Content {
			v, err := p.value(child, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case yaml.MappingNode:
		return p.mapping(n, depth)
	}
	return p.scalar(n), nil
}

func (p *plainYAML) mapping(n *yaml.Node, depth int) (any, *Error) {
	m := make(map[string]any, len(n.Content)/2)
	var merged []any
	for i := 0; i+1 < len(n.Content); i += 2 {
		v, err := p.value(n.Content[i+1], depth+1)
		if err != nil {
			return nil, err
		}
		key := n.Content[i]
		for range MaxDepth {
			if key.Kind == yaml.AliasNode {
				key = key.Alias
			}
		}
		switch list, isList := v.([]any); {
		case isMerge(key) && isList:
			merged = append(merged, list...)
		case isMerge(key):
			merged = append(merged, v)
		case key.Kind == yaml.ScalarNode:
			m[key.Value] = v
		default:
			return nil, beyond("a key is a list or a mapping, which no schema can tell of")
		}
	}
	for _, other := range merged { // the first one to have a key gives it
		other, _ := other.(map[string]any)
		for k, v := range other {
			if p.values++; p.values > MaxValues {
				return nil, tooManyValues(MaxValues)
			}
			if _, has := m[k]; !has {
				m[k] = v
			}
		}
	}
	return m, nil
}

// scalar returns the value of a scalar. What JSON has no type for, as a time, is
// the string that was written.
func scalar(n *yaml.Node) any {
	var v any
	switch n.ShortTag() {
	case "!!null", "!!bool", "!!int", "!!float":
		if n.Decode(&v) != nil {
			return n.Value
		}
	default:
		return n.Value
	}
	switch v := v.(type) {
	case int:
		return int64(v)
	case float64:
		return float(v)
	case uint64:
		return float(float64(v))
	}
	return v
}

// asWritten returns the value of a scalar with its number as it is written, unless
// that is an integer.
func asWritten(n *yaml.Node) any {
	tag := n.ShortTag()
	if tag == "!!float" && json.Valid([]byte(n.Value)) {
		return json.Number(n.Value)
	}
	if tag != "!!int" && tag != "!!float" {
		return scalar(n)
	}
	var v any
	if n.Decode(&v) != nil {
		return n.Value
	}
	switch v := v.(type) {
	case int:
		return int64(v)
	case uint64:
		return json.Number(strconv.FormatUint(v, 10))
	}
	return v
}
