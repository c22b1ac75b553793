package source

import (
	"fmt"
	"maps"
	"slices"

	"github.com/musterhq/muster/agent/roll"
)

// Join declares the instance k, kept alive by whoever calls, or declares it
// anew. The error is ErrTaken where another source has it: a file that declares
// it later goes before it.
func (s *Sources) Join(k roll.Key, m roll.Member) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if origin, taken := s.roll.Origin(k); taken && origin != m.Origin {
		return fmt.Errorf("%s %w by %s", k, ErrTaken, origin)
	}
	if s.joined == nil {
		s.joined = make(map[roll.Key]roll.Member)
	}
	s.joined[k] = m
	s.roll.Put(k, m) // not all of them, for there may be many, and they change often
	return nil
}

// Origin returns where the instance k comes from, if it is declared.
func (s *Sources) Origin(k roll.Key) (string, bool) { return s.roll.Origin(k) }

// Part withdraws the instances that joined, those of them that are still there.
func (s *Sources) Part(keys ...roll.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range keys {
		delete(s.joined, k)
	}
	s.merge()
}

// join adds what joined to what is wanted. s.mu is held.
func (s *Sources) join(want map[roll.Key]roll.Member, before map[string][]string) {
	for _, k := range slices.SortedFunc(maps.Keys(s.joined), roll.Key.Compare) {
		m := s.joined[k]
		if first, taken := want[k]; taken {
			s.problem(m.Origin, fmt.Errorf("%s is declared by %s already", k, first.Origin), before)
			continue
		}
		want[k] = m
	}
}
