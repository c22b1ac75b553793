package folder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Next is what is to be done about a document.
type Next string

// What may be next.
const (
	Nothing Next = ""
	Push    Next = "push"     // changed in the folder alone
	Pull    Next = "pull"     // changed on the server alone
	Clash   Next = "conflict" // changed on both sides, to different ends
	Settle  Next = "settle"   // changed on both sides to the same: only remembered
)

// next compares what both sides had last with what each has now. All three are MD5s
// of contents, empty for none.
func next(base, here, there string) Next {
	switch {
	case here == there && here == base:
		return Nothing
	case here == there:
		return Settle
	case there == base:
		return Push
	case here == base:
		return Pull
	}
	return Clash
}

// change says what became of a content.
func change(from, to string) string {
	switch {
	case from == to:
		return ""
	case from == "":
		return "added"
	case to == "":
		return "removed"
	}
	return "changed"
}

// Entry is a document that is not the same on both sides.
type Entry struct {
	Path   string `json:"path"`
	Group  string `json:"group"`
	DataID string `json:"dataId"`
	Next   Next   `json:"next"`
	Here   string `json:"here,omitempty"`   // what the folder did: added, changed or removed
	There  string `json:"server,omitempty"` // what the server did
	Fault  string `json:"fault,omitempty"`  // why the file is no document

	base, here, there string // MD5s
}

func (e *Entry) key() Key { return Key{e.Group, e.DataID} }

// Comparison is how a folder and its namespace differ.
type Comparison struct {
	Revision int64   `json:"revision"`         // of the server
	Entries  []Entry `json:"entries"`          // by path
	Faults   []Note  `json:"faults,omitempty"` // what is no document, and may have been meant to be one
	Spare    []Note  `json:"spare,omitempty"`  // what is no document, and need not be one

	heads  map[Key]Head
	staged []string
}

// Of returns the entries that have something next.
func (c *Comparison) Of(n Next) []Entry {
	return slices.Collect(func(yield func(Entry) bool) {
		for _, e := range c.Entries {
			if e.Next == n && !yield(e) {
				return
			}
		}
	})
}

// Compare tells how the folder and the server differ. It changes nothing.
func (f *Folder) Compare(ctx context.Context, server Server) (*Comparison, error) {
	heads, revision, err := f.heads(ctx, server)
	if err != nil {
		return nil, err
	}
	seen, err := f.look()
	if err != nil {
		return nil, err
	}
	c := &Comparison{Revision: revision, Entries: []Entry{}, Faults: seen.faults, Spare: seen.spare, heads: heads, staged: seen.staged}
	keys := make(map[Key]string)
	for path := range f.Documents {
		k, _ := KeyOf(path) // it was looked at when it was read
		keys[k] = path
	}
	for k := range heads {
		keys[k] = k.Path()
	}
	for k := range seen.files {
		keys[k] = k.Path()
	}
	for k, path := range keys {
		e := Entry{Path: path, Group: k.Group, DataID: k.DataID, Fault: seen.files[k].fault,
			base: f.Documents[path].MD5, here: seen.files[k].md5, there: heads[k].MD5}
		e.Next, e.Here, e.There = next(e.base, e.here, e.there), change(e.base, e.here), change(e.base, e.there)
		if e.Next != Nothing {
			c.Entries = append(c.Entries, e)
		}
	}
	slices.SortFunc(c.Entries, func(a, b Entry) int { return cmp.Compare(a.Path, b.Path) })
	return c, nil
}

// How long a server that lags behind others is waited for.
const (
	patience = 3 * time.Second
	pause    = 100 * time.Millisecond
)

// heads returns what the server has. One that shows less than the folder has seen
// is asked again: what it does not show yet would seem to be removed.
func (f *Folder) heads(ctx context.Context, server Server) (map[Key]Head, int64, error) {
	for until := time.Now().Add(patience); ; {
		list, revision, err := server.Heads(ctx)
		if err != nil {
			return nil, 0, err
		}
		if revision >= f.Revision {
			heads, err := f.confirm(ctx, server, list)
			return heads, revision, err
		}
		if time.Now().After(until) {
			return nil, 0, fmt.Errorf("the server shows revision %d, and this folder has seen %d: it lags, or holds another store; "+
				"clone from another store into a folder of its own: %w", revision, f.Revision, ErrBehind)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, 0, context.Cause(ctx)
		}
	}
}

// atOnce is how many documents are asked for at a time.
const atOnce = 8

// confirm asks for each document that seems to be removed: a list that is read in
// pages may miss one when others come and go meanwhile.
func (f *Folder) confirm(ctx context.Context, server Server, list []Head) (map[Key]Head, error) {
	heads := make(map[Key]Head, len(list))
	for _, h := range list {
		if err := h.Key.Validate(); err != nil {
			return nil, fmt.Errorf("the server tells of a document that none can be: %w", err)
		}
		if h.MD5 == "" || h.MD5 == unreadable {
			return nil, fmt.Errorf("the server tells of %s without its MD5", h.Key.Path())
		}
		heads[h.Key] = h
	}
	var missing []Key
	for path := range f.Documents {
		k, _ := KeyOf(path)
		if _, ok := heads[k]; !ok {
			missing = append(missing, k)
		}
	}
	var mu sync.Mutex // of heads, from here on
	return heads, each(ctx, missing, func(ctx context.Context, k Key) error {
		h, _, err := server.Document(ctx, k)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		heads[k] = h
		return nil
	})
}

// each does something with all, a few at a time, until one fails.
func each[T any](ctx context.Context, all []T, do func(context.Context, T) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, one := range all {
		g.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return do(ctx, one)
		})
	}
	return g.Wait()
}
