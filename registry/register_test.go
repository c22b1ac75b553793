package registry_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/registry"
)

func TestRegisterAgainWritesNothing(t *testing.T) {
	tests := []struct {
		name   string
		change func(*registry.Registration)
		wrote  bool
	}{
		{"the same", func(*registry.Registration) {}, false},
		{"default cluster spelled out", func(r *registry.Registration) { r.Cluster = "DEFAULT" }, false},
		{"empty metadata", func(r *registry.Registration) { r.Metadata = registry.MetadataOf(map[string]string{}) }, false},
		{"the address in another spelling", func(r *registry.Registration) { r.Key.Endpoint.Host = "2001:DB8:0::1" }, false},
		{"a weight that counts as one", func(r *registry.Registration) { r.Weight = math.NaN() }, false},
		{"weight", func(r *registry.Registration) { r.Weight = 2 }, true},
		{"cluster", func(r *registry.Registration) { r.Cluster = "bj" }, true},
		{"enabled", func(r *registry.Registration) { r.Enabled = false }, true},
		{"health", func(r *registry.Registration) { r.Healthy = false }, true},
		{"metadata", func(r *registry.Registration) { r.Metadata = registry.MetadataOf(map[string]string{"k": "v"}) }, true},
		{"witness", func(r *registry.Registration) { r.Witness = registry.WitnessAgent("x") }, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSetting(t)
			r := registration(endpoint("order-api", "2001:db8::1", 80))
			if first := s.register(r); !first.Wrote || first.Lagging {
				t.Errorf("first Register = %+v, want a visible write", first)
			}
			s.roll.Take()
			before := s.store.Commits()
			test.change(&r)
			receipt := s.register(r)
			if wrote := s.store.Commits() > before; wrote != test.wrote || receipt.Wrote != test.wrote {
				t.Errorf("Register = %+v, committed: %v, want %v", receipt, wrote, test.wrote)
			}
			if heard := len(s.roll.Take()) > 0; heard == test.wrote {
				t.Errorf("the roll heard of it: %v, want %v: a write is seen in the snapshot", heard, !test.wrote)
			}
			if receipt.Revision != s.Snapshot().Revision() {
				t.Errorf("revision %d, want %d", receipt.Revision, s.Snapshot().Revision())
			}
			s.whole()
		})
	}
}

func TestKindOfAService(t *testing.T) {
	eph, per := registration(endpoint("order-api", "10.0.0.1", 80)), persistent(endpoint("order-api", "10.0.0.2", 80))
	tests := []struct {
		name    string
		prepare func(s *setting)
		add     registry.Registration
		refused bool
	}{
		{"persistent into ephemeral", func(s *setting) { s.register(eph) }, per, true},
		{"ephemeral into persistent", func(s *setting) { s.register(per) }, eph, true},
		{"the very endpoint of the other kind", func(s *setting) { s.register(eph) }, persistent(eph.Key), true},
		{"ephemeral into one declared persistent", func(s *setting) {
			if _, err := s.CreateService(s.t.Context(), eph.Key.Service, registry.ServiceSpec{}); err != nil {
				s.t.Fatal(err)
			}
		}, eph, true},
		{"persistent into what is left of an ephemeral one", func(s *setting) {
			s.register(eph)
			if _, err := s.Deregister(s.t.Context(), eph.Key, true); err != nil {
				s.t.Fatal(err)
			}
		}, per, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSetting(t)
			test.prepare(s)
			before := s.store.Commits()
			_, err := s.Register(t.Context(), test.add)
			kind, is := errors.AsType[*registry.KindError](err)
			if is != test.refused || is && (!errors.Is(err, registry.ErrConflict) || kind.Ephemeral == (test.add.Witness != "")) {
				t.Fatalf("Register = %v, want a *KindError: %v", err, test.refused)
			}
			if wrote := s.store.Commits() > before; wrote == test.refused {
				t.Errorf("Register wrote: %v", wrote)
			}
			if v := s.Snapshot().Service(test.add.Key.Service); !test.refused && v.Ephemeral != (test.add.Witness != "") {
				t.Errorf("the service is ephemeral: %v, and its instance is not", v.Ephemeral)
			}
		})
	}
}

// Between the decision of one rule and its commit another one is committed that
// only touches records of its own: no check of a single record can tell.
func TestRegistrationRacesWithItsService(t *testing.T) {
	eph, per := registration(endpoint("order-api", "10.0.0.1", 80)), persistent(endpoint("order-api", "10.0.0.2", 80))
	prepare := func(t *testing.T) *setting {
		t.Helper()
		s := newSetting(t)
		s.register(eph)
		if _, err := s.Deregister(t.Context(), eph.Key, true); err != nil {
			t.Fatal(err)
		}
		s.interrupt(func() {
			if _, err := s.other.Register(t.Context(), eph); err != nil {
				t.Error(err)
			}
		})
		return s
	}
	t.Run("the service is deleted", func(t *testing.T) {
		s := prepare(t)
		if _, err := s.DeleteService(t.Context(), eph.Key.Service); !errors.Is(err, registry.ErrConflict) {
			t.Errorf("DeleteService of a service that just got an instance = %v, want ErrConflict", err)
		}
		if v := s.Snapshot().ByName("order-api.svc"); v == nil || v.Instances.Len() != 1 {
			t.Errorf("order-api.svc leads to %+v, want the instance that registered", v)
		}
	})
	t.Run("the service changes its kind", func(t *testing.T) {
		s := prepare(t)
		if _, err := s.Register(t.Context(), per); !errors.Is(err, registry.ErrConflict) {
			t.Errorf("Register into a service that just got an instance of the other kind = %v, want ErrConflict", err)
		}
		v := s.Snapshot().Service(eph.Key.Service)
		if !v.Ephemeral || v.Instances.Len() != 1 {
			t.Errorf("service is ephemeral: %v, with %d instances, want true with 1", v.Ephemeral, v.Instances.Len())
		}
	})
	t.Run("the service was deleted first", func(t *testing.T) {
		s := newSetting(t)
		if _, err := s.CreateService(t.Context(), eph.Key.Service, registry.ServiceSpec{Ephemeral: new(true)}); err != nil {
			t.Fatal(err)
		}
		s.interrupt(func() {
			if _, err := s.other.DeleteService(t.Context(), eph.Key.Service); err != nil {
				t.Error(err)
			}
		})
		s.register(eph)
		if v := s.Snapshot().ByName("order-api.svc"); v == nil || v.Declared {
			t.Errorf("order-api.svc leads to %+v, want a service made by the instance", v)
		}
	})
}

func TestDeregister(t *testing.T) {
	eph, per := registration(endpoint("order-api", "10.0.0.1", 80)), persistent(endpoint("pay-api", "10.0.0.1", 80))
	s := newSetting(t)
	s.register(eph)
	s.register(per)
	for _, test := range []struct {
		name      string
		key       registry.InstanceKey
		ephemeral bool
		wrote     bool
	}{
		{"unknown", endpoint("order-api", "10.0.0.9", 80), true, false},
		{"ephemeral as persistent", eph.Key, false, false},
		{"persistent as ephemeral", per.Key, true, false},
		{"ephemeral", eph.Key, true, true},
		{"ephemeral again", eph.Key, true, false},
		{"persistent", per.Key, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			receipt, err := s.Deregister(t.Context(), test.key, test.ephemeral)
			if err != nil || receipt.Wrote != test.wrote {
				t.Errorf("Deregister = %+v, %v, want wrote: %v", receipt, err, test.wrote)
			}
			s.whole()
		})
	}
	n := 0
	for tomb := range s.Snapshot().Tombstones() {
		if n++; tomb.Key != eph.Key || tomb.Keep != 2*registry.DefaultTimeouts.Interval {
			t.Errorf("tombstone of %s for %v, want of %s for two beats", tomb.Key, tomb.Keep, eph.Key)
		}
	}
	if n != 1 {
		t.Errorf("%d tombstones, want 1", n)
	}
}

func TestBeat(t *testing.T) {
	k := endpoint("order-api", "10.0.0.1", 80)
	full := registration(k)
	leave := func(s *setting) {
		s.register(full)
		if _, err := s.Deregister(s.t.Context(), k, true); err != nil {
			s.t.Fatal(err)
		}
	}
	sick := full
	sick.Healthy = false
	agents := full
	agents.Witness, agents.Healthy = registry.WitnessAgent("x"), false
	static := persistent(k)
	static.Healthy = false
	tests := []struct {
		name    string
		prepare func(s *setting)
		full    *registry.Registration
		err     error
		writes  int
		there   bool
		healthy bool
		heard   bool
	}{
		{"unknown", func(*setting) {}, nil, registry.ErrNotFound, 0, false, false, false},
		{"unknown, full", func(*setting) {}, &full, nil, 1, true, true, false},
		{"left, full: it comes late", leave, &full, nil, 0, false, false, false},
		{"left, registered, full", func(s *setting) { leave(s); s.register(full) }, &full, nil, 0, true, true, true},
		{"known", func(s *setting) { s.register(full) }, nil, nil, 0, true, true, true},
		{"known, full", func(s *setting) { s.register(full) }, &sick, nil, 0, true, true, true},
		{"declared unhealthy", func(s *setting) { s.register(sick) }, nil, nil, 1, true, true, true},
		{"silent", func(s *setting) { s.register(full); s.silence(k) }, nil, nil, 1, true, true, true},
		{"silent and declared unhealthy", func(s *setting) { s.register(sick); s.silence(k) }, nil, nil, 1, true, true, true},
		{"an agent's", func(s *setting) { s.register(agents) }, nil, nil, 0, true, false, false},
		{"persistent", func(s *setting) { s.register(static) }, nil, nil, 0, true, false, false},
		{"unknown, full and invalid", func(*setting) {}, new(registration(endpoint("order api", "10.0.0.1", 80))), registry.ErrInvalid, 0, false, false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSetting(t)
			test.prepare(s)
			s.roll.Take()
			before := s.store.Commits()
			interval, err := s.Beat(t.Context(), k, test.full)
			if !errors.Is(err, test.err) {
				t.Fatalf("Beat = %v, want %v", err, test.err)
			}
			if err == nil && interval != registry.DefaultTimeouts.Interval {
				t.Errorf("Beat = %v, want the interval", interval)
			}
			if writes := s.store.Commits() - before; writes != test.writes {
				t.Errorf("Beat wrote %d times, want %d", writes, test.writes)
			}
			i := s.Snapshot().Instance(k)
			if (i != nil) != test.there || i != nil && i.Healthy != test.healthy {
				t.Errorf("instance after the beat: %+v, want there: %v, healthy: %v", i, test.there, test.healthy)
			}
			if heard := s.roll.Take(); (len(heard) == 1) != test.heard {
				t.Errorf("the roll heard %v, want anything: %v", heard, test.heard)
			}
			s.whole()
		})
	}
}

// The tombstone may come between the look at the snapshot and the commit.
func TestLateBeatCrossesADeregistration(t *testing.T) {
	s := newSetting(t)
	full := registration(endpoint("order-api", "10.0.0.1", 80))
	s.interrupt(func() {
		if _, err := s.other.Register(t.Context(), full); err != nil {
			t.Error(err)
		}
		if _, err := s.other.Deregister(t.Context(), full.Key, true); err != nil {
			t.Error(err)
		}
	})
	if _, err := s.Beat(t.Context(), full.Key, &full); err != nil {
		t.Fatal(err)
	}
	if s.Snapshot().Instance(full.Key) != nil {
		t.Error("a beat on its way brought back an instance that left")
	}
}

func TestOverride(t *testing.T) {
	s := newSetting(t)
	r := registration(endpoint("order-api", "10.0.0.1", 80))
	r.Metadata = registry.MetadataOf(map[string]string{"version": "v1", "owner": "a"})
	edit := func(e registry.Edit) registry.Receipt {
		t.Helper()
		receipt, err := s.Override(t.Context(), r.Key, e)
		if err != nil {
			t.Fatal(err)
		}
		s.whole()
		return receipt
	}
	if _, err := s.Override(t.Context(), r.Key, registry.Edit{Weight: new(2.0)}); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("Override of an unknown instance = %v, want ErrNotFound", err)
	}
	s.register(r)
	for _, bad := range []struct {
		name  string
		edit  registry.Edit
		field string
	}{
		{"weight", registry.Edit{Weight: new(-1.0)}, "weight"},
		{"metadata", registry.Edit{Metadata: map[string]string{"k": strings.Repeat("v", registry.MaxMetadata)}}, "metadata"},
	} {
		_, err := s.Override(t.Context(), r.Key, bad.edit)
		wantField(t, err, bad.field)
	}

	want := func(weight float64, enabled bool, metadata map[string]string) {
		t.Helper()
		i := s.Snapshot().Instance(r.Key)
		if i.Weight != weight || i.Enabled != enabled {
			t.Errorf("weight %v, enabled %v, want %v, %v", i.Weight, i.Enabled, weight, enabled)
		}
		if diff := cmp.Diff(metadata, i.Metadata.Map()); diff != "" {
			t.Errorf("metadata (-want +got):\n%s", diff)
		}
		if i.Declaration().Weight != r.Weight || !i.Declaration().Enabled {
			t.Errorf("declared: %+v, want what the owner says", i.Declaration())
		}
	}
	edit(registry.Edit{Weight: new(0.0)})
	want(0, true, r.Metadata.Map())
	edit(registry.Edit{Enabled: new(false), Metadata: map[string]string{"version": "v2"}})
	want(0, false, map[string]string{"version": "v2", "owner": "a"})
	if again := edit(registry.Edit{Enabled: new(false)}); again.Wrote {
		t.Error("saying the same again wrote")
	}
	edit(registry.Edit{Metadata: map[string]string{"zone": "a"}})
	want(0, false, map[string]string{"version": "v2", "zone": "a", "owner": "a"})
	if !s.Snapshot().HasName("order-api.svc.v2.ver") {
		t.Error("the version that the operator set has no name")
	}

	r.Weight, r.Metadata = 5, registry.MetadataOf(map[string]string{"owner": "b"}) // the owner reconnects
	s.register(r)
	want(0, false, map[string]string{"version": "v2", "zone": "a", "owner": "b"})
	edit(registry.Edit{Metadata: map[string]string{}, Replace: true})
	want(0, false, map[string]string{"owner": "b"})

	if _, err := s.Deregister(t.Context(), r.Key, true); err != nil {
		t.Fatal(err)
	}
	s.register(r)
	want(0, false, map[string]string{"owner": "b"})
}

func TestOverrideIsKeptThoughItSaysNothingNew(t *testing.T) {
	s := newSetting(t)
	r := registration(endpoint("order-api", "10.0.0.1", 80))
	s.register(r)
	same := registry.Edit{Weight: new(1.0), Enabled: new(true)}
	if receipt, err := s.Override(t.Context(), r.Key, same); err != nil || !receipt.Wrote {
		t.Errorf("Override with what is so already = %+v, %v, want a write", receipt, err)
	}
	if receipt, err := s.Override(t.Context(), r.Key, same); err != nil || receipt.Wrote {
		t.Errorf("the same Override again = %+v, %v, want no write", receipt, err)
	}
	r.Weight = 5 // the owner changes its mind, the operator has not
	s.register(r)
	if got := s.Snapshot().Instance(r.Key).Weight; got != 1 {
		t.Errorf("weight = %v, want the operator's 1", got)
	}
}

func TestUnavailable(t *testing.T) {
	s := newSetting(t)
	r := registration(endpoint("order-api", "10.0.0.1", 80))
	s.store.Lock()
	s.store.Fail = registry.ErrUnavailable
	s.store.Unlock()
	if _, err := s.Register(t.Context(), r); !errors.Is(err, registry.ErrUnavailable) {
		t.Errorf("Register while the store is away = %v, want ErrUnavailable", err)
	}
	if _, _, err := s.DeclareAgent(t.Context(), registry.AgentRecord{ID: "x", Incarnation: "1"}, nil); !errors.Is(err, registry.ErrUnavailable) {
		t.Errorf("DeclareAgent while the store is away = %v, want ErrUnavailable", err)
	}
	if services, _, agents := s.Snapshot().Counts(); services+agents > 0 {
		t.Error("a write that failed left something")
	}
}

// An edit that says nothing leaves nothing behind.
func TestOverrideThatSaysNothing(t *testing.T) {
	s := newSetting(t)
	k := endpoint("order-api", "10.0.0.1", 80)
	s.register(registration(k))
	for _, e := range []registry.Edit{{}, {Metadata: map[string]string{}}, {Drop: []string{"a"}}, {Pinned: new(false)}} {
		receipt, err := s.Override(t.Context(), k, e)
		if err != nil || receipt.Wrote || s.Snapshot().Override(k) != nil {
			t.Errorf("Override(%+v) = %+v, %v, want nothing to be written", e, receipt, err)
		}
	}
}
