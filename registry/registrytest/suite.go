package registrytest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/registry"
)

// TestStore checks that what open returns does all that a registry.Store must.
// The store is opened once, may hold records already, and holds the judge's
// office; one that also has a method Depose() loses it last of all.
func TestStore(t *testing.T, open func(t *testing.T) registry.Store) {
	t.Helper()
	store := open(t)
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	if !store.View().Wait(ctx, 0) {
		t.Fatal("no snapshot after Open")
	}
	for _, c := range []struct {
		name string
		test func(s contract)
	}{
		{"every record comes back as it was put", testRoundTrip},
		{"names of any characters", testNames},
		{"revisions grow and are those of the records", testRevisions},
		{"checks", testChecks},
		{"a failed check changes nothing", testNothingHalf},
		{"a write is seen whole", testSeenWhole},
		{"deletes", testDeletes},
		{"digests", testDigests},
		{"services that nothing came to", testSettled},
		{"of writers of one record one wins", testOneWins},
		{"no update is lost", testNoLostUpdate},
		{"writers of different records all win", testAllWin},
		{"a write of 60 operations", testLarge},
		{"the newest revision", testNewest},
		{"an ended context", testEndedContext},
		{"the judge's office", testJudge},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(contract{t, store}) })
	}
}

// testNewest demands that a commit is known to be there as soon as it is answered,
// and that a snapshot comes to show what is said to be there.
func testNewest(s contract) {
	for n := range 20 {
		revision, err := s.Commit(s.t.Context(), put(instance("newest", n)))
		if err != nil {
			s.t.Fatal(err)
		}
		newest, err := s.Newest(s.t.Context())
		if err != nil || newest < revision {
			s.t.Fatalf("Newest() = %d, %v, want at least %d, which was committed", newest, err, revision)
		}
		s.wait(s.t, newest)
	}
}

// within bounds how long a commit may take to show.
const within = 20 * time.Second

// contract is the store under one test.
type contract struct {
	t *testing.T
	registry.Store
}

// commit commits a write that must succeed and waits until the view shows it.
func (s contract) commit(t *testing.T, w registry.Write) int64 {
	t.Helper()
	revision, err := s.Commit(t.Context(), w)
	if err != nil {
		t.Fatalf("Commit(%+v) = %v", w, err)
	}
	s.wait(t, revision)
	return revision
}

func (s contract) wait(t *testing.T, revision int64) *registry.Snapshot {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	if !s.View().Wait(ctx, revision) {
		t.Fatalf("the view shows revision %d after %v, want %d", s.View().Snapshot().Revision(), within, revision)
	}
	return s.View().Snapshot()
}

// stale commits a write that must fail at a check, and waits until the view
// shows why.
func (s contract) stale(t *testing.T, w registry.Write) *registry.Snapshot {
	t.Helper()
	revision, err := s.Commit(t.Context(), w)
	stale, ok := errors.AsType[*registry.StaleError](err)
	if !ok {
		t.Fatalf("Commit(%+v) = %d, %v, want a *StaleError", w, revision, err)
	}
	return s.wait(t, stale.Revision)
}

// instance makes up an instance of a service of its own for each test.
func instance(service string, n int) *registry.Registration {
	return &registry.Registration{
		Key: registry.InstanceKey{
			Service:  registry.ServiceKey{Namespace: "public", Group: "DEFAULT_GROUP", Name: service},
			Endpoint: registry.Endpoint{Host: "192.0.2.1", Port: uint16(n)},
		},
		Cluster: "DEFAULT", Weight: 1, Enabled: true, Healthy: true,
	}
}

func put(records ...registry.Record) registry.Write { return registry.Write{Puts: records} }

func testRoundTrip(s contract) {
	t := s.t
	reg := instance("round/trip", 80)
	reg.Cluster, reg.Weight, reg.Enabled, reg.Healthy = "bj", 0.1, false, false
	reg.Metadata = registry.MetadataOf(map[string]string{"": "empty key", "k": "", "größe": "\x00\n\"\\<>&\u2028😀"})
	reg.Witness = registry.WitnessAgent("host.1_x-y")
	other := instance("round/trip", 81)
	other.Witness = registry.WitnessHTTP
	folded, _ := reg.Key.Service.Folded()
	ns := &registry.Namespace{ID: "round_trip", Name: "Näme", Description: "a \"b\""}
	svc := &registry.ServiceRecord{Key: reg.Key.Service, Ephemeral: true, ProtectThreshold: 1.0 / 3,
		Metadata: map[string]string{"a": "b/c"}, Declared: true, Shadowed: true}
	claim := &registry.Claim{Folded: folded, Service: reg.Key.Service}
	agent := &registry.AgentRecord{ID: "host.1_x-y", Incarnation: "a/b", Host: "hôst"}
	tomb := &registry.Tombstone{Key: instance("round/trip", 82).Key, Keep: 1500 * time.Millisecond}
	over := &registry.Override{Key: instance("round/trip", 83).Key, Weight: new(0.0), Enabled: new(false), Metadata: map[string]string{"k": "v"}}
	verdict := &registry.Verdict{Key: registry.VerdictKey{Witness: "agent/host.1_x-y", Class: "15000-30000"}, Incarnation: "a/b",
		Since: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)}
	waits := instance("round/trip", 84)
	waits.Witness, waits.Weight, waits.Metadata = registry.WitnessAgent("host.1_x-y"), 0.5, registry.MetadataOf(map[string]string{"k": "v"})
	standby := &registry.Standby{Key: waits.Key, Agents: []registry.Registration{*waits}}
	connected := instance("round/trip", 85)
	connected.Witness = registry.WitnessConnection
	holding := &registry.Holding{Key: connected.Key, Connection: "1_a/b"}
	snap := s.wait(t, s.commit(t, put(ns, svc, claim, agent, reg, other, connected, tomb, over, verdict, standby, holding)))

	same := func(what string, want, got any) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	v := snap.Service(reg.Key.Service)
	if v == nil || v.Instances.Len() != 3 {
		t.Fatalf("service after the commit: %+v, want three instances", v)
	}
	same("service", *svc, v.ServiceRecord)
	same("claimed name", folded, v.DNSName())
	same("registration", *reg, v.Instance(reg.Key.Endpoint).Declaration())
	same("verdict on the agent's instance", true, v.Instance(reg.Key.Endpoint).Silent)
	same("registration that beats for itself", *other, v.Instance(other.Key.Endpoint).Declaration())
	same("verdict on another's instance", false, v.Instance(other.Key.Endpoint).Silent)
	same("connection that holds an instance", holding.Connection, snap.HeldBy(v.Instance(connected.Key.Endpoint)))
	same("agent", *agent, snap.Agent(agent.ID).AgentRecord)
	same("instances for which the agent stands by", []registry.InstanceKey{waits.Key}, snap.Agent(agent.ID).Waits)
	same("override", over, snap.Override(over.Key))
	if !slices.ContainsFunc(snap.Namespaces(), func(n *registry.Namespace) bool { return *n == *ns }) {
		t.Errorf("namespaces %v do not hold %+v", snap.Namespaces(), *ns)
	}
	found := false
	for other := range snap.Tombstones() {
		found = found || *other == *tomb
	}
	if !found {
		t.Errorf("the tombstone of %s did not come back", tomb.Key)
	}
}

func testNames(s contract) {
	t := s.t
	for i, name := range []string{
		"a", "a/b", "a%2Fb", "a%", "a+b", "a?b#c", "..", ".", "/", "//", "a\\b", "~", "é", "😀", "a@b", "a@", "$x{}", "\"'`", "A", "providers:com.foo:1.0:",
	} {
		reg := instance("names-"+name, i)
		bare := instance(name, i)
		bare.Key.Service.Group, bare.Key.Endpoint.Host = "names:"+fmt.Sprint(i), "2001:db8::1"
		host := instance(name, i)
		host.Key.Service.Namespace, host.Key.Endpoint.Host = "names_-", "db.example.net."
		snap := s.wait(t, s.commit(t, put(reg, bare, host)))
		for _, r := range []*registry.Registration{reg, bare, host} {
			if i := snap.Instance(r.Key); i == nil || i.Key != r.Key {
				t.Errorf("%s did not come back: %+v", r.Key, i)
			}
		}
		snap = s.wait(t, s.commit(t, registry.Write{Deletes: []registry.Key{reg.RecordKey(), bare.RecordKey(), host.RecordKey()}}))
		if snap.Instance(reg.Key) != nil || snap.Instance(bare.Key) != nil || snap.Instance(host.Key) != nil {
			t.Errorf("an instance of a service called %q is still there", name)
		}
	}
}

func testRevisions(s contract) {
	t := s.t
	a, b := instance("revisions", 1), instance("revisions", 2)
	first := s.commit(t, put(a, b))
	b.Weight = 2
	second := s.commit(t, put(b))
	if second <= first {
		t.Errorf("revision %d after %d", second, first)
	}
	snap := s.wait(t, second)
	if got := [2]int64{snap.Instance(a.Key).Revision, snap.Instance(b.Key).Revision}; got != [2]int64{first, second} {
		t.Errorf("records last changed at %v, want %d and %d", got, first, second)
	}
	if third := s.commit(t, put(b)); s.wait(t, third).Instance(b.Key).Revision != third {
		t.Errorf("putting what stands is no change, want revision %d", third)
	}
}

func testChecks(s contract) {
	t := s.t
	a, b := instance("checks", 1), instance("checks", 2)
	check := func(r *registry.Registration, revision int64) []registry.Check {
		return []registry.Check{{Key: r.RecordKey(), Revision: revision}}
	}
	absent := registry.Write{Checks: check(a, 0), Puts: []registry.Record{a}}
	first := s.commit(t, absent)
	if got := s.stale(t, absent).Instance(a.Key); got == nil || got.Revision != first {
		t.Errorf("the snapshot to try anew on shows %+v, want revision %d", got, first)
	}
	s.stale(t, registry.Write{Checks: check(a, first+1), Puts: []registry.Record{a}})
	s.stale(t, registry.Write{Checks: check(a, first-1), Puts: []registry.Record{a}})
	s.stale(t, registry.Write{Checks: check(b, first), Puts: []registry.Record{b}})
	second := s.commit(t, registry.Write{Checks: check(a, first), Puts: []registry.Record{a}})
	s.stale(t, registry.Write{Checks: check(a, first), Puts: []registry.Record{a}})
	s.stale(t, registry.Write{Checks: append(check(a, second), check(b, 1)...), Puts: []registry.Record{b}})
	s.commit(t, registry.Write{Checks: append(check(a, second), check(b, 0)...), Puts: []registry.Record{b}})
}

func testNothingHalf(s contract) {
	t := s.t
	stays, goes, never := instance("half", 1), instance("half", 2), instance("half", 3)
	first := s.commit(t, put(stays, goes))
	changed := *stays
	changed.Weight = 7
	snap := s.stale(t, registry.Write{
		Checks:  []registry.Check{{Key: stays.RecordKey(), Revision: first}, {Key: never.RecordKey(), Revision: first}},
		Puts:    []registry.Record{&changed, never},
		Deletes: []registry.Key{goes.RecordKey()},
	})
	if i := snap.Instance(stays.Key); i.Weight != 1 || i.Revision != first {
		t.Errorf("changed to weight %v at %d by a write that failed", i.Weight, i.Revision)
	}
	if snap.Instance(goes.Key) == nil || snap.Instance(never.Key) != nil {
		t.Error("a write that failed deleted one and put another")
	}
}

func testSeenWhole(s contract) {
	t := s.t
	a, b := instance("whole", 1), instance("whole", 2)
	last := s.commit(t, put(a, b))
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for newest := int64(0); ctx.Err() == nil; {
			changed := s.View().Changed()
			snap := s.View().Snapshot()
			if snap.Revision() < newest {
				t.Errorf("the view went back from revision %d to %d", newest, snap.Revision())
			}
			newest = snap.Revision()
			if x, y := snap.Instance(a.Key), snap.Instance(b.Key); x.Weight != y.Weight || x.Revision != y.Revision {
				t.Errorf("half of a write at revision %d: weights %v and %v", newest, x.Weight, y.Weight)
			}
			select {
			case <-changed:
			case <-ctx.Done():
			}
		}
	})
	for i := range 50 {
		x, y := *a, *b
		x.Weight, y.Weight = float64(i+2), float64(i+2)
		revision, err := s.Commit(t.Context(), put(&x, &y))
		if err != nil {
			t.Fatal(err)
		}
		last = max(last, revision)
	}
	s.wait(t, last)
	cancel()
	wg.Wait()
}

func testDeletes(s contract) {
	t := s.t
	a, b := instance("deletes", 1), instance("deletes", 2)
	first := s.commit(t, put(a))
	s.stale(t, registry.Write{Checks: []registry.Check{{Key: a.RecordKey()}}, Deletes: []registry.Key{a.RecordKey()}})
	second := s.commit(t, registry.Write{
		Checks:  []registry.Check{{Key: a.RecordKey(), Revision: first}},
		Deletes: []registry.Key{a.RecordKey()}, Puts: []registry.Record{b},
	})
	if snap := s.wait(t, second); snap.Instance(a.Key) != nil || snap.Instance(b.Key) == nil {
		t.Error("want one deleted and the other put")
	}
	if third := s.commit(t, registry.Write{Deletes: []registry.Key{a.RecordKey()}}); third < second {
		t.Errorf("deleting what is not there = revision %d, want at least %d", third, second)
	}
	again := s.commit(t, registry.Write{Checks: []registry.Check{{Key: a.RecordKey()}}, Puts: []registry.Record{a}})
	if i := s.wait(t, again).Instance(a.Key); i == nil || i.Revision != again {
		t.Errorf("put after a delete: %+v, want revision %d", i, again)
	}
}

func testSettled(s contract) {
	t := s.t
	free := instance("vacant", 1)
	svc := &registry.ServiceRecord{Key: free.Key.Service}
	neighbours := []registry.Record{instance("vacant/x", 1), instance("vacant-x", 1), instance("vacan", 1), instance("vacant%", 1)}
	s.commit(t, put(neighbours...))
	w := registry.Write{Settled: []registry.Settled{{Service: free.Key.Service}}, Puts: []registry.Record{svc}}
	s.commit(t, w)
	first := s.commit(t, put(free))
	if i := s.stale(t, w).Instance(free.Key); i == nil || i.Revision != first {
		t.Errorf("the snapshot to try anew on shows %+v, want the instance", i)
	}
	since := func(revision int64) registry.Write {
		return registry.Write{Settled: []registry.Settled{{Service: free.Key.Service, Revision: revision}}, Puts: []registry.Record{svc}}
	}
	s.stale(t, since(first-1))
	s.commit(t, since(first))
	changed := s.commit(t, put(free))
	s.stale(t, since(first))
	s.commit(t, put(neighbours...))
	s.commit(t, since(changed))
	s.commit(t, registry.Write{Deletes: []registry.Key{free.RecordKey()}})
	s.commit(t, w)
}

func testLarge(s contract) {
	t := s.t
	var w registry.Write
	for n := range 60 {
		r := instance("large", n)
		r.Metadata = registry.MetadataOf(map[string]string{"k": strings.Repeat("x", 8<<10)})
		w.Puts = append(w.Puts, r)
		w.Checks = append(w.Checks, registry.Check{Key: r.RecordKey()})
	}
	v := s.wait(t, s.commit(t, w)).Service(instance("large", 0).Key.Service)
	if v == nil || v.Instances.Len() != 60 {
		t.Errorf("service after a write of 60 instances: %+v", v)
	}
}

func testEndedContext(s contract) {
	t := s.t
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if revision, err := s.Commit(ctx, put(instance("ended", 1))); err == nil {
		t.Errorf("Commit with an ended context = %d, want an error", revision)
	}
}

func testJudge(s contract) {
	t := s.t
	a, b := instance("judge", 1), instance("judge", 2)
	s.commit(t, registry.Write{Judge: true, Puts: []registry.Record{a}})
	deposed, ok := s.Store.(interface{ Depose() })
	if !ok {
		return
	}
	deposed.Depose()
	if revision, err := s.Commit(t.Context(), registry.Write{Judge: true, Puts: []registry.Record{b}}); !errors.Is(err, registry.ErrUnavailable) {
		t.Errorf("Commit by a deposed judge = %d, %v, want ErrUnavailable", revision, err)
	}
	a.Weight = 2
	if snap := s.wait(t, s.commit(t, put(a))); snap.Instance(b.Key) != nil {
		t.Error("a deposed judge was obeyed")
	}
}
