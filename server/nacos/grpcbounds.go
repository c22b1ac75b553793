package nacos

import (
	"encoding/json"
	"fmt"
)

// mostEntries bounds the entries of a list in a message: a few bytes of it are many in
// memory, and who sends it may have no right to anything.
const mostEntries = 10_000

// few is a list of at most mostEntries.
type few[T any] []T

// UnmarshalJSON implements json.Unmarshaler.
func (f *few[T]) UnmarshalJSON(b []byte) error {
	if n := entriesOf(b); n > mostEntries {
		return fmt.Errorf("a list has %d entries, more than %d", n, mostEntries)
	}
	return json.Unmarshal(b, (*[]T)(f))
}

// entriesOf counts the entries of a JSON array or object, without taking room for any; an
// empty one counts as one.
func entriesOf(b []byte) int {
	n, depth, quoted := 1, 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[', c == '{':
			depth++
		case c == ']', c == '}':
			depth--
		case c == ',' && depth == 1:
			n++
		}
	}
	return n
}
