package archive

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/musterhq/muster/config"
)

// Bounds of a file that is read: what is beyond is no archive of ours, or a bomb.
const (
	maxEntries  = 2_000_000
	maxManifest = 64 << 20
	maxDocument = 64 << 20  // the JSON of one document, with its history
	maxContents = 512 << 20 // of one document, with its history: they are in memory at once
	maxTotal    = 64 << 30  // of all entries
)

// ErrFormat says that a file is no archive, or a damaged one.
var ErrFormat = errors.New("it is no archive of muster, or a damaged one")

// Archive is a file that is read.
type Archive struct {
	Policies []*config.Policy

	documents []*zip.File
	contents  map[string]*zip.File // by digest
}

// Open reads the list of entries, and what is said of all documents. The error is
// ErrFormat where it is about the file.
func Open(from io.ReaderAt, size int64) (*Archive, error) {
	a, err := open(from, size)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return a, nil
}

func open(from io.ReaderAt, size int64) (*Archive, error) {
	z, err := zip.NewReader(from, size)
	if err != nil {
		return nil, err
	}
	if len(z.File) > maxEntries {
		return nil, fmt.Errorf("it has more than %d entries", maxEntries)
	}
	a := &Archive{contents: map[string]*zip.File{}}
	var about *zip.File
	var total uint64
	names := make(map[string]bool, len(z.File))
	for _, f := range z.File {
		if names[f.Name] {
			return nil, fmt.Errorf("entry %.200q is there twice", f.Name)
		}
		names[f.Name] = true
		if total += min(f.UncompressedSize64, maxTotal); total > maxTotal {
			return nil, fmt.Errorf("it holds more than %d bytes", int64(maxTotal))
		}
		switch {
		case f.Name == manifestName:
			about = f
		case strings.HasPrefix(f.Name, documentPrefix) && strings.HasSuffix(f.Name, documentSuffix):
			if _, err := keyOf(f.Name); err != nil {
				return nil, err
			}
			a.documents = append(a.documents, f)
		case strings.HasPrefix(f.Name, contentPrefix):
			a.contents[strings.TrimPrefix(f.Name, contentPrefix)] = f
		default:
			return nil, fmt.Errorf("entry %.200q is none of an archive", f.Name)
		}
	}
	if about == nil {
		return nil, errors.New("it has no " + manifestName)
	}
	return a, a.about(about)
}

func (a *Archive) about(f *zip.File) error {
	var m manifest
	if err := decode(f, maxManifest, &m); err != nil {
		return err
	}
	if m.Format != Format {
		return fmt.Errorf("its format is %.64q, not %q", m.Format, Format)
	}
	for _, p := range m.Policies {
		is := p.Policy
		is.Namespace, is.Group = p.Namespace, p.Group
		a.Policies = append(a.Policies, &is)
	}
	return nil
}

// Len returns how many documents there are.
func (a *Archive) Len() int { return len(a.documents) }

// Documents yields every document with its contents, checked, in the order of the
// file. An error, which is ErrFormat, ends it.
func (a *Archive) Documents() iter.Seq2[config.Past, error] {
	return func(yield func(config.Past, error) bool) {
		for _, f := range a.documents {
			p, err := a.document(f)
			if err != nil {
				yield(p, fmt.Errorf("%w: %w", ErrFormat, err))
				return
			}
			if !yield(p, nil) {
				return
			}
		}
	}
}

func (a *Archive) document(f *zip.File) (config.Past, error) {
	k, err := keyOf(f.Name)
	if err != nil {
		return config.Past{}, err
	}
	var e entry
	if err := decode(f, maxDocument, &e); err != nil {
		return config.Past{}, err
	}
	p, size := e.past(k), 0
	for _, digest := range digests(p) {
		f := a.contents[digest]
		if f == nil {
			continue // Validate tells where one must be
		}
		b, err := read(f, config.MaxContent)
		if err != nil {
			return p, err
		}
		if _, sum := config.Sum(b); !config.Sealed(digest) && sum != digest {
			return p, fmt.Errorf("entry %s is not what its name says", f.Name)
		}
		if size += len(b); size > maxContents {
			return p, fmt.Errorf("document %s has contents of more than %d bytes", k, maxContents)
		}
		p.Contents[digest] = b
	}
	return p, p.Validate()
}

// decode reads an entry of JSON that says nothing else than v can hold.
func decode(f *zip.File, limit int64, v any) error {
	b, err := read(f, limit)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("entry %.200q: %w", f.Name, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("entry %.200q has something behind its JSON", f.Name)
	}
	return nil
}

// read reads an entry of at most limit bytes, whatever it says of its size.
func read(f *zip.File, limit int64) ([]byte, error) {
	if !slices.Contains([]uint16{zip.Store, zip.Deflate}, f.Method) {
		return nil, fmt.Errorf("entry %.200q is packed in a way that is not known", f.Name)
	}
	r, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("entry %.200q: %w", f.Name, err)
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("entry %.200q: %w", f.Name, err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("entry %.200q is longer than %d bytes", f.Name, limit)
	}
	return b, nil
}
