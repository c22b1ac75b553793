// Package diff tells how two texts differ, line by line, as patch(1) reads it.
package diff

import (
	udiff "github.com/aymanbagabas/go-udiff"
)

// contextLines is how much is shown around what differs.
const contextLines = 3

// nothing is the label of a text that is not there.
const nothing = "/dev/null"

// Text is one side of a difference. With a nil Content it is not there, which is
// not the same as being empty.
type Text struct {
	Label   string
	Content []byte
}

func (t Text) label() string {
	if t.Content == nil {
		return nothing
	}
	return t.Label
}

// Unified returns what makes one text the other in the unified format, "" when
// they are equal. Texts that differ in more than a hundred places may be told to
// differ in more lines than they do: the search for what is equal is bounded, so
// that nobody's texts can occupy a server for long.
func Unified(from, to Text) string {
	before := string(from.Content)
	edits := udiff.Lines(before, string(to.Content))
	text, err := udiff.ToUnified(from.label(), to.label(), before, edits, contextLines)
	if err != nil {
		panic(err) // edits that were made of this very text do not fit it
	}
	return text
}
