package folder

import (
	"context"
	"errors"

	"github.com/musterhq/muster/internal/diff"
)

// Difference shows what changed on each side since both had the same, in the
// unified format. Of a document that both sides added it is one alone: what makes
// the server's version the folder's.
type Difference struct {
	Ours   string `json:"hereDiff,omitempty"`
	Theirs string `json:"serverDiff,omitempty"`
}

// Differ shows what an entry is about.
func (f *Folder) Differ(ctx context.Context, server Server, e Entry) (Difference, error) {
	var there []byte
	if e.there != "" {
		_, content, err := server.Document(ctx, e.key())
		if err != nil && !errors.Is(err, ErrNotFound) {
			return Difference{}, err
		}
		there = content
	}
	base, here := f.base(e.base), f.read(e.key()).content
	switch {
	case base == nil && e.base != "" && e.base == e.there:
		base = there
	case base == nil && e.base != "" && e.base == e.here:
		base = here
	}
	from := func(side string, content []byte) diff.Text {
		return diff.Text{Label: side + "/" + e.Path, Content: content}
	}
	if base == nil && here != nil && there != nil {
		return Difference{Ours: diff.Unified(from("server", there), from("folder", here))}, nil
	}
	var d Difference
	if e.here != e.base && e.Fault == "" {
		d.Ours = diff.Unified(from("base", base), from("folder", here))
	}
	if e.there != e.base {
		d.Theirs = diff.Unified(from("base", base), from("server", there))
	}
	return d, nil
}
