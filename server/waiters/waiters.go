// Package waiters wakes calls that wait for documents when one of theirs changes, and
// no other call.
//
// A poll that looks by itself at every revision costs each publish of any document as
// much as there are polls.
package waiters

import (
	"context"
	"iter"
	"sync"

	"github.com/musterhq/muster/config"
)

// Waiters are the calls that wait. They are safe for concurrent use.
type Waiters struct {
	view *config.View

	mu sync.Mutex
	by map[config.Key]map[chan struct{}]struct{} // guarded by mu
}

// New returns Waiters for changes of a view's documents; Run wakes them.
func New(view *config.View) *Waiters {
	return &Waiters{view: view, by: make(map[config.Key]map[chan struct{}]struct{})}
}

// Join has a call wait for changes of some documents: woken gets a value after one of
// them changed. To miss none, a call joins before it looks at the view. It calls leave
// at its end; keys yields the same then as now.
func (w *Waiters) Join(keys iter.Seq[config.Key]) (woken <-chan struct{}, leave func()) {
	bell := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	for k := range keys {
		if w.by[k] == nil {
			w.by[k] = make(map[chan struct{}]struct{})
		}
		w.by[k][bell] = struct{}{}
	}
	return bell, func() { w.leave(bell, keys) }
}

// Group returns the key under which a call waits for changes of any document of a
// group. No document has it.
func Group(namespace, group string) config.Key {
	return config.Key{Namespace: namespace, Group: group}
}

func (w *Waiters) leave(bell chan struct{}, keys iter.Seq[config.Key]) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for k := range keys {
		delete(w.by[k], bell)
		if len(w.by[k]) == 0 {
			delete(w.by, k)
		}
	}
}

// Run wakes calls until ctx ends. What it compares next is never newer than what the
// view shows, so that whoever joins meanwhile sees a change, or is woken by it.
func (w *Waiters) Run(ctx context.Context) error {
	var was *config.Snapshot
	for {
		changed := w.view.Changed()
		is := w.view.Snapshot()
		w.wake(config.Diff(was, is))
		was = is
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

func (w *Waiters) wake(keys iter.Seq[config.Key]) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for k := range keys {
		w.ring(k)
		w.ring(Group(k.Namespace, k.Group))
	}
}

// ring wakes those who wait under a key. w.mu is held.
func (w *Waiters) ring(k config.Key) {
	for bell := range w.by[k] {
		select {
		case bell <- struct{}{}:
		default: // it has not looked since it was woken last
		}
	}
}
