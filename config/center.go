package config

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/musterhq/muster/internal/view"
)

// Write is one atomic change of a document: head, sequence and history record,
// if head and sequence are still what the rule saw.
type Write struct {
	Key      Key
	Content  []byte    // stored under its digest before the head is; nil when Head is
	Head     *Document // nil deletes
	HeadWas  int64     // revision of the head, 0 when there was none
	History  History
	SeqWas   int64 // revision of the sequence, 0 when there was none
	Sequence int64
}

// Store keeps documents. Implementations are safe for concurrent use.
type Store interface {
	// View returns the view that the store publishes its snapshots to.
	View() *View
	// Commit writes w and returns the revision it was committed at. What changed
	// meanwhile is a *StaleError.
	Commit(ctx context.Context, w Write) (revision int64, err error)
	// Newest returns a revision by which all is in that was committed anywhere
	// before the call, or ErrUnavailable.
	Newest(ctx context.Context) (revision int64, err error)
	// Content returns what lies under a digest; ErrNotFound when nothing does.
	Content(ctx context.Context, digest string) ([]byte, error)
}

// StaleError is returned by a [Store] when the document had changed by Revision.
type StaleError struct{ Revision int64 }

func (e *StaleError) Error() string {
	return fmt.Sprintf("changed meanwhile, at revision %d", e.Revision)
}

// Unwrap returns ErrConflict.
func (e *StaleError) Unwrap() error { return ErrConflict }

// Center applies the rules of the configuration centre. It is safe for
// concurrent use.
type Center struct{ store Store }

// New returns a Center over a store.
func New(store Store) *Center { return &Center{store} }

// View returns the view of the centre's snapshots.
func (c *Center) View() *View { return c.store.View() }

// Snapshot returns the current snapshot, nil before the store's first list.
func (c *Center) Snapshot() *Snapshot { return c.store.View().Snapshot() }

// Author is who changes a document, and from where.
type Author struct{ User, IP string }

// Draft is a document to publish.
type Draft struct {
	Key     Key
	Content []byte
	Type    string // CleanType decides
	Desc    string
	App     string
	Tags    []string
	Author  Author
	// IfMD5 publishes only over a content with this MD5, or where there is no
	// document; empty publishes over anything.
	IfMD5 string
	// Exists publishes only over a document.
	Exists bool
	// Create publishes only where there is no document.
	Create bool
}

// Receipt tells what became of a write.
type Receipt struct {
	Revision int64
	Lagging  bool // committed, but this server's snapshot does not show it yet
}

const (
	visibleWithin = 2 * time.Second // then a commit is acknowledged as lagging
	maxAttempts   = 1000            // of a rule against what changes meanwhile: each time somebody else has won
	maxDesc       = 128             // characters, as in Nacos
	maxTags       = 5
	maxTag        = 64
)

// Publish stores a new version of a document and returns its head. A condition
// that does not hold is an error that is ErrConflict. Equal content is a new
// version with the same digest.
func (c *Center) Publish(ctx context.Context, d Draft) (*Document, Receipt, error) {
	if err := d.validate(); err != nil {
		return nil, Receipt{}, err
	}
	head := &Document{Key: d.Key, Type: CleanType(d.Type), Desc: d.Desc, App: d.App, Tags: slices.Clone(d.Tags),
		Size: len(d.Content), User: d.Author.User, IP: d.Author.IP}
	head.MD5, head.Digest = Sum(d.Content)
	var published *Document
	receipt, err := c.apply(ctx, d.Key, func(stands *Document, last int64) (*Write, error) {
		if stands == nil && d.Exists {
			return nil, fmt.Errorf("document %s does not exist: %w", d.Key, ErrConflict)
		}
		if stands != nil {
			if d.Create {
				return nil, fmt.Errorf("document %s exists already: %w", d.Key, ErrConflict)
			}
			if err := stands.unlessMD5(d.IfMD5); err != nil {
				return nil, err
			}
		}
		next := *head
		next.Seq, next.Modified = last+1, time.Now().UTC()
		next.Created = next.Modified
		op := OpInsert
		if stands != nil {
			op, next.Created = OpUpdate, stands.Created
		}
		published = &next
		return &Write{Content: d.Content, Head: &next,
			History: History{Op: op, Head: next, At: next.Modified, User: d.Author.User, IP: d.Author.IP}}, nil
	})
	if err != nil {
		return nil, receipt, err
	}
	head = new(*published) // what was handed to the store is not to be touched
	head.Revision = receipt.Revision
	return head, receipt, nil
}

// Delete removes a document and reports whether there was one. With ifMD5 it
// does so only over a content with this MD5; another one is an error that is
// ErrConflict.
func (c *Center) Delete(ctx context.Context, k Key, ifMD5 string, by Author) (bool, Receipt, error) {
	if err := k.Validate(); err != nil {
		return false, Receipt{}, err
	}
	existed := false
	receipt, err := c.apply(ctx, k, func(stands *Document, _ int64) (*Write, error) {
		if existed = stands != nil; !existed {
			return nil, nil
		}
		if err := stands.unlessMD5(ifMD5); err != nil {
			return nil, err
		}
		return &Write{History: History{Op: OpDelete, Head: *stands, At: time.Now().UTC(), User: by.User, IP: by.IP}}, nil
	})
	return existed, receipt, err
}

// unlessMD5 returns a conflict unless the document has the MD5 that is asked for.
func (d *Document) unlessMD5(want string) error {
	if want == "" || want == d.MD5 {
		return nil
	}
	return fmt.Errorf("document %s has MD5 %s, not %s: %w", d.Key, d.MD5, want, ErrConflict)
}

// Get returns a document's head and content; ErrNotFound when there is none.
func (c *Center) Get(ctx context.Context, k Key) (*Document, []byte, error) {
	if err := k.Validate(); err != nil {
		return nil, nil, err
	}
	snap := c.Snapshot()
	if snap == nil {
		return nil, nil, ErrUnavailable
	}
	d := snap.Head(k)
	if d == nil {
		return nil, nil, fmt.Errorf("document %s: %w", k, ErrNotFound)
	}
	content, err := c.store.Content(ctx, d.Digest)
	if err != nil {
		return nil, nil, fmt.Errorf("content of %s: %w", k, err)
	}
	return d, content, nil
}

// readable returns an error when a document seems absent because it cannot be
// read: no write to it could ever be committed.
func (s *Snapshot) readable(k Key) error {
	_, head := s.records.Get(recordKey{k, true})
	_, seq := s.records.Get(recordKey{k, false})
	if head && s.Head(k) == nil || seq && s.Sequence(k).Last == 0 {
		return fmt.Errorf("document %s in the store cannot be read: %w", k, ErrUnavailable)
	}
	return nil
}

// apply runs a rule on what stands of one document until its write is
// committed; a rule that returns nil wants none. A rule that writes nothing, or
// refuses, is heard only on a snapshot that shows all that was committed before
// the call, here or elsewhere: no commit proves it right.
func (c *Center) apply(ctx context.Context, k Key, rule func(stands *Document, last int64) (*Write, error)) (Receipt, error) {
	var stale *StaleError
	now := view.Current[Snapshot, *Snapshot]{View: c.store.View(), Newest: c.store.Newest, Patience: visibleWithin}
	for range maxAttempts {
		snap := c.Snapshot()
		if snap == nil {
			return Receipt{}, ErrUnavailable
		}
		if err := snap.readable(k); err != nil {
			return Receipt{}, err
		}
		stands, seq := snap.Head(k), snap.Sequence(k)
		w, err := rule(stands, seq.Last)
		if err != nil || w == nil {
			shown, unsure := now.ShownBy(ctx, snap)
			if errors.Is(unsure, view.ErrBehind) {
				unsure = fmt.Errorf("%w: %w", ErrUnavailable, unsure)
			}
			if unsure != nil {
				return Receipt{}, unsure
			}
			if !shown {
				continue
			}
			return Receipt{Revision: snap.Revision()}, err
		}
		w.Key, w.SeqWas, w.Sequence = k, seq.Revision, seq.Last+1
		w.History.Key, w.History.Seq = k, w.Sequence
		if stands != nil {
			w.HeadWas = stands.Revision
		}
		revision, err := c.store.Commit(ctx, *w)
		if err == nil {
			return Receipt{revision, !c.visible(ctx, revision)}, nil
		}
		if !errors.As(err, &stale) {
			return Receipt{}, err
		}
		if !c.visible(ctx, stale.Revision) {
			return Receipt{}, ErrUnavailable
		}
	}
	return Receipt{}, stale
}

func (c *Center) visible(ctx context.Context, revision int64) bool {
	ctx, cancel := context.WithTimeout(ctx, visibleWithin)
	defer cancel()
	return c.store.View().Wait(ctx, revision)
}
