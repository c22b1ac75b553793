// Package archive reads and writes the zip files in which Nacos carries documents.
//
// Such a file has an entry group/dataId for each document, and one that tells what
// else is known of them: in the old layout the application alone, in the new one
// all but a schema. What is read is not trusted: a name leads nowhere, sizes are
// those that were counted, and nothing is held of contents until it is asked for.
package archive

import (
	"strings"
)

// Document is a document but for its content.
type Document struct {
	Group, DataID string
	Type          string // empty: not told
	App, Desc     string
	Tags          []string
}

// name returns the name of the document's entry.
func (d Document) name() string { return d.Group + "/" + d.DataID }

// Names of the entries that tell what is known of documents.
const (
	oldMetadata = ".meta.yml"
	newMetadata = ".metadata.yml"
)

// oldKey returns the name of a property in the old layout.
func (d Document) oldKey() string {
	id := d.DataID
	if at := strings.LastIndexByte(id, '.'); at >= 0 {
		id = id[:at] + "~" + id[at+1:]
	}
	return d.Group + "." + id + ".app"
}

// Carries reports whether a document can be in a file: one of these names would
// lead somewhere else when the file is unpacked.
func Carries(group, dataID string) bool { return plain(group) && plain(dataID) }

func plain(s string) bool {
	return s != "" && s != "." && s != ".." && !strings.ContainsAny(s, "/\\\x00")
}
