package registry

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/musterhq/muster/internal/view"
)

// Write is one atomic change: it is committed whole if every check holds, else
// not at all.
type Write struct {
	Checks  []Check
	Puts    []Record
	Deletes []Key
	// Settled names services that no registration may have come to; one that has
	// fails like a check. Checks alone cannot say it: a registration that comes at
	// the same time changes a record of its own.
	Settled []Settled
	// Judge makes the write conditional on this server holding the judge's
	// office, so that a deposed judge changes nothing.
	Judge bool
}

// Check demands that a record last changed at Revision; 0 demands its absence.
type Check struct {
	Key      Key
	Revision int64
}

// Settled demands that no registration of a service was put after Revision; at 0
// the service must have none at all. One that is deleted does not count.
type Settled struct {
	Service  ServiceKey
	Revision int64
}

// Store keeps the records. Implementations are safe for concurrent use.
type Store interface {
	// View returns the view that the store publishes its snapshots to.
	View() *View
	// Commit writes w and returns the revision it was committed at. A check that
	// failed is a *StaleError; ErrUnavailable and ErrFull say what they say.
	Commit(ctx context.Context, w Write) (revision int64, err error)
	// Newest returns a revision by which all is in that was committed anywhere
	// before the call, or ErrUnavailable.
	Newest(ctx context.Context) (revision int64, err error)
}

// SetStore is a Store that takes several writes at once: each is committed whole or
// not at all, and all that fit into one transaction are in one.
type SetStore interface {
	Store
	CommitAll(ctx context.Context, writes []Write) []Outcome
}

// Outcome is what became of one of several writes.
type Outcome struct {
	Revision int64
	Err      error
}

// Roll is told who was heard of.
type Roll interface {
	// Heard restarts the timers of a witness. It returns ErrUnavailable when
	// this server does not judge, as then nobody would know of the beat.
	Heard(witness string) error
}

// Registry applies the rules of the roll. It is safe for concurrent use.
type Registry struct {
	store Store
	roll  Roll
	terms Terms
}

// New returns a Registry over a store; roll hears every beat and registration.
func New(store Store, roll Roll) *Registry { return &Registry{store: store, roll: roll} }

// Snapshot returns the current snapshot, nil before the store's first list.
func (r *Registry) Snapshot() *Snapshot { return r.store.View().Snapshot() }

// Receipt tells what became of a write.
type Receipt struct {
	Revision int64 // it was committed at, or of the snapshot when nothing had to change
	Lagging  bool  // committed, but this server's snapshot does not show it yet
	Wrote    bool  // false: what stood already said so
	// After is what would stand, when nothing was to be written ([Terms].DryRun);
	// else nil.
	After *Snapshot
}

const (
	visibleWithin = 2 * time.Second // then a commit is acknowledged as lagging
	maxAttempts   = 1000            // of a rule against what changes meanwhile: each time somebody else has won
)

// apply runs a rule until what it decided on a snapshot is committed. The rule
// is called again, on a newer snapshot, when a record it relied on had changed.
//
// A commit proves that the snapshot was right about what the rule relied on. A
// rule that writes nothing, or only would, has no such proof: another server may
// have committed what this one does not show yet. So it is heard only on a snapshot
// that shows all that was committed before the call. A judge needs no more than its snapshot:
// what it leaves undone is due again.
func (r *Registry) apply(ctx context.Context, rule func(*plan) error) (Receipt, error) {
	var stale *StaleError
	now := r.current()
	for range maxAttempts {
		snap := r.Snapshot()
		if snap == nil {
			return Receipt{}, ErrUnavailable
		}
		p := &plan{snap: snap}
		err := r.terms.hold(p)
		if err == nil {
			err = rule(p)
		}
		idle := err != nil || p.empty() // nothing is to be written
		if idle && (errors.Is(err, ErrInvalid) || p.Judge) {
			return Receipt{Revision: snap.Revision()}, err
		}
		if idle || r.terms.DryRun {
			shown, unsure := now.ShownBy(ctx, snap)
			if unsure != nil {
				return Receipt{}, behind(unsure)
			}
			if !shown {
				continue
			}
		}
		if idle {
			return r.unwritten(snap), err
		}
		if err := snap.readable(p.Checks); err != nil {
			return Receipt{}, err
		}
		if r.terms.DryRun {
			return Receipt{Revision: snap.Revision(), Wrote: true, After: p.preview()}, nil
		}
		revision, err := r.store.Commit(ctx, p.Write)
		if err == nil {
			return Receipt{Revision: revision, Lagging: !r.visible(ctx, revision), Wrote: true}, nil
		}
		if !errors.As(err, &stale) {
			return Receipt{}, err
		}
		if !r.visible(ctx, stale.Revision) {
			return Receipt{}, ErrUnavailable
		}
	}
	return Receipt{}, stale
}

// unwritten is the receipt of a rule that found nothing to write.
func (r *Registry) unwritten(snap *Snapshot) Receipt {
	receipt := Receipt{Revision: snap.Revision()}
	if r.terms.DryRun {
		receipt.After = snap
	}
	return receipt
}

// current returns what tells whether a snapshot shows all that was committed
// before now.
func (r *Registry) current() *view.Current[Snapshot, *Snapshot] {
	return &view.Current[Snapshot, *Snapshot]{View: r.store.View(), Newest: r.store.Newest, Patience: visibleWithin}
}

// behind names what a Current fails with as callers know it.
func behind(err error) error {
	if errors.Is(err, view.ErrBehind) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

// readable returns an error when a rule took for absent what cannot be read: its
// write could never be committed.
func (s *Snapshot) readable(checks []Check) error {
	if s.unreadable.Len() == 0 {
		return nil
	}
	for _, c := range checks {
		if _, bad := s.unreadable.Get(c.Key); bad {
			return fmt.Errorf("record %s %q in the store cannot be read: %w", c.Key.Kind, c.Key.Name[:c.Key.Kind.Parts()], ErrUnavailable)
		}
	}
	return nil
}

func (r *Registry) visible(ctx context.Context, revision int64) bool {
	ctx, cancel := context.WithTimeout(ctx, visibleWithin)
	defer cancel()
	return r.store.View().Wait(ctx, revision)
}

// plan collects what a rule decides on one snapshot.
type plan struct {
	Write
	snap     *Snapshot
	planned  map[Key]bool          // puts, so that one write names a record once
	metadata int                   // bytes of it in what is put
	come     map[string]Population // what is new, by namespace, where quotas are
}

func (p *plan) empty() bool { return len(p.Puts) == 0 && len(p.Deletes) == 0 }

// size is what the write counts against a store's limit of operations.
func (p *plan) size() int { return max(len(p.Checks), len(p.Puts)+len(p.Deletes)) }

func (p *plan) check(k Key, revision int64) {
	if c := (Check{k, revision}); !slices.Contains(p.Checks, c) {
		p.Checks = append(p.Checks, c)
	}
}

func (p *plan) put(rec Record) {
	if p.planned == nil {
		p.planned = map[Key]bool{}
	}
	p.planned[rec.RecordKey()] = true
	p.Puts = append(p.Puts, rec)
	switch r := rec.(type) {
	case *Registration:
		if r.Witness != WitnessConnection {
			p.unheld(r.RecordKey())
		}
		p.weigh(r.Metadata.All())
	case *Override:
		p.weigh(maps.All(r.Metadata))
	case *Standby:
		for _, w := range r.Agents {
			p.weigh(w.Metadata.All())
		}
	}
}

func (p *plan) weigh(metadata iter.Seq2[string, string]) {
	for k, v := range metadata {
		p.metadata += len(k) + len(v)
	}
}

func (p *plan) delete(k Key) {
	p.Deletes = append(p.Deletes, k)
	if k.Kind == KindRegistration {
		p.unheld(k)
	}
}

// deleteVerdict drops the verdict on a witness's class, if one stands.
func (p *plan) deleteVerdict(k VerdictKey) {
	if _, ok := p.snap.verdicts.Get(k); ok && !slices.Contains(p.Deletes, k.record()) {
		p.delete(k.record())
	}
}
