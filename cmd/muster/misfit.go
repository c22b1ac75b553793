package main

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// misfit is a value of a settings file that is of another type than its key takes. The
// decoder tells of Go's types there, and often of no key.
type misfit struct {
	line int
	text string
}

// misfitOf returns the first misfit of a settings file that was not decoded into what has
// type t, nil for none.
func misfitOf(content []byte, t reflect.Type) *misfit {
	tree, err := parser.ParseBytes(content, 0)
	if err != nil || len(tree.Docs) == 0 {
		return nil
	}
	return misfitAt(tree.Docs[0].Body, t, "")
}

func misfitAt(n ast.Node, t reflect.Type, key string) *misfit {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch node := n.(type) {
	case *ast.AnchorNode:
		return misfitAt(node.Value, t, key)
	case nil, *ast.NullNode, *ast.AliasNode, *ast.TagNode: // nothing, or told by what it stands for
		return nil
	}
	if readsItself(t) {
		return nil
	}
	want, fits := wantedOf(n, t)
	if !fits {
		shown := kindOf(n)
		if text, ok := n.(ast.ScalarNode); ok && t.Kind() != reflect.Slice && t.Kind() != reflect.Map && t.Kind() != reflect.Struct { // else it may be a secret
			shown = strconv.Quote(text.GetToken().Value)
		}
		if key != "" {
			key += ": "
		}
		m := &misfit{text: fmt.Sprintf("%swant %s, not %s", key, want, shown)}
		if at := n.GetToken(); at != nil && at.Position != nil {
			m.line = at.Position.Line
		}
		return m
	}
	switch t.Kind() {
	case reflect.Slice:
		for i, one := range n.(*ast.SequenceNode).Values {
			if m := misfitAt(one, t.Elem(), fmt.Sprintf("%s[%d]", key, i)); m != nil {
				return m
			}
		}
	case reflect.Map, reflect.Struct:
		for _, pair := range keysIn(n) {
			name := pair.Key.GetToken().Value
			of, known := typeOf(t, name)
			if !known {
				continue // the decoder says so
			}
			if m := misfitAt(pair.Value, of, strings.TrimPrefix(key+"."+name, ".")); m != nil {
				return m
			}
		}
	}
	return nil
}

// readsItself reports whether values of a type say themselves what they are.
func readsItself(t reflect.Type) bool {
	for _, by := range []reflect.Type{reflect.TypeFor[yaml.BytesUnmarshaler](), reflect.TypeFor[yaml.InterfaceUnmarshaler](),
		reflect.TypeFor[yaml.NodeUnmarshaler](), reflect.TypeFor[encoding.TextUnmarshaler]()} {
		if reflect.PointerTo(t).Implements(by) {
			return true
		}
	}
	return false
}

// wantedOf says in an operator's words what a type takes, and whether a node is that.
func wantedOf(n ast.Node, t reflect.Type) (want string, fits bool) {
	scalar, isScalar := n.(ast.ScalarNode)
	text := ""
	if isScalar {
		text = scalar.GetToken().Value
	}
	switch {
	case t == reflect.TypeFor[time.Duration]():
		_, err := time.ParseDuration(text)
		return "a duration such as 30s", isScalar && err == nil
	case t.Kind() == reflect.Bool:
		_, ok := n.(*ast.BoolNode)
		return "true or false", ok
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		_, err := strconv.ParseInt(strings.ReplaceAll(text, "_", ""), 0, t.Bits())
		return "a whole number", isScalar && err == nil
	case t.Kind() == reflect.Float64:
		_, err := strconv.ParseFloat(text, 64)
		return "a number", isScalar && err == nil
	case t.Kind() == reflect.Slice:
		_, ok := n.(*ast.SequenceNode)
		return "a list", ok
	case t.Kind() == reflect.Map, t.Kind() == reflect.Struct:
		return keysWithValues, kindOf(n) == keysWithValues
	}
	return "a text", isScalar
}

const keysWithValues = "keys with values"

// kindOf says what a node is, and nothing of what it holds.
func kindOf(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return keysWithValues
	case *ast.SequenceNode:
		return "a list"
	case *ast.IntegerNode, *ast.FloatNode:
		return "a number"
	case *ast.BoolNode:
		return "true or false"
	}
	return "a text"
}

// keysIn returns the keys of a node with their values, none where it has none.
func keysIn(n ast.Node) []*ast.MappingValueNode {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	}
	return nil
}

// typeOf returns the type of what stands under a key of t.
func typeOf(t reflect.Type, key string) (reflect.Type, bool) {
	if t.Kind() == reflect.Map {
		return t.Elem(), true
	}
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if options == "inline" {
			if of, ok := typeOf(f.Type, key); ok {
				return of, true
			}
		}
		if name == key && name != "-" {
			return f.Type, true
		}
	}
	return nil, false
}
