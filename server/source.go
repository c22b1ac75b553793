package server

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/musterhq/muster/answer"
	"github.com/musterhq/muster/etcdstore"
	"github.com/musterhq/muster/registry"
)

// source is what the DNS plugin reads, and what it tells of itself.
type source struct {
	store    *etcdstore.Store
	registry *registry.Registry
	kept     atomic.Int64 // nanoseconds; 0: nobody has told
	rules    sync.Map     // zone: func(netip.Addr) answer.Rule
	told     atomic.Int64 // how often kept or rules have changed
}

func (s *source) Snapshot() *registry.Snapshot { return s.store.View().Snapshot() }

func (s *source) Epoch() uint32 { return s.store.Epoch() }

func (s *source) Stale() (time.Duration, bool) { return s.store.Stale() }

// Changed returns a channel that is closed with the next snapshot; to miss none,
// it is called before Snapshot.
func (s *source) Changed() <-chan struct{} { return s.store.View().Changed() }

// defaultKept is how long an answer may be kept where the plugin has not told.
const defaultKept = 5 * time.Second

// Kept is told how long the answers of a zone may be kept by who gets them. The
// longest one stands, also after a Corefile without it is in force: answers were
// given while it was.
func (s *source) Kept(d time.Duration) {
	for {
		was := s.kept.Load()
		if int64(d) <= was || s.kept.CompareAndSwap(was, int64(d)) {
			s.told.Add(1)
			return
		}
	}
}

// hold is how long the name of a service that is gone is kept from others.
func (s *source) hold() time.Duration {
	if d := time.Duration(s.kept.Load()); d > 0 {
		return d
	}
	return defaultKept
}

// Rules is told by what rules names of a zone are answered to whom; nobody knows
// who asks when from is not valid. They are for explanations alone, and those told
// last of a zone stand.
func (s *source) Rules(zone string, rule func(from netip.Addr) answer.Rule) {
	s.rules.Store(strings.ToLower(strings.TrimSuffix(zone, ".")), rule)
	s.told.Add(1)
}

// rule returns what the rules of a zone say, those of no zone where none were told.
func (s *source) rule(zone string, from netip.Addr) answer.Rule {
	if told, ok := s.rules.Load(strings.ToLower(strings.TrimSuffix(zone, "."))); ok {
		if f, ok := told.(func(netip.Addr) answer.Rule); ok {
			return f(from)
		}
	}
	return answer.Rule{Raw: true}
}

// Change has the registry make what decide wants of a snapshot stand.
func (s *source) Change(ctx context.Context, decide func(*registry.Snapshot) (registry.Changes, error)) (registry.Receipt, error) {
	return s.registry.Change(ctx, decide)
}
