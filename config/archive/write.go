package archive

import (
	"archive/zip"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/musterhq/muster/config"
)

// Writer writes an archive. Its methods are called in the order of their
// documents, and Close last: a file without it is none.
type Writer struct {
	zip  *zip.Writer
	have map[string]bool // digests that are written
	last config.Key
}

// NewWriter begins an archive with policies.
func NewWriter(to io.Writer, policies []*config.Policy) (*Writer, error) {
	w := &Writer{zip: zip.NewWriter(to), have: map[string]bool{}}
	m := manifest{Format: Format}
	for _, p := range policies {
		m.Policies = append(m.Policies, policy{p.Namespace, p.Group, *p})
	}
	return w, w.json(manifestName, m)
}

// Add writes one document. Content returns what lies under a digest; where it is
// config.ErrNotFound the file goes without, which only a history may.
func (w *Writer) Add(p config.Past, content func(digest string) ([]byte, error)) error {
	if w.last != (config.Key{}) && w.last.Compare(p.Key) >= 0 {
		return fmt.Errorf("document %s comes after %s", p.Key, w.last)
	}
	w.last = p.Key
	if err := w.json(nameOf(p.Key), entryOf(p)); err != nil {
		return err
	}
	stands := map[string]bool{}
	for _, digest := range digests(config.Past{Document: p.Document, Releases: p.Releases, Parts: p.Parts}) {
		stands[digest] = true
	}
	for _, digest := range digests(p) {
		if w.have[digest] {
			continue
		}
		b, err := content(digest)
		if errors.Is(err, config.ErrNotFound) && !stands[digest] {
			continue
		}
		if err != nil {
			return fmt.Errorf("content of %s: %w", p.Key, err)
		}
		w.have[digest] = true
		if err := w.entry(contentPrefix+digest, b); err != nil {
			return err
		}
	}
	return nil
}

// Close ends the file; what it is written to stays open.
func (w *Writer) Close() error { return w.zip.Close() }

func (w *Writer) json(name string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("entry %s: %w", name, err)
	}
	return w.entry(name, append(b, '\n'))
}

func (w *Writer) entry(name string, b []byte) error {
	to, err := w.zip.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate})
	if err != nil {
		return err
	}
	_, err = to.Write(b)
	return err
}
