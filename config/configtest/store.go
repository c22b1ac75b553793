// Package configtest holds what tests of and around the configuration centre
// share: a store in memory, and the suite that every store must pass.
package configtest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/musterhq/muster/config"
)

// Store keeps documents in memory. It publishes each commit before Commit
// returns.
type Store struct {
	view config.View

	mu        sync.Mutex
	revision  int64
	revisions map[config.RecordKey]int64
	content   map[string][]byte               // by digest
	history   map[config.Key][]config.History // the oldest first
	fail      error
}

// NewStore returns an empty store whose view already shows a snapshot.
func NewStore() *Store {
	s := &Store{revision: 1, revisions: map[config.RecordKey]int64{}, content: map[string][]byte{}, history: map[config.Key][]config.History{}}
	s.view.Publish((*config.Snapshot)(nil).Apply(1, nil))
	return s
}

// Fail has every commit end with err, nil to have them succeed again.
func (s *Store) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

// Forget loses all contents.
func (s *Store) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.content)
}

// View returns the view the store publishes to.
func (s *Store) View() *config.View { return &s.view }

// Content returns what lies under a digest.
func (s *Store) Content(ctx context.Context, digest string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	content, ok := s.content[digest]
	if !ok {
		return nil, fmt.Errorf("content %s: %w", digest, config.ErrNotFound)
	}
	return bytes.Clone(content), nil
}

// Newest implements config.Store.
func (s *Store) Newest(context.Context) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.revision, s.fail
}

// Holding implements config.Store.
func (s *Store) Holding(_ context.Context, digests map[string]bool, text string) (map[string]bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := map[string]bool{}
	for digest := range digests {
		if bytes.Contains(s.content[digest], []byte(text)) {
			found[digest] = true
		}
	}
	return found, s.fail
}

// History implements config.Store.
func (s *Store) History(_ context.Context, k config.Key, before int64, limit int) ([]config.History, int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.view.Snapshot().Sequence(k).Last
	if before == 0 || before > last {
		before = last + 1
	}
	var records []config.History
	total := 0
	for _, h := range slices.Backward(s.history[k]) {
		if h.Seq <= last {
			total++
			if h.Seq < before && len(records) < limit {
				records = append(records, h)
			}
		}
	}
	return records, total, s.fail
}

// Commit implements config.Store. Records pass through their stored form, as
// they would in a real store.
func (s *Store) Commit(ctx context.Context, w config.Write) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if s.fail != nil {
		return 0, s.fail
	}
	for _, c := range w.Checks {
		if s.revisions[c.Key] != c.Revision {
			return 0, &config.StaleError{Revision: s.revision}
		}
	}
	next := s.revision + 1
	var changes []config.Change
	for _, k := range w.Deletes {
		changes = append(changes, s.deletes(k, next)...)
	}
	for _, rec := range w.Puts {
		value, err := json.Marshal(rec)
		if err != nil {
			return 0, err
		}
		k := rec.RecordKey()
		stored, err := config.Decode(k, value, next)
		if err != nil {
			return 0, err
		}
		changes = append(changes, config.Change{Key: k, Record: stored, Revision: next})
	}
	for _, h := range w.History {
		stored := config.History{Key: h.Key, Seq: h.Seq, Revision: next}
		if err := store(h, &stored); err != nil {
			return 0, err
		}
		stored.Head.Key, stored.Head.Revision = h.Key, next
		at, found := slices.BinarySearchFunc(s.history[h.Key], h.Seq, func(h config.History, seq int64) int { return cmp.Compare(h.Seq, seq) })
		if found {
			s.history[h.Key] = slices.Delete(s.history[h.Key], at, at+1)
		}
		s.history[h.Key] = slices.Insert(s.history[h.Key], at, stored)
	}
	for _, c := range w.Contents {
		s.content[c.Digest] = bytes.Clone(c.Bytes)
	}
	for _, c := range changes {
		delete(s.revisions, c.Key)
		if c.Record != nil {
			s.revisions[c.Key] = next
		}
	}
	s.revision = next
	s.view.Publish(s.view.Snapshot().Apply(next, changes))
	return next, nil
}

// deletes returns the changes that a delete comes to.
func (s *Store) deletes(k config.RecordKey, revision int64) (all []config.Change) {
	if k.Kind != config.KindPart || k.Name != "" {
		return []config.Change{{Key: k, Revision: revision}}
	}
	for _, p := range s.view.Snapshot().Parts(k.Key) {
		all = append(all, config.Change{Key: p.RecordKey(), Revision: revision})
	}
	return all
}

// store takes a record through its stored form.
func store(from, to any) error {
	b, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, to)
}
