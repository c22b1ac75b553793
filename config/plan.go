package config

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/musterhq/muster/internal/view"
)

const (
	visibleWithin = 2 * time.Second // then a commit is acknowledged as lagging
	maxAttempts   = 1000            // of a rule against what changes meanwhile: each time somebody else has won
)

// Receipt tells what became of a write.
type Receipt struct {
	Revision int64
	Lagging  bool // committed, but this server's snapshot does not show it yet
	// Warnings say what the writer should know although the write was made: a
	// content that its type does not fit, a soft quota. They quote no content.
	Warnings []string
}

// plan is a write in the making, on what a snapshot shows.
type plan struct {
	Write
	snap     *Snapshot
	now      time.Time
	numbers  map[Key]int64 // last ones of the histories that go on
	warnings []string
	grown    map[scope]Usage     // by what was put and removed
	largest  map[scope]*Document // of those that were put
}

func newPlan(snap *Snapshot) *plan {
	return &plan{snap: snap, now: time.Now().UTC(), numbers: map[Key]int64{}, grown: map[scope]Usage{}, largest: map[scope]*Document{}}
}

// check has the write fail if a record changes meanwhile.
func (p *plan) check(k RecordKey) {
	if c := (Check{k, p.snap.revisionOf(k)}); !slices.Contains(p.Checks, c) {
		p.Checks = append(p.Checks, c)
	}
}

// content has a content stored, once.
func (p *plan) content(digest string, b []byte) {
	if !slices.ContainsFunc(p.Contents, func(c Content) bool { return c.Digest == digest }) {
		p.Contents = append(p.Contents, Content{digest, b})
	}
}

func (p *plan) warn(text string) {
	if !slices.Contains(p.warnings, text) {
		p.warnings = append(p.warnings, text)
	}
}

// empty reports whether there is nothing to write.
func (p *plan) empty() bool {
	return len(p.Puts) == 0 && len(p.Deletes) == 0 && len(p.History) == 0 && len(p.numbers) == 0
}

// number returns the next number of a document's history, and takes it.
func (p *plan) number(k Key) int64 {
	if _, ok := p.numbers[k]; !ok {
		p.check(RecordKey{Kind: KindSequence, Key: k})
		p.numbers[k] = p.snap.Sequence(k).Last
	}
	p.numbers[k]++
	return p.numbers[k]
}

// write returns all that is to be written.
func (p *plan) write() Write {
	for k, last := range p.numbers {
		p.Puts = append(p.Puts, Sequence{Key: k, Last: last})
	}
	return p.Write
}

// record keeps that a document, or a release of it, changed from was to is; nil
// is none.
func (p *plan) record(h History, was, is *Document, by Author) {
	h.At, h.User, h.IP = p.now, by.User, by.IP
	switch {
	case is == nil:
		h.Op, h.Head = OpDelete, *was
	case was == nil:
		h.Op, h.Head = OpInsert, *is
	default:
		h.Op, h.Head = OpUpdate, *is
	}
	if was != nil {
		h.Was = was.Digest
	}
	p.History = append(p.History, h)
}

// put places a document where was stood, numbered and dated.
func (p *plan) put(was, is *Document, content []byte, h History, by Author) {
	p.check(is.RecordKey())
	is.Seq = p.number(is.Key)
	is.stamp(was, p.now)
	is.User, is.IP = by.User, by.IP
	p.Puts = append(p.Puts, is)
	p.content(is.Digest, content)
	h.Key, h.Seq = is.Key, is.Seq
	p.record(h, was, is, by)
	p.grow(is.Key, was, is)
}

func (d *Document) stamp(was *Document, now time.Time) {
	d.Created, d.Modified = now, now
	if was != nil {
		d.Created = was.Created
	}
}

// remove removes a document, with its parts.
func (p *plan) remove(was *Document, by Author) {
	p.check(was.RecordKey())
	p.Deletes = append(p.Deletes, was.RecordKey())
	if was.Parts > 0 {
		p.Deletes = append(p.Deletes, RecordKey{Kind: KindPart, Key: was.Key})
	}
	p.record(History{Key: was.Key, Seq: p.number(was.Key)}, was, nil, by)
	p.grow(was.Key, was, nil)
}

// grow counts what a change means to quotas.
func (p *plan) grow(k Key, was, is *Document) {
	d := usageOf(is).minus(usageOf(was))
	for _, o := range []scope{{k.Namespace, ""}, {k.Namespace, k.Group}} {
		g := p.grown[o]
		p.grown[o] = Usage{g.Count + d.Count, g.Total + d.Total}
		if is != nil && (p.largest[o] == nil || p.largest[o].Size < is.Size) {
			p.largest[o] = is
		}
	}
}

// readable returns an error when a record that was checked seems absent because
// it cannot be read: what is there is not to be written over.
func (p *plan) readable() error {
	for _, c := range p.Checks {
		if _, ok := p.snap.unreadable.Get(c.Key); ok {
			return fmt.Errorf("record %s of %s in the store cannot be read: %w", c.Key.Kind, c.Key.Key, ErrUnavailable)
		}
	}
	return nil
}

// apply runs a rule on what stands until its plan is committed; a plan without
// writes wants none. A rule that writes nothing, or refuses, is heard only on a
// snapshot that shows all that was committed before the call, here or elsewhere:
// no commit proves it right.
func (c *Center) apply(ctx context.Context, rule func(*plan) error) (Receipt, error) {
	var stale *StaleError
	now := view.Current[Snapshot, *Snapshot]{View: c.store.View(), Newest: c.store.Newest, Patience: visibleWithin}
	for range maxAttempts {
		snap := c.Snapshot()
		if snap == nil {
			return Receipt{}, ErrUnavailable
		}
		p := newPlan(snap)
		err := rule(p)
		if unreadable := p.readable(); unreadable != nil {
			return Receipt{}, unreadable
		}
		if err == nil {
			err = p.holdQuotas()
		}
		if err != nil || p.empty() {
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
		revision, err := c.store.Commit(ctx, p.write())
		if err == nil {
			return Receipt{revision, !c.visible(ctx, revision), p.warnings}, nil
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
