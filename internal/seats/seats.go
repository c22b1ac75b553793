// Package seats bounds how many of something are held at once, in all and by client.
package seats

import "sync"

// Seats are taken and left again. It is safe for concurrent use.
type Seats struct {
	limit, perClient int

	mu       sync.Mutex
	taken    int            // guarded by mu
	byClient map[string]int // guarded by mu
}

// New returns Seats of which limit can be taken in all, and perClient by one client.
func New(limit, perClient int) *Seats {
	return &Seats{limit: limit, perClient: perClient, byClient: map[string]int{}}
}

// Take reports whether a client gets one more; who does gives it back with Leave.
func (s *Seats) Take(client string) bool { return s.TakeMany(client, 1) }

// TakeMany reports whether a client gets n more, or else none; who does gives them back
// with LeaveMany, in parts too.
func (s *Seats) TakeMany(client string, n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken+n > s.limit || s.byClient[client]+n > s.perClient {
		return false
	}
	s.taken += n
	s.byClient[client] += n
	return true
}

// Leave gives one back that the client took.
func (s *Seats) Leave(client string) { s.LeaveMany(client, 1) }

// LeaveMany gives back n that the client took.
func (s *Seats) LeaveMany(client string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken -= n
	if s.byClient[client] -= n; s.byClient[client] == 0 {
		delete(s.byClient, client)
	}
}

// Taken returns how many are taken now.
func (s *Seats) Taken() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken
}
