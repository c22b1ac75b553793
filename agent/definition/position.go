package definition

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"github.com/musterhq/muster/internal/nearest"
	"github.com/musterhq/muster/probe"
)

// document is the syntax tree of one definition, reduced to what errors need.
type document struct {
	file  string
	lines map[string]int  // by path, such as $.services[0].port
	lists map[string]bool // paths of sequences
	// source is where each line that was parsed stands in the file; nil: as it is.
	source []int
}

// isList reports whether there is a sequence at path.
func (d document) isList(path string) bool { return d.lists[path] }

// line returns the line of the file at which path stands, 0 when it is not there.
func (d document) line(path string) int { return d.inFile(d.lines[path]) }

func (d document) inFile(line int) int {
	if d.source != nil && line > 0 && line <= len(d.source) {
		return d.source[line-1]
	}
	return line
}

// at completes e, whose field lies below prefix, with file and line.
func (d document) at(e *Error, prefix string) *Error {
	e.File = d.file
	e.Field = strings.Trim(prefix+"."+e.Field, ".")
	path := "$." + e.Field
	for e.Line == 0 && path != "$" && path != "" {
		e.Line = d.line(path)
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return e
}

var unknownField = regexp.MustCompile(`^unknown field "(.*)"$`)

var unknownAlias = regexp.MustCompile(`^could not find alias`)

// goTypes finds the names of Go types in the parser's messages, which mean
// nothing to whoever writes a definition.
var goTypes = regexp.MustCompile(`into Go (?:struct field \S+|value) of type (\S+)`)

// syntaxError returns err, of the parser or decoder, as an *Error.
func (d document) syntaxError(err error) error {
	e := &Error{File: d.file, Message: err.Error()}
	y, ok := errors.AsType[yaml.Error](err)
	if !ok {
		return e
	}
	e.Message = goTypes.ReplaceAllString(y.GetMessage(), "into a value of type $1")
	if t := y.GetToken(); t != nil && t.Position != nil {
		e.Line = d.inFile(t.Position.Line)
	}
	if unknownAlias.MatchString(e.Message) {
		e.Message = "an alias of nothing: text that begins with * stands in quotes" // it may be a password
	}
	if m := unknownField.FindStringSubmatch(e.Message); m != nil {
		e.Message = fmt.Sprintf("unknown key %q", m[1])
		switch k := nearest.Of(m[1], keys); k {
		case "":
		case m[1]:
			e.Message += " here, it belongs elsewhere"
		default:
			e.Message += fmt.Sprintf(", did you mean %q", k)
		}
	}
	return e
}

// index walks the tree, notes where everything is, and refuses scalars that
// the decoder would take for what they are not.
func (d *document) index(body ast.Node) error {
	d.lines, d.lists = map[string]int{}, map[string]bool{}
	v := &visitor{doc: d}
	ast.Walk(v, body)
	return v.err
}

// visitor walks a tree for document.index.
type visitor struct {
	doc *document
	err error // the first
}

func (v *visitor) Visit(n ast.Node) ast.Visitor {
	if v.err != nil {
		return nil
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		// The key is met before its value and stands where a reader looks.
		if _, known := v.doc.lines[n.GetPath()]; !known {
			v.doc.lines[n.GetPath()] = t.Position.Line
		}
	}
	switch n := n.(type) {
	case *ast.SequenceNode:
		v.doc.lists[n.GetPath()] = true
		if key := keyOf(n.GetPath()); (key == "expect" || key == "exec") && !isFree(n.GetPath()) {
			for _, value := range n.Values {
				v.err = errors.Join(v.err, v.scalar(value))
			}
		}
	case *ast.MappingValueNode:
		v.err = v.scalar(n.Value)
	}
	return v
}

// The keys whose values are numbers, and those that are durations. All others
// are text.
var (
	wholeNumbers = map[string]bool{"port": true, "rise": true, "fall": true, "expect": true}
	numbers      = map[string]bool{"weight": true}
	durations    = map[string]bool{"interval": true, "timeout": true, "ttl": true, "deregister_after": true}
)

// scalar refuses the value of one key where the decoder would round it, would
// read something else than what stands there (1.10 is the number 1.1, 007 is
// 7), or would not say where it is.
func (v *visitor) scalar(value ast.Node) error {
	path := value.GetPath()
	key := keyOf(path)
	if isFree(path) {
		key = ""
	}
	if value.GetToken() == nil {
		return nil
	}
	text := value.GetToken().Value
	shown := fmt.Sprintf("%s is a number here, as text it is %q, in quotes", text, text)
	if key == "password" {
		shown = "is a number here, as text it stands in quotes" // an error is logged
	}
	fail := func(format string, args ...any) error {
		return v.doc.at(&Error{Field: strings.TrimPrefix(path, "$."), Message: fmt.Sprintf(format, args...)}, "")
	}
	if durations[key] {
		var d probe.Duration
		if err := d.UnmarshalText([]byte(text)); err != nil {
			return fail("%v", err)
		}
		return nil
	}
	switch value.(type) {
	case *ast.StringNode, *ast.LiteralNode, *ast.BoolNode:
		if wholeNumbers[key] || numbers[key] {
			return fail("%q is not a number", text)
		}
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		if wholeNumbers[key] {
			return fail("%s is not a whole number", text)
		}
		if !numbers[key] {
			return fail("%s", shown)
		}
	case *ast.IntegerNode:
		n, err := strconv.Atoi(text)
		if !wholeNumbers[key] && !numbers[key] && (err != nil || strconv.Itoa(n) != text) {
			return fail("%s", shown)
		}
	}
	return nil
}

// keyOf returns the last key of path.
func keyOf(path string) string {
	path = path[strings.LastIndexByte(path, '.')+1:]
	key, _, _ := strings.Cut(path, "[")
	return key
}

// isFree reports whether path is that of an entry of metadata or headers,
// whose keys mean nothing here.
func isFree(path string) bool {
	return strings.Contains(path, ".metadata.") || strings.Contains(path, ".headers.")
}
