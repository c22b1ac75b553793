// Package render makes the text of a file from a template and the documents
// that it reads.
//
// Templates are those of text/template with a few functions that are pure:
// the same template and documents give the same text on every host that says
// the same of itself. They see no environment, no file and no clock. Whoever
// writes one cannot make the process run away: nothing in a template calls
// itself, and steps, text and time are bounded.
package render

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"text/template"
	"text/template/parse"
	"time"
)

// Bounds of a template and of one rendering.
const (
	MaxTemplate = 1 << 20  // bytes of a template
	MaxOutput   = 16 << 20 // bytes that it may write
	maxText     = 64 << 20 // bytes that its functions may make on the way
	maxSteps    = 1 << 17  // turns of loops, uses of templates, calls
)

// maxTime is how long a rendering may take. Tests of what else bounds one have more.
var maxTime = 10 * time.Second

// Document names a document as a template does. Group and Namespace are empty
// where the template names none.
type Document struct{ DataID, Group, Namespace string }

// Host is what a template is told of the host: {{ .ID }}, {{ .Tag }} and
// {{ .Labels.zone }}.
type Host struct {
	ID, Tag string
	Labels  map[string]string
}

// Template is a parsed template. It is safe for use by several goroutines.
type Template struct {
	root  *template.Template
	reads []Document
}

// Parse returns the template that text is.
func Parse(name, text string) (*Template, error) {
	if len(text) > MaxTemplate {
		return nil, fmt.Errorf("template %s is longer than %d bytes", name, MaxTemplate)
	}
	root, err := template.New(name).Option("missingkey=error").Funcs((&run{}).functions()).Parse(text)
	if err != nil {
		return nil, err
	}
	t := &Template{root: root}
	s := survey{name: name, calls: make(map[string][]string)}
	for _, defined := range root.Templates() {
		if defined.Tree == nil {
			continue
		}
		s.within = defined.Name()
		s.list(defined.Root)
		defined.Root.Nodes = append([]parse.Node{calling(stepName)}, defined.Root.Nodes...)
	}
	if err := s.circle(); err != nil {
		return nil, err
	}
	t.reads = s.reads
	return t, nil
}

// Reads returns the documents that the template names in words. Names that it
// computes are not among them.
func (t *Template) Reads() []Document { return t.reads }

// Lookup returns the content of a document.
type Lookup func(Document) (string, error)

// Render returns what the template makes of the documents that lookup finds.
func (t *Template) Render(ctx context.Context, lookup Lookup, host Host) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, maxTime, fmt.Errorf("takes longer than %v", maxTime))
	defer cancel()
	root, err := t.root.Clone()
	if err != nil {
		return nil, err
	}
	if host.Labels == nil {
		host.Labels = map[string]string{}
	}
	r := &run{lookup: lookup, done: ctx.Done(), cause: func() error { return context.Cause(ctx) }}
	out := &bounded{}
	if err := root.Funcs(r.functions()).Execute(out, host); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// bounded is what a template has written.
type bounded struct{ bytes.Buffer }

var errLong = errors.New("makes too much text")

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > MaxOutput {
		return 0, errLong
	}
	return b.Buffer.Write(p)
}

// run is one rendering.
type run struct {
	lookup Lookup
	done   <-chan struct{}
	cause  func() error
	steps  int
	text   int
}

// step is called at every turn: what has no bound of its own ends here.
func (r *run) step() (string, error) {
	if r.steps++; r.steps > maxSteps {
		return "", fmt.Errorf("takes more than %d steps", maxSteps)
	}
	return r.tick()
}

// tick is called before every action: a long text may keep each of them busy, and
// there is room for many of them.
func (r *run) tick() (string, error) {
	select {
	case <-r.done:
		return "", r.cause()
	default:
		return "", nil
	}
}

// spend accounts for text that a function made.
func (r *run) spend(s string) (string, error) {
	if r.text += len(s); r.text > maxText {
		return "", errLong
	}
	return s, nil
}
