// Package configtest holds what tests of and around the configuration centre
// share: a store in memory, and the suite that every store must pass.
package configtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/musterhq/muster/config"
)

// Store keeps documents in memory. It publishes each commit before Commit
// returns.
type Store struct {
	view config.View

	mu       sync.Mutex
	revision int64
	content  map[string][]byte // by digest
	history  map[config.Key][]config.History
	fail     error
}

// NewStore returns an empty store whose view already shows a snapshot.
func NewStore() *Store {
	s := &Store{revision: 1, content: map[string][]byte{}, history: map[config.Key][]config.History{}}
	s.view.Publish((*config.Snapshot)(nil).Apply(1, nil))
	return s
}

// Fail has every commit end with err, nil to have them succeed again.
func (s *Store) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

// View returns the view the store publishes to.
func (s *Store) View() *config.View { return &s.view }

// History returns what was done to a document, oldest first.
func (s *Store) History(k config.Key) []config.History {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]config.History(nil), s.history[k]...)
}

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
	var stands int64
	snap := s.view.Snapshot()
	if head := snap.Head(w.Key); head != nil {
		stands = head.Revision
	}
	if stands != w.HeadWas || snap.Sequence(w.Key).Revision != w.SeqWas {
		return 0, &config.StaleError{Revision: s.revision}
	}
	next := s.revision + 1
	changes := []config.Change{{Key: w.Key, Last: w.Sequence, Revision: next}, {Key: w.Key, IsHead: true, Revision: next}}
	if w.Head != nil {
		head := &config.Document{}
		if err := store(w.Head, head); err != nil {
			return 0, err
		}
		head.Key, head.Revision = w.Key, next
		changes[1].Head = head
		s.content[head.Digest] = bytes.Clone(w.Content)
	}
	var history config.History
	if err := store(w.History, &history); err != nil {
		return 0, err
	}
	history.Key, history.Seq = w.History.Key, w.History.Seq
	s.history[w.Key] = append(s.history[w.Key], history)
	s.revision = next
	s.view.Publish(snap.Apply(next, changes))
	return next, nil
}

// store takes a record through its stored form.
func store(from, to any) error {
	b, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, to)
}
