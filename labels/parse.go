package labels

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Format is how a table is written.
type Format string

// The formats. Unknown is told from the first byte: a table in JSON begins with a
// brace or a bracket, and none in CSV does.
const (
	Unknown Format = ""
	CSV     Format = "csv"
	JSON    Format = "json"
)

// errCut is what a file looks like for a moment that is being written.
var errCut = errors.New("is empty: it is being written, or was cut off")

// Parse reads a table. The error says in which line something is wrong, and one
// wrong entry makes the whole table wrong: half of it would be believed. A table
// without entries is wrong too.
func Parse(content []byte, format Format) (*Table, error) {
	return parse(content, format, maxEntries)
}

func parse(content []byte, format Format, most int) (*Table, error) {
	content = bytes.TrimPrefix(content, []byte("\uFEFF"))
	text := bytes.TrimSpace(content)
	if len(text) == 0 {
		return nil, errCut
	}
	if at := invalidUTF8(content); at >= 0 {
		return nil, fmt.Errorf("line %d: is not UTF-8", lineAt(content, at))
	}
	if format == Unknown {
		format = CSV
		if text[0] == '{' || text[0] == '[' {
			format = JSON
		}
	}
	b := newBuilder(most)
	var err error
	if format == JSON {
		err = parseJSON(content, b)
	} else {
		err = parseCSV(content, b)
	}
	if err != nil {
		return nil, err
	}
	if len(b.lines) == 0 {
		return nil, errors.New("has no entries")
	}
	return b.table(), nil
}

// invalidUTF8 returns where b ceases to be UTF-8, -1 when it does not.
func invalidUTF8(b []byte) int {
	if utf8.Valid(b) {
		return -1
	}
	for at := 0; ; {
		r, n := utf8.DecodeRune(b[at:])
		if r == utf8.RuneError && n < 2 {
			return at
		}
		at += n
	}
}

// lineAt returns the line, from 1, of the byte at an offset.
func lineAt(b []byte, offset int) int {
	return 1 + bytes.Count(b[:min(max(offset, 0), len(b))], []byte("\n"))
}
