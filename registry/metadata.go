package registry

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
)

// Metadata is what an instance says of itself: texts by key. It never changes, and
// two that say the same are equal by ==. It is one text and no map, as a map takes
// five times the memory and there are millions of them. The zero Metadata says nothing.
type Metadata struct {
	text string // of each pair in the order of keys: length and text of the key, and of the value
}

// MetadataOf returns metadata that says what a map does.
func MetadataOf(pairs map[string]string) Metadata {
	if len(pairs) == 0 {
		return Metadata{}
	}
	var room [256]byte
	text := room[:0]
	for _, key := range slices.Sorted(maps.Keys(pairs)) {
		text = appendText(appendText(text, key), pairs[key])
	}
	return Metadata{string(text)}
}

// appendText appends the length of a text and the text.
func appendText(to []byte, s string) []byte {
	return append(binary.AppendUvarint(to, uint64(len(s))), s...)
}

// cutText reverses appendText.
func cutText(text string) (s, rest string) {
	n, at := 0, 0
	for shift := 0; ; shift += 7 {
		c := text[at]
		at++
		if n |= int(c&0x7f) << shift; c < 0x80 {
			return text[at : at+n], text[at+n:]
		}
	}
}

// All yields the pairs in the order of keys.
func (m Metadata) All() iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		for rest := m.text; rest != ""; {
			var key, value string
			key, rest = cutText(rest)
			if value, rest = cutText(rest); !yield(key, value) {
				return
			}
		}
	}
}

// Lookup returns what is said under a key, and false when nothing is.
func (m Metadata) Lookup(key string) (value string, ok bool) {
	for rest := m.text; rest != ""; {
		var k, v string
		k, rest = cutText(rest)
		if v, rest = cutText(rest); k == key {
			return v, true
		}
	}
	return "", false
}

// Get returns what is said under a key, empty for nothing.
func (m Metadata) Get(key string) string {
	value, _ := m.Lookup(key)
	return value
}

// Len returns how many pairs there are.
func (m Metadata) Len() (n int) {
	for range m.All() {
		n++
	}
	return n
}

// Map returns the pairs as a map of the caller's own, nil for none.
func (m Metadata) Map() map[string]string {
	if m.text == "" {
		return nil
	}
	return maps.Collect(m.All())
}

// Over returns metadata with pairs laid over it.
func (m Metadata) Over(pairs map[string]string) Metadata {
	if len(pairs) == 0 {
		return m
	}
	merged := m.Map()
	if merged == nil {
		return MetadataOf(pairs)
	}
	maps.Copy(merged, pairs)
	return MetadataOf(merged)
}

// Equal reports whether both say the same, for comparisons that do not know ==.
func (m Metadata) Equal(o Metadata) bool { return m == o }

// String returns the pairs as Go prints a map, for messages of tests.
func (m Metadata) String() string { return fmt.Sprint(m.Map()) }

// MarshalJSON writes an object, as of a map.
func (m Metadata) MarshalJSON() ([]byte, error) {
	text := make([]byte, 0, len(m.text)+16)
	text = append(text, '{')
	for key, value := range m.All() {
		if len(text) > 1 {
			text = append(text, ',')
		}
		text = appendQuoted(append(appendQuoted(text, key), ':'), value)
	}
	return append(text, '}'), nil
}

// appendQuoted appends a text in JSON. What is safe in HTML is for the encoder that
// calls to say: it escapes that if it is to.
func appendQuoted(to []byte, s string) []byte {
	for n := range len(s) {
		if c := s[n]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			var quoted bytes.Buffer
			e := json.NewEncoder(&quoted)
			e.SetEscapeHTML(false)
			_ = e.Encode(s) // a text: it cannot fail
			return append(to, bytes.TrimSuffix(quoted.Bytes(), []byte("\n"))...)
		}
	}
	return append(append(append(to, '"'), s...), '"')
}

// UnmarshalJSON reads an object of texts.
func (m *Metadata) UnmarshalJSON(text []byte) error {
	var pairs map[string]string
	if err := json.Unmarshal(text, &pairs); err != nil {
		return err
	}
	*m = MetadataOf(pairs)
	return nil
}
