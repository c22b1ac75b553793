package labels

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// reader reads a table in JSON piece by piece, so that a key that is given twice
// is seen and every error has its line.
type reader struct {
	*json.Decoder

	content []byte
	counted int // of content, for line
	line    int
	said    []label
}

// parseJSON reads a table: an object of the labels by address, or an array of
// objects with address and labels.
func parseJSON(content []byte, b *builder) error {
	r := &reader{Decoder: json.NewDecoder(bytes.NewReader(content)), content: content, line: 1}
	if err := r.table(b); err != nil {
		return fmt.Errorf("line %d: %w", r.here(), plain(err))
	}
	if _, err := r.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("line %d: something follows the table", r.here())
	}
	return nil
}

// here returns the line that was read last.
func (r *reader) here() int {
	if at := int(r.InputOffset()); at > r.counted {
		r.line += bytes.Count(r.content[r.counted:at], []byte("\n"))
		r.counted = at
	}
	return r.line
}

func (r *reader) table(b *builder) error {
	begin, err := r.Token()
	if err != nil {
		return err
	}
	switch begin {
	case json.Delim('{'):
		return r.object(func(key string) error {
			if err := r.labels(key); err != nil {
				return err
			}
			return b.add(r.here(), key, r.said)
		})
	case json.Delim('['):
		for r.More() {
			if err := r.entry(b); err != nil {
				return err
			}
		}
		_, err = r.Token()
		return err
	}
	return fmt.Errorf("a table is an object or an array, not %v", begin)
}

// entry reads one element of the array.
func (r *reader) entry(b *builder) error {
	if err := r.expect('{', "an entry"); err != nil {
		return err
	}
	var key *string
	labeled := false
	err := r.object(func(field string) error {
		switch {
		case field == "address" && key == nil:
			s, err := r.text("address")
			key = &s
			return err
		case field == "labels" && !labeled:
			labeled = true
			return r.labels("labels")
		case field == "address", field == "labels":
			return fmt.Errorf("%q is given twice", field)
		}
		return fmt.Errorf("unknown key %.64q: an entry has address and labels", field)
	})
	switch {
	case err != nil:
		return err
	case key == nil:
		return errors.New("an entry has no address")
	case !labeled:
		return fmt.Errorf("%q: an entry has no labels", *key)
	}
	return b.add(r.here(), *key, r.said)
}

// labels reads the labels of one entry into r.said.
func (r *reader) labels(of string) error {
	r.said = r.said[:0]
	if err := r.expect('{', fmt.Sprintf("%.300q", of)); err != nil {
		return err
	}
	return r.object(func(name string) error {
		value, err := r.text(name)
		if len(r.said) > maxLabels {
			return fmt.Errorf("%.300q: has more than %d labels", of, maxLabels)
		}
		r.said = append(r.said, label{name, value})
		return err
	})
}

// object calls member with each key of an object whose brace was read.
func (r *reader) object(member func(key string) error) error {
	for r.More() {
		key, err := r.Token()
		if err != nil {
			return err
		}
		if err := member(key.(string)); err != nil { // the decoder lets nothing else be a key
			return err
		}
	}
	_, err := r.Token()
	return err
}

func (r *reader) expect(delim json.Delim, what string) error {
	switch t, err := r.Token(); {
	case err != nil:
		return err
	case t != delim:
		return fmt.Errorf("%s is not an object", what)
	}
	return nil
}

func (r *reader) text(name string) (string, error) {
	t, err := r.Token()
	if err != nil {
		return "", err
	}
	s, ok := t.(string)
	if !ok {
		return "", fmt.Errorf("%.128q is not a text", name)
	}
	return s, nil
}

// plain says that the text ended too early as a reader of it would.
func plain(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("ends in the middle: it may be cut off")
	}
	return err
}
