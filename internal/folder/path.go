package folder

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxName is the longest name of a file, in bytes.
const maxName = 255

const (
	dot  = "%2E" // stands for a dot that would hide a file, or name a directory itself
	cont = "%"   // ends a part of a name that goes on in the next
)

// Path returns where a document lies in a folder: GROUP/DATAID. A dot that begins
// a name is %2E there, and a name too long for a file is cut into directories whose
// names end in %. No name of a document has a %, so that every path belongs to one
// document, and every document has one path.
func (k Key) Path() string { return pathOf(k.Group) + "/" + pathOf(k.DataID) }

func pathOf(name string) string {
	var b strings.Builder
	for {
		if strings.HasPrefix(name, ".") {
			name = dot + name[1:]
		}
		if len(name) <= maxName {
			return b.String() + name
		}
		cut := maxName - len(cont)
		for !utf8.RuneStart(name[cut]) {
			cut--
		}
		b.WriteString(name[:cut] + cont + "/")
		name = name[cut:]
	}
}

// KeyOf returns the key of the document that lies at a path, as [Key.Path] has it.
func KeyOf(path string) (Key, error) {
	group, rest, err := nameAt(path)
	if err != nil {
		return Key{}, err
	}
	id, rest, err := nameAt(rest)
	if err != nil {
		return Key{}, err
	}
	k := Key{group, id}
	if err := k.Validate(); err != nil {
		return Key{}, err
	}
	if rest != "" || k.Path() != path {
		return Key{}, fmt.Errorf("%q is not where a document lies, but %q is", path, k.Path())
	}
	return k, nil
}

// nameAt returns the name that a path begins with, and what follows it.
func nameAt(path string) (name, rest string, err error) {
	for goesOn := true; goesOn; {
		var part string
		if part, path, _ = strings.Cut(path, "/"); part == "" {
			return "", "", fmt.Errorf("a part of the path is missing")
		}
		if hidden, ok := strings.CutPrefix(part, dot); ok {
			part = "." + hidden
		}
		part, goesOn = strings.CutSuffix(part, cont)
		name += part
	}
	return name, path, nil
}
