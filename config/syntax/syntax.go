package syntax

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// The bounds of what is judged.
const (
	MaxDepth  = 200     // of values in values, in any type
	MaxNodes  = 500_000 // lines and values of YAML, counted generously
	MaxValues = 100_000 // values of a document that is held to a schema
	MaxTOML   = 2 << 20 // bytes of TOML
	MaxSchema = 128 << 10

	alone = 1 << 20 // bytes of a content from which on it is judged alone
)

// ErrUnjudged is the error of a content that is beyond the bounds: it may well
// be right.
var ErrUnjudged = errors.New("not judged")

// Error says what is wrong with a content, or why it is not judged.
type Error struct {
	Type     string // of the content, or "schema"
	Line     int    // from 1; 0 where it is not known
	Column   int    // in characters from 1; 0 where it is not known
	Path     string // JSON pointer into the document, where a schema was not met
	Reason   string
	Unjudged bool
}

// Error returns "json, line 3, column 5: ..." or "json, at /a/b: ...".
func (e *Error) Error() string {
	where := e.Type
	if e.Line > 0 {
		where += ", line " + strconv.Itoa(e.Line)
	}
	if e.Column > 0 {
		where += ", column " + strconv.Itoa(e.Column)
	}
	if e.Path != "" {
		where += ", at " + e.Path
	}
	return where + ": " + e.Reason
}

// Unwrap returns ErrUnjudged for a content that was not judged.
func (e *Error) Unwrap() error {
	if e.Unjudged {
		return ErrUnjudged
	}
	return nil
}

func wrong(reason string) *Error    { return &Error{Reason: reason} }
func beyond(reason string) *Error   { return &Error{Reason: reason, Unjudged: true} }
func tooDeep() *Error               { return beyond("values nest over " + strconv.Itoa(MaxDepth) + " levels deep") }
func tooManyValues(than int) *Error { return beyond("it has over " + strconv.Itoa(than) + " values") }

// at gives e the line and column of the byte offset in content.
func (e *Error) at(content []byte, offset int) *Error {
	before := content[:max(0, min(offset, len(content)))]
	e.Line = 1 + bytes.Count(before, []byte("\n"))
	e.Column = 1 + utf8.RuneCount(before[1+bytes.LastIndexByte(before, '\n'):])
	return e
}

// language is what is known of one type: check finds what is wrong with a
// content; values, nil for a type that a schema does not apply to, returns the
// documents of a content that check has passed, as encoding/json would decode
// them, numbers aside.
type language struct {
	check  func(content []byte) *Error
	values func(content []byte) ([]any, *Error)
}

var languages = map[string]language{
	"json":       {checkJSON, jsonValues},
	"yaml":       {checkYAML, yamlValues},
	"toml":       {checkTOML, tomlValues},
	"xml":        {checkXML, nil},
	"properties": {checkProperties, nil},
}

// Judge judges contents. The zero value is ready; its methods may be called by
// many goroutines at once.
type Judge struct {
	big     sync.Mutex // held while a big content is judged
	schemas cache
}

// Check returns nil when content is what kind says, and fits the JSON Schema
// unless that is empty. Otherwise it returns an [*Error]. Of a kind other than
// json, yaml, toml, xml and properties every content is right. A schema is held
// against json, yaml (each document of the stream) and toml alone.
func (j *Judge) Check(kind string, content []byte, schema string) error {
	l, ok := languages[kind]
	if !ok {
		return nil
	}
	if len(content) > alone {
		j.big.Lock()
		defer j.big.Unlock()
	}
	if err := j.check(l, content, schema); err != nil {
		if err.Type == "" {
			err.Type = kind
		}
		return err
	}
	return nil
}

func (j *Judge) check(l language, content []byte, schema string) (err *Error) {
	// What a library does with hostile bytes is its secret; a panic of one must
	// not end the server, and its text may hold what was in the content.
	defer func() {
		if recover() != nil {
			err = beyond("the parser gave up")
		}
	}()
	if at := invalidUTF8(content); at >= 0 {
		return wrong("a byte is not UTF-8").at(content, at)
	}
	if err := l.check(content); err != nil {
		return err
	}
	if schema == "" || l.values == nil {
		return nil
	}
	held, err := j.schemas.compiled(schema)
	if err != nil {
		return err
	}
	documents, err := l.values(content)
	if err != nil {
		return err
	}
	for _, d := range documents {
		if err := held.judge(d); err != nil {
			return err
		}
	}
	return nil
}

// CheckSchema returns nil for a JSON Schema that documents can be held to, of
// draft 4 to 2020-12, and an [*Error] otherwise. It must be complete: nothing
// that it refers to is fetched.
func (j *Judge) CheckSchema(schema string) error {
	if _, err := j.schemas.compiled(schema); err != nil {
		return err
	}
	return nil
}

func invalidUTF8(content []byte) int {
	if utf8.Valid(content) {
		return -1
	}
	for i := 0; ; {
		r, size := utf8.DecodeRune(content[i:])
		if r == utf8.RuneError && size <= 1 {
			return i
		}
		i += size
	}
}

// phrase is what a parser's message means, in our words.
type phrase struct{ in, says string }

// saying returns our words for a message of a parser, which may quote the content.
func saying(phrases []phrase, message, otherwise string) string {
	for _, p := range phrases {
		if strings.Contains(message, p.in) {
			return p.says
		}
	}
	return otherwise
}
