package configfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/musterhq/muster/agent/render"
	"github.com/musterhq/muster/client"
)

// source is where the content of one file comes from. The watch loop alone
// changes it, under the Keeper's mutex.
type source struct {
	name     string      // of the file in its bundle; empty for a file
	mode     fs.FileMode // of the file in its bundle
	document client.Name // the content, or the template; zero for a local template
	template *Template   // nil: the document is the content
	space    string      // namespace of documents that name none

	parsed *render.Template
	reads  []client.Name // that the template needs
	err    error         // why there is no parsed template
	stamp  stamp         // of a local file when it was last read
}

// stamp changes when a file does.
type stamp struct {
	at    time.Time
	size  int64
	inode uint64
}

func newSource(dataID, group, namespace string, t *Template, space string) *source {
	s := &source{template: t, space: space}
	switch {
	case t == nil:
		s.document = nameOf(dataID, group, namespace, space)
	case t.DataID != "":
		s.document = nameOf(t.DataID, t.Group, t.Namespace, space)
		s.reads = s.listed()
		s.err = errNotYet
	case t.Text != "":
		s.parse(t.Text)
	default:
		s.err = errNotYet
	}
	return s
}

var errNotYet = errors.New("has not been read yet")

// String returns what the content comes from, for people.
func (s *source) String() string {
	switch {
	case s.template == nil:
		return s.document.String()
	case s.template.File != "":
		return "template " + s.template.File
	case s.template.DataID != "":
		return "template " + s.document.String()
	}
	return "template"
}

// inputs returns the documents that the content depends on.
func (s *source) inputs() []client.Name {
	if s.document == (client.Name{}) {
		return s.reads
	}
	return append([]client.Name{s.document}, s.reads...)
}

// listed returns the documents that the entry says the template reads.
func (s *source) listed() []client.Name {
	var all []client.Name
	for _, r := range s.template.Reads {
		all = append(all, nameOf(r.DataID, r.Group, r.Namespace, s.space))
	}
	return all
}

// parse takes up the text of the template. What one that is wrong was known to
// read is kept: the next one will hardly read something else.
func (s *source) parse(text string) {
	parsed, err := render.Parse(s.String(), text)
	s.parsed, s.err = parsed, err
	if err != nil {
		return
	}
	s.reads = s.listed()
	for _, d := range parsed.Reads() {
		n := s.named(d)
		if n != s.document && !slices.Contains(s.reads, n) {
			s.reads = append(s.reads, n)
		}
	}
	if len(s.reads) > maxReads {
		s.parsed, s.reads, s.err = nil, s.listed(), fmt.Errorf("reads %d documents, at most %d", len(s.reads), maxReads)
	}
}

func (s *source) named(d render.Document) client.Name {
	return nameOf(d.DataID, d.Group, d.Namespace, s.space)
}

// refresh reads a local template that has changed, and reports whether it has.
func (s *source) refresh() bool {
	if s.template == nil || s.template.File == "" {
		return false
	}
	text, now, err := readTemplate(s.template.File, s.stamp)
	if err == nil && now == s.stamp {
		return false
	}
	before := s.err
	s.stamp = now
	if err == nil {
		s.parse(text)
		return true
	}
	s.parsed, s.err = nil, err
	return before == nil || before.Error() != err.Error()
}

// readTemplate returns the text of a local template, unless it is the one with
// the stamp known.
func readTemplate(path string, known stamp) (text string, now stamp, err error) {
	// A pipe is not waited for, nor a device opened, which may do something then.
	if info, err := os.Stat(path); err != nil {
		return "", stamp{}, err
	} else if !info.Mode().IsRegular() {
		return "", stamp{}, fmt.Errorf("%s is no regular file", path)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", stamp{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", stamp{}, err
	}
	if !info.Mode().IsRegular() {
		return "", stamp{}, fmt.Errorf("%s is no regular file", path)
	}
	now = stamp{at: info.ModTime(), size: info.Size()}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		now.inode = stat.Ino
	}
	if now == known {
		return "", now, nil
	}
	var b strings.Builder
	_, err = io.Copy(&b, io.LimitReader(f, render.MaxTemplate+1))
	return b.String(), now, err
}

// part is a source as it was when its target was told of it.
type part struct {
	source
	what string // what it comes from, for people
}

// content returns the content of the file.
func (p part) content(ctx context.Context, w *wanted, host render.Host) ([]byte, *setback) {
	have := w.documents
	for _, n := range p.inputs() {
		if _, ok := have[n]; ok {
			continue
		}
		if w.cached {
			return nil, &setback{what: "config " + n.String() + " is not known yet: no server has been reached", final: true}
		}
		return nil, &setback{what: "config " + n.String() + " does not exist", final: true}
	}
	if p.template == nil {
		return have[p.document].Content, nil
	}
	if p.err != nil {
		return nil, &setback{what: p.what + " cannot be used", more: p.err.Error(), final: true}
	}
	look := func(d render.Document) (string, error) {
		n := p.named(d)
		if !slices.Contains(p.inputs(), n) {
			return "", fmt.Errorf("config %s is not among the documents of this template: name it under reads", n)
		}
		return string(have[n].Content), nil
	}
	content, err := p.parsed.Render(ctx, look, host)
	if err != nil {
		return nil, &setback{what: p.what + " cannot be rendered", more: err.Error(), final: true}
	}
	return content, nil
}
