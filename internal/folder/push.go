package folder

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/musterhq/muster/config"
)

// Push publishes what changed in the folder alone, and removes what was removed
// there: all of it at once, or nothing; or else in parts, of which each is that. Nothing is published either while a document
// changed on both sides, unless the choice takes the folder's version.
func (f *Folder) Push(ctx context.Context, server Server, o Choice) (*Result, error) {
	s, end, err := f.begin(ctx, server, o)
	if err != nil {
		return nil, err
	}
	defer end()
	var settled []Entry
	for _, e := range s.seen.Entries {
		switch {
		case e.Next == Push, e.Next == Clash && covers(o.Ours, e.Path):
			if e.Here == "" || e.base != e.there {
				e.Here = change(e.there, e.here)
			}
			e.There = ""
			s.result.Done = append(s.result.Done, e)
		case e.Next == Pull:
			s.result.Left = append(s.result.Left, e)
		case e.Next == Settle:
			settled = append(settled, e)
		default:
			if err := s.conflict(ctx, e); err != nil {
				return nil, err
			}
		}
	}
	changes, err := s.changes()
	if err != nil {
		return nil, err
	}
	if len(s.result.Conflicts) > 0 {
		s.result.Done = []Entry{}
		return s.result, nil
	}
	if len(parts(changes)) > 1 && !o.InParts {
		return nil, fmt.Errorf("%d documents changed, and %w", len(changes), ErrTooMany)
	}
	if o.DryRun {
		return s.result, nil
	}
	for _, e := range settled {
		if err := s.settle(e); err != nil {
			return nil, err
		}
	}
	return s.result, errors.Join(s.publish(ctx, changes), s.finish())
}

// What a server changes at once, at most.
const (
	atATime      = config.MaxEdits
	atATimeBytes = 30 << 20 // as they travel
)

// travels is about how long a content is in a write of several, a text of JSON.
func travels(content []byte) int {
	n := len(content)
	for _, c := range content {
		switch {
		case c == '\n', c == '\r', c == '\t', c == '"', c == '\\':
			n++
		case c < ' ', c == '<', c == '>', c == '&', c == 0x7f:
			n += len(`\u0000`) - 1
		}
	}
	return n
}

// parts cuts changes into as many writes as they need.
func parts(changes []Change) [][]Change {
	var all [][]Change
	first, size := 0, 0
	for i, c := range changes {
		n := travels(c.Content)
		if i > first && (i-first == atATime || size+n > atATimeBytes) {
			all, first, size = append(all, changes[first:i]), i, 0
		}
		size += n
	}
	if first < len(changes) {
		all = append(all, changes[first:])
	}
	return all
}

// publish makes all changes, part by part.
func (s *session) publish(ctx context.Context, changes []Change) error {
	done := 0
	for _, part := range parts(changes) {
		err := s.apply(ctx, part)
		if err != nil && done > 0 {
			err = fmt.Errorf("%d of %d documents are published: %w", done, len(changes), err)
		}
		if err != nil {
			return err
		}
		done += len(part)
	}
	return nil
}

// changes returns what the entries that are to be done mean to the server, or an
// error that names all that is no document: it may have been meant to be published.
func (s *session) changes() ([]Change, error) {
	var faults []error
	for _, n := range s.seen.Faults {
		faults = append(faults, fmt.Errorf("%s: %s", n.Path, n.Text))
	}
	all := make([]Change, 0, len(s.result.Done))
	for _, e := range s.result.Done {
		k := e.key()
		h, stands := s.seen.heads[k]
		c := Change{Key: k, IfMD5: h.MD5, Meta: h.Meta}
		if !stands {
			c.Meta = s.Documents[e.Path].Meta
		}
		if c.Type == "" {
			c.Type = typeOf(k.DataID)
		}
		if e.here != "" {
			read := s.read(k)
			if read.md5 != e.here && read.fault == "" {
				read.fault = errTouched.Error()
			}
			if read.fault == "" && h.Locked != "" {
				read.fault = h.Locked
			}
			if read.fault != "" {
				faults = append(faults, fmt.Errorf("%s: %s", e.Path, read.fault))
			}
			c.Content = read.content
		}
		all = append(all, c)
	}
	if len(faults) > 0 {
		return nil, errors.Join(append(faults, errors.New("nothing is published"))...)
	}
	return all, nil
}

func (s *session) apply(ctx context.Context, changes []Change) error {
	done, err := s.server.Apply(ctx, changes)
	if err != nil {
		return err
	}
	stands := make(map[Key]Meta, len(done.Heads))
	for _, h := range done.Heads {
		stands[h.Key] = h.Meta
	}
	for _, c := range changes {
		delete(s.seen.heads, c.Key) // what was listed stands no more
		if c.Content == nil {
			s.forget(c.Key.Path())
		} else if err := s.remember(c.Key.Path(), c.Content, stands[c.Key]); err != nil {
			return err
		}
	}
	s.result.Revision = max(s.result.Revision, done.Revision)
	s.result.Warnings = append(s.result.Warnings, done.Warnings...)
	return nil
}

// typeOf returns the type that a new document has by the end of its name, empty
// where that says nothing.
func typeOf(dataID string) string {
	switch ext := strings.ToLower(path.Ext(dataID)); ext {
	case ".properties", ".xml", ".json", ".html", ".yaml", ".toml":
		return ext[1:]
	case ".yml":
		return "yaml"
	case ".htm":
		return "html"
	case ".txt":
		return "text"
	}
	return ""
}
