package registry_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/registry/registrytest"
)

// setting is a registry over a store in memory, which can be changed by another
// between a rule's decision and its commit.
type setting struct {
	*registry.Registry

	t     *testing.T
	store *registrytest.Store
	roll  *registrytest.Roll
	other *registry.Registry // writes past the interruption
	next  atomic.Pointer[func()]
}

func newSetting(t *testing.T) *setting {
	t.Helper()
	s := &setting{t: t, store: registrytest.NewStore(), roll: &registrytest.Roll{}}
	s.Registry = registry.New(interrupted{s.store, s}, s.roll)
	s.other = registry.New(s.store, s.roll)
	return s
}

// interrupt has f run once, just before the next commit.
func (s *setting) interrupt(f func()) { s.next.Store(&f) }

type interrupted struct {
	*registrytest.Store

	s *setting
}

func (i interrupted) Commit(ctx context.Context, w registry.Write) (int64, error) {
	if f := i.s.next.Swap(nil); f != nil {
		(*f)()
	}
	return i.Store.Commit(ctx, w)
}

func endpoint(name, host string, port uint16) registry.InstanceKey {
	return registry.InstanceKey{Service: service(name), Endpoint: registry.Endpoint{Host: host, Port: port}}
}

// registration is a healthy ephemeral instance that beats for itself.
func registration(k registry.InstanceKey) registry.Registration {
	return registry.Registration{Key: k, Weight: 1, Enabled: true, Healthy: true, Witness: registry.WitnessHTTP}
}

func persistent(k registry.InstanceKey) registry.Registration {
	r := registration(k)
	r.Witness = ""
	return r
}

func (s *setting) register(r registry.Registration) registry.Receipt {
	s.t.Helper()
	receipt, err := s.Register(s.t.Context(), r)
	if err != nil {
		s.t.Fatalf("Register(%s) = %v", r.Key, err)
	}
	return receipt
}

func (s *setting) declare(id, incarnation string, set ...registry.Registration) []registry.Refusal {
	s.t.Helper()
	var members []registry.Declaration
	for _, r := range set {
		members = append(members, registry.Declaration{Registration: r})
	}
	_, refused, err := s.DeclareAgent(s.t.Context(), registry.AgentRecord{ID: id, Incarnation: incarnation}, members)
	if err != nil {
		s.t.Fatalf("DeclareAgent(%s) = %v", id, err)
	}
	return refused
}

// roster returns the roster of an instance that is there.
func (s *setting) roster(k registry.InstanceKey) registry.Roster {
	s.t.Helper()
	snap := s.Snapshot()
	ro, ok := snap.Roster(snap.Instance(k))
	if !ok {
		s.t.Fatalf("nobody beats for %s", k)
	}
	return ro
}

func (s *setting) silence(k registry.InstanceKey) {
	s.t.Helper()
	if err := s.Silence(s.t.Context(), s.roster(k), s.Snapshot().Revision()); err != nil {
		s.t.Fatalf("Silence(%s) = %v", k, err)
	}
	if !s.Snapshot().Instance(k).Silent {
		s.t.Fatalf("%s is not silent after its verdict", k)
	}
}

// remove has the judge remove an instance with all of its roster.
func (s *setting) remove(k registry.InstanceKey) {
	s.t.Helper()
	if err := s.Remove(s.t.Context(), s.roster(k), s.Snapshot().Revision()); err != nil {
		s.t.Fatalf("Remove(%s) = %v", k, err)
	}
}

// released returns the claim of a service that is gone.
func (s *setting) released(folded string) *registry.Claim {
	s.t.Helper()
	for c := range s.Snapshot().Released() {
		if c.Folded == folded {
			return c
		}
	}
	s.t.Fatalf("%s is not kept for anybody", folded)
	return nil
}

// tombstone returns the tombstone of an instance.
func (s *setting) tombstone(k registry.InstanceKey) *registry.Tombstone {
	s.t.Helper()
	for t := range s.Snapshot().Tombstones() {
		if t.Key == k {
			return t
		}
	}
	s.t.Fatalf("%s has no tombstone", k)
	return nil
}

// whole checks that the snapshot is what a server would load that starts now.
func (s *setting) whole() {
	s.t.Helper()
	wantSame(s.t, "a snapshot loaded anew", s.store.Load(), s.Snapshot())
}
