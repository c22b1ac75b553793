package etcdstore

import (
	"slices"
	"sync"
)

// inbox holds the requests that wait for the committer, those that came first in
// front. It has no bound of its own: each of them is a caller that waits.
type inbox struct {
	some chan struct{} // has a value when there may be something

	mu     sync.Mutex // guards what follows
	in     []*request
	closed bool
}

func newInbox() *inbox { return &inbox{some: make(chan struct{}, 1)} }

// put adds requests, which stay together; false: nobody will take them.
func (b *inbox) put(together ...*request) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.in = append(b.in, together...)
	select {
	case b.some <- struct{}{}:
	default: // it has been said
	}
	return true
}

// take moves all that is in it behind waiting, without those whose callers wait no
// longer.
func (b *inbox) take(waiting []*request) []*request {
	b.mu.Lock()
	waiting = append(waiting, b.in...)
	clear(b.in)
	b.in = b.in[:0]
	b.mu.Unlock()
	return slices.DeleteFunc(waiting, func(r *request) bool { return r.state.Load() == withdrawn })
}

// close refuses what is in it, and what comes later.
func (b *inbox) close(waiting []*request) {
	waiting = b.take(waiting)
	b.mu.Lock()
	b.closed = true
	waiting = append(waiting, b.in...)
	b.in = nil
	b.mu.Unlock()
	for _, r := range waiting {
		r.done <- result{err: errStopping}
	}
}
