// Package registrytest holds what tests of and around the registry share: a
// store in memory, and the suite that every store must pass.
package registrytest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/musterhq/muster/registry"
)

// Store keeps records in memory. It publishes each commit before Commit
// returns. It holds the judge's office unless Deposed is set.
type Store struct {
	view registry.View

	mu       sync.Mutex
	revision int64
	records  map[registry.Key]stored
	Fail     error // what Commit returns instead of committing; set under Lock
	Deposed  bool  // set under Lock
	commits  int
}

type stored struct {
	value    []byte
	revision int64 // of the last change
}

// NewStore returns an empty store whose view already shows a snapshot.
func NewStore() *Store {
	s := &Store{revision: 1, records: map[registry.Key]stored{}}
	s.view.Publish((*registry.Snapshot)(nil).Apply(1, nil))
	return s
}

// Lock guards Fail and Deposed against commits under way.
func (s *Store) Lock() { s.mu.Lock() }

// Unlock reverses Lock.
func (s *Store) Unlock() { s.mu.Unlock() }

// Depose takes the judge's office from the store.
func (s *Store) Depose() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Deposed = true
}

// View returns the view the store publishes to.
func (s *Store) View() *registry.View { return &s.view }

// Newest implements registry.Store.
func (s *Store) Newest(context.Context) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.revision, s.Fail
}

// Commits returns how many writes were committed so far.
func (s *Store) Commits() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.commits
}

// Load returns what a server shows that starts now: all records, taken in at once.
func (s *Store) Load() *registry.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	changes := make([]registry.Change, 0, len(s.records))
	for k, r := range s.records {
		record, err := registry.Decode(k, r.value)
		if err != nil {
			panic(fmt.Sprintf("a committed record: %v", err))
		}
		changes = append(changes, registry.Change{Key: k, Record: record, Revision: r.revision})
	}
	return (*registry.Snapshot)(nil).Apply(s.revision, changes)
}

// Commit implements registry.Store. Records pass through their stored form, as
// they would in a real store.
func (s *Store) Commit(ctx context.Context, w registry.Write) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if s.Fail != nil {
		return 0, s.Fail
	}
	if w.Judge && s.Deposed {
		return 0, registry.ErrUnavailable
	}
	for _, c := range w.Checks {
		if s.records[c.Key].revision != c.Revision {
			return 0, &registry.StaleError{Revision: s.revision}
		}
	}
	for k, r := range s.records {
		service := registry.ServiceKey{Namespace: k.Name[0], Group: k.Name[1], Name: k.Name[2]}
		if k.Kind == registry.KindRegistration && slices.ContainsFunc(w.Settled, func(w registry.Settled) bool { return w.Service == service && r.revision > w.Revision }) {
			return 0, &registry.StaleError{Revision: s.revision}
		}
	}
	next := s.revision + 1
	var changes []registry.Change
	kept := make(map[registry.Key]stored, len(w.Puts)) // until all of it is known to be good
	for _, r := range w.Puts {
		b, err := json.Marshal(r)
		if err != nil {
			return 0, err
		}
		record, err := registry.Decode(r.RecordKey(), b)
		if err != nil {
			return 0, err
		}
		kept[r.RecordKey()] = stored{b, next}
		changes = append(changes, registry.Change{Key: r.RecordKey(), Record: record, Revision: next})
	}
	maps.Copy(s.records, kept)
	for _, k := range w.Deletes {
		delete(s.records, k)
		changes = append(changes, registry.Change{Key: k, Revision: next})
	}
	s.revision = next
	s.commits++
	s.view.Publish(s.view.Snapshot().Apply(next, changes))
	return next, nil
}

// Roll notes who was heard of.
type Roll struct {
	mu    sync.Mutex
	heard []string
}

// Heard implements registry.Roll.
func (r *Roll) Heard(witness string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard = append(r.heard, witness)
	return nil
}

// Take returns who was heard of since the last call.
func (r *Roll) Take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	heard := r.heard
	r.heard = nil
	return heard
}
