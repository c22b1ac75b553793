// Package waiters wakes who waits for documents when one of theirs changes, and nobody
// else: a call that waits once, and a connection that goes on to.
//
// Whoever looks by itself at every revision costs each publish of any document as much
// as there are of its kind.
package waiters

import (
	"context"
	"iter"
	"sync"

	"github.com/musterhq/muster/config"
)

// Waiters are those who wait. They are safe for concurrent use.
type Waiters struct {
	view *config.View

	mu sync.Mutex
	by map[config.Key]map[*Watch]struct{} // guarded by mu
}

// New returns Waiters for changes of a view's documents; Run wakes them.
func New(view *config.View) *Waiters {
	return &Waiters{view: view, by: make(map[config.Key]map[*Watch]struct{})}
}

// Watch is one who waits for documents, which may be others from time to time. It is
// safe for concurrent use.
type Watch struct {
	of   *Waiters
	wake func(config.Key)
}

// Watch returns a Watch of no documents. Whenever one of its documents changed, wake is
// called with it, or with its [Group] where that is what is watched: by one goroutine,
// which wakes everybody, so it must not block, and not call w.
func (w *Waiters) Watch(wake func(config.Key)) *Watch { return &Watch{w, wake} }

// Add has documents watched that were not. To miss no change, a caller adds them before
// it looks at the view.
func (g *Watch) Add(keys iter.Seq[config.Key]) {
	w := g.of
	w.mu.Lock()
	defer w.mu.Unlock()
	for k := range keys {
		if w.by[k] == nil {
			w.by[k] = make(map[*Watch]struct{}, 1)
		}
		w.by[k][g] = struct{}{}
	}
}

// Remove has documents watched no more. Of a change before it returns, wake may not have
// been called, and is not called later.
func (g *Watch) Remove(keys iter.Seq[config.Key]) {
	w := g.of
	w.mu.Lock()
	defer w.mu.Unlock()
	for k := range keys {
		delete(w.by[k], g)
		if len(w.by[k]) == 0 {
			delete(w.by, k)
		}
	}
}

// Join has a call wait for changes of some documents: woken gets a value after one of
// them changed. To miss none, a call joins before it looks at the view. It calls leave
// at its end; keys yields the same then as now.
func (w *Waiters) Join(keys iter.Seq[config.Key]) (woken <-chan struct{}, leave func()) {
	bell := make(chan struct{}, 1)
	g := w.Watch(func(config.Key) {
		select {
		case bell <- struct{}{}:
		default: // it has not looked since it was woken last
		}
	})
	g.Add(keys)
	return bell, func() { g.Remove(keys) }
}

// Group returns the key under which somebody waits for changes of any document of a
// group. No document has it.
func Group(namespace, group string) config.Key {
	return config.Key{Namespace: namespace, Group: group}
}

// Run wakes them until ctx ends. What it compares next is never newer than what the
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
	for g := range w.by[k] {
		g.wake(k)
	}
}
