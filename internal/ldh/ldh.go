// Package ldh makes of any text a label of small letters, digits and hyphens, with none
// of these at either end: what host names are made of (RFC 1123 section 2.1), called LDH
// labels by RFC 5890 section 2.3.1.
//
// Capitals become small, as DNS tells no case apart (RFC 4343); whatever
// else is between letters and digits becomes one hyphen. How long a label may be is left
// to the caller, and so is text beyond ASCII, of which each byte is such a thing.
package ldh

// Is reports whether a text is what [Append] makes of it, without a copy. The empty one
// is not.
func Is(s string) bool {
	last := byte('-')
	for i := range len(s) {
		c := s[i]
		if c != '-' && (c < 'a' || c > 'z') && (c < '0' || c > '9') || c == '-' && last == '-' {
			return false
		}
		last = c
	}
	return last != '-'
}

// Label returns the label of a text, empty where nothing is left of that.
func Label(s string) string {
	if Is(s) {
		return s
	}
	return string(Append(make([]byte, 0, len(s)), s))
}

// Append appends what [Label] returns.
func Append(b []byte, s string) []byte {
	start := len(b)
	if b = AppendStart(b, s); len(b) > start && b[len(b)-1] == '-' {
		b = b[:len(b)-1]
	}
	return b
}

// AppendStart appends what the labels begin with of all texts that begin with s: as
// [Append] does, with the hyphen that may be the last of it.
func AppendStart(b []byte, s string) []byte {
	start := len(b)
	for i := range len(s) {
		c := s[i]
		switch {
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case 'a' <= c && c <= 'z' || '0' <= c && c <= '9':
		default:
			c = '-'
		}
		if c == '-' && (len(b) == start || b[len(b)-1] == '-') {
			continue
		}
		b = append(b, c)
	}
	return b
}
