// Package archive reads and writes documents of the configuration centre, with all
// that belongs to them, as one zip file.
//
// The file holds muster.json, which names the format and the policies; for each
// document documents/NAMESPACE/GROUP/DATAID.json with its head, gray releases, parts
// and history, authors and times included; and contents/DIGEST, each content once.
// Equal documents make equal files, byte for byte: entries are sorted and have no
// times. A content that is encrypted where it is stored is in the clear here.
package archive

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/musterhq/muster/config"
)

// Format is what muster.json names.
const Format = "muster-config/1"

// Names of entries.
const (
	manifestName   = "muster.json"
	documentPrefix = "documents/"
	documentSuffix = ".json"
	contentPrefix  = "contents/"
)

// manifest is what muster.json says.
type manifest struct {
	Format   string   `json:"format"`
	Policies []policy `json:"policies,omitempty"`
}

// policy is a policy with what it is of.
type policy struct {
	Namespace string `json:"namespace"`
	Group     string `json:"group,omitempty"`

	config.Policy
}

// entry is a document as the file holds it.
type entry struct {
	Document *config.Document `json:"document,omitempty"`
	Releases []release        `json:"releases,omitempty"`
	Parts    []part           `json:"parts,omitempty"`
	History  []record         `json:"history"`
}

type release struct {
	Name string `json:"name"`

	config.Release
}

type part struct {
	DatumID string `json:"datumId"`

	config.Part
}

type record struct {
	Seq int64 `json:"seq"`

	config.History
}

// entryOf returns what the file holds of a document.
func entryOf(p config.Past) entry {
	e := entry{Document: p.Document, History: []record{}}
	for _, r := range p.Releases {
		e.Releases = append(e.Releases, release{r.Name, *r})
	}
	for _, one := range p.Parts {
		e.Parts = append(e.Parts, part{one.DatumID, *one})
	}
	for _, h := range p.History {
		e.History = append(e.History, record{h.Seq, h})
	}
	return e
}

// past returns the document k that an entry of the file tells of, without contents.
func (e entry) past(k config.Key) config.Past {
	p := config.Past{Key: k, Document: e.Document, Contents: map[string][]byte{}}
	if p.Document != nil {
		p.Document.Key, p.Document.SealedMD5 = k, nil // a store makes its own
	}
	for _, r := range e.Releases {
		is := r.Release
		is.Name, is.Key, is.SealedMD5 = r.Name, k, nil
		p.Releases = append(p.Releases, &is)
	}
	for _, one := range e.Parts {
		is := one.Part
		is.DatumID, is.Key, is.SealedMD5 = one.DatumID, k, nil
		p.Parts = append(p.Parts, &is)
	}
	for _, h := range e.History {
		is := h.History
		is.Key, is.Seq, is.Head.Key, is.Head.SealedMD5 = k, h.Seq, k, nil
		p.History = append(p.History, is)
	}
	return p
}

// digests returns those of all contents that a document refers to, in order, each once.
func digests(p config.Past) []string {
	var all []string
	seen := map[string]bool{"": true}
	add := func(digest string) {
		if !seen[digest] {
			seen[digest] = true
			all = append(all, digest)
		}
	}
	if p.Document != nil {
		add(p.Document.Digest)
	}
	for _, r := range p.Releases {
		add(r.Digest)
	}
	for _, one := range p.Parts {
		add(one.Digest)
	}
	for _, h := range p.History {
		add(h.Head.Digest)
		add(h.Was)
	}
	return all
}

// nameOf returns the name of a document's entry. No part of it leads anywhere when
// somebody unpacks the file.
func nameOf(k config.Key) string {
	return documentPrefix + escape(k.Namespace) + "/" + escape(k.Group) + "/" + escape(k.DataID) + documentSuffix
}

func escape(s string) string {
	if strings.Trim(s, ".") == "" {
		return strings.ReplaceAll(s, ".", "%2E")
	}
	return url.PathEscape(s)
}

// keyOf returns the document of an entry. There is one name for each.
func keyOf(name string) (config.Key, error) {
	parts := strings.Split(strings.TrimSuffix(strings.TrimPrefix(name, documentPrefix), documentSuffix), "/")
	if len(parts) != 3 {
		return config.Key{}, fmt.Errorf("entry %.200q is of no document", name)
	}
	for i, p := range parts {
		plain, err := url.PathUnescape(p)
		if err != nil {
			return config.Key{}, fmt.Errorf("entry %.200q is of no document", name)
		}
		parts[i] = plain
	}
	k := config.Key{Namespace: parts[0], Group: parts[1], DataID: parts[2]}
	if err := k.Validate(); err != nil {
		return k, fmt.Errorf("entry %.200q: %w", name, err)
	}
	if nameOf(k) != name {
		return k, fmt.Errorf("entry %.200q is to be called %q", name, nameOf(k))
	}
	return k, nil
}
