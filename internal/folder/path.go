package folder

import (
	"fmt"
	"strings"

	"github.com/musterhq/muster/internal/filename"
)

// Path returns where a document lies in a folder: GROUP/DATAID. A dot that begins
// a name is %2E there, and a name too long for a file is cut into directories whose
// names end in %. No name of a document has a %, so that every path belongs to one
// document, and every document has one path.
func (k Key) Path() string {
	return strings.Join(append(filename.Parts(k.Group), filename.Parts(k.DataID)...), "/")
}

// KeyOf returns the key of the document that lies at a path, as [Key.Path] has it.
func KeyOf(path string) (Key, error) {
	group, rest, err := filename.Join(strings.Split(path, "/"))
	if err != nil {
		return Key{}, err
	}
	id, rest, err := filename.Join(rest)
	if err != nil {
		return Key{}, err
	}
	k := Key{group, id}
	if err := k.Validate(); err != nil {
		return Key{}, err
	}
	if len(rest) > 0 || k.Path() != path {
		return Key{}, fmt.Errorf("%q is not where a document lies, but %q is", path, k.Path())
	}
	return k, nil
}
