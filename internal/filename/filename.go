// Package filename makes names of files of any text, such as the name of a
// document, so that no text leads out of the directory, hides, or meets another.
//
// What is no letter, mark, digit, punctuation or symbol is written as %XX, byte by
// byte, and so are %, the separators of paths, what is not UTF-8, and what shells
// and other systems take for something else. A dot that begins a name is %2E: it
// would hide the file, or name a directory itself. A device's name of other
// systems, as CON or nul.txt, has its first letter written so. Names that differ
// in case alone stay so: where the file system makes no difference, they meet.
package filename

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Max is the longest name of a file, in bytes.
const Max = 255

const (
	// Onward ends a part of a name that goes on in the next.
	Onward = "%"

	cut = "%~" // comes before the digest of a name that is too long
)

// digestLen is how many digits of the SHA-256 stand for what was cut off.
const digestLen = 32

// Of returns the name of one file for a text that is not empty. One that would be
// too long is cut, and a digest of all of it follows: [Text] cannot take that back,
// but no other text has the same name.
func Of(text string) string {
	name := escape(text)
	if len(name) <= Max {
		return name
	}
	sum := sha256.Sum256([]byte(text))
	end := cut + hex.EncodeToString(sum[:])[:digestLen]
	begin, _ := split(text, Max-len(end))
	return begin + end
}

// ErrCut is met where a name does not hold the whole text.
var ErrCut = errors.New("holds only the beginning of what it stands for")

// Text returns the text whose name [Of] returns, or an error for what is no such
// name; ErrCut for one that was cut.
func Text(name string) (string, error) {
	if at := strings.LastIndex(name, cut); at >= 0 && len(name)-at == len(cut)+digestLen {
		return "", fmt.Errorf("%q %w", name, ErrCut)
	}
	text, err := unescape(name)
	if err == nil && Of(text) != name {
		err = fmt.Errorf("%q is no name of a file that stands for a text: %q is", name, Of(text))
	}
	return text, err
}

// Parts returns the names of nested directories, and of the file in the last, for
// a text that is not empty: one name, or several where that would be too long.
// Those that go on end in %.
func Parts(text string) (names []string) {
	for {
		name := escape(text)
		if len(name) <= Max {
			return append(names, name)
		}
		name, text = split(text, Max-len(Onward))
		names = append(names, name+Onward)
	}
}

// Join returns the text that the first of some names stand for, as [Parts] has
// them, and the names behind them. It does not tell whether Parts would have cut
// the text there.
func Join(names []string) (text string, rest []string, err error) {
	for i, name := range names {
		part, goesOn := strings.CutSuffix(name, Onward)
		if part == "" {
			return "", nil, errors.New("a part of the path is missing")
		}
		plain, err := unescape(part)
		if err != nil {
			return "", nil, err
		}
		if text += plain; !goesOn {
			return text, names[i+1:], nil
		}
	}
	return "", nil, errors.New("a part of the path is missing")
}

// split returns the name of as much of text as has one of at most most bytes, and
// the rest of the text.
func split(text string, most int) (name, rest string) {
	if device(spell(text)) {
		most -= 2 // its first letter takes three bytes
	}
	end, size := 0, 0
	for end < len(text) {
		_, n := utf8.DecodeRuneInString(text[end:])
		more := len(written(text[end:end+n], end == 0))
		if size+more > most {
			break
		}
		end, size = end+n, size+more
	}
	return escape(text[:end]), text[end:]
}

// escape returns text as the name of a file, of any length.
func escape(text string) string {
	name := spell(text)
	if device(name) {
		return hexed(name[:1]) + name[1:]
	}
	return name
}

// spell is escape but for the names of devices.
func spell(text string) string {
	var b strings.Builder
	for at := 0; at < len(text); {
		_, n := utf8.DecodeRuneInString(text[at:])
		b.WriteString(written(text[at:at+n], at == 0))
		at += n
	}
	return b.String()
}

// written returns how one character is written.
func written(char string, first bool) string {
	r, n := utf8.DecodeRuneInString(char)
	switch {
	case r == utf8.RuneError && n <= 1, !unicode.IsPrint(r), r == ' ', strings.ContainsRune(`%/\<>"|?*'`+"`$", r), first && r == '.':
		return hexed(char)
	}
	return char
}

func hexed(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%%%02X", s[i])
	}
	return b.String()
}

// device reports whether Windows takes name for a device, with or without an
// extension. It has written it with digits of superscript too.
func device(name string) bool {
	name, _, _ = strings.Cut(name, ".")
	name, _, _ = strings.Cut(name, ":")
	name = strings.ToUpper(name)
	switch name {
	case "CON", "PRN", "AUX", "NUL":
		return true
	}
	for _, port := range []string{"COM", "LPT"} {
		if digit, ok := strings.CutPrefix(name, port); ok && utf8.RuneCountInString(digit) == 1 && strings.Contains("0123456789¹²³", digit) {
			return true
		}
	}
	return false
}

// unescape returns the text that is written as name.
func unescape(name string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] != '%' {
			b.WriteByte(name[i])
			continue
		}
		if i+3 > len(name) {
			return "", fmt.Errorf("%q ends within an escape", name)
		}
		n, err := strconv.ParseUint(name[i+1:i+3], 16, 8)
		if err != nil {
			return "", fmt.Errorf("%q: %s is no escape", name, name[i:i+3])
		}
		b.WriteByte(byte(n))
		i += 2
	}
	return b.String(), nil
}
