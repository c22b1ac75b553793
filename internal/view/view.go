// Package view holds the current one of a succession of immutable snapshots.
package view

import (
	"context"
	"sync"
	"sync/atomic"
)

// Snapshot is what a View holds: a pointer to something that does not change
// and knows which revision it shows.
type Snapshot[T any] interface {
	*T
	Revision() int64
}

// View holds the current snapshot. One goroutine publishes, any number read.
// The zero View holds none.
type View[T any, S Snapshot[T]] struct {
	cur  atomic.Pointer[T]
	mu   sync.Mutex
	wake chan struct{} // closed at the next Publish; guarded by mu, made on demand
}

// Snapshot returns the current snapshot, nil before the first Publish.
func (v *View[T, S]) Snapshot() S { return S(v.cur.Load()) }

// Publish makes s current and wakes all who wait.
func (v *View[T, S]) Publish(s S) {
	v.cur.Store((*T)(s))
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.wake != nil {
		close(v.wake)
		v.wake = nil
	}
}

// Changed returns a channel that is closed at the next Publish. To miss none,
// call it before Snapshot.
func (v *View[T, S]) Changed() <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.wake == nil {
		v.wake = make(chan struct{})
	}
	return v.wake
}

// Wait blocks until the current snapshot shows revision or ctx ends; it reports
// whether it does.
func (v *View[T, S]) Wait(ctx context.Context, revision int64) bool {
	for {
		changed := v.Changed()
		if s := v.Snapshot(); s != nil && s.Revision() >= revision {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}
