package registry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/registry/registrytest"
)

// members returns the endpoints of an agent's instances, sorted.
func (s *setting) members(id string) []string {
	a := s.Snapshot().Agent(id)
	if a == nil {
		return nil
	}
	var all []string
	for _, k := range a.Instances {
		all = append(all, k.Service.Name+"@"+k.Endpoint.String())
	}
	slices.Sort(all)
	return all
}

func TestDeclareAgentMakesTheSetStand(t *testing.T) {
	s := newSetting(t)
	a, b, c := registration(endpoint("a", "10.0.0.1", 80)), registration(endpoint("b", "10.0.0.1", 80)), registration(endpoint("c", "10.0.0.1", 80))
	heavy := b
	heavy.Weight = 3
	steps := []struct {
		name        string
		incarnation string
		set         []registry.Registration
		want        []string
		wrote       bool
	}{
		{"nothing", "1", nil, nil, true},
		{"nothing again", "1", nil, nil, false},
		{"two", "1", []registry.Registration{a, b}, []string{"a@10.0.0.1:80", "b@10.0.0.1:80"}, true},
		{"the same two in another order", "1", []registry.Registration{b, a}, []string{"a@10.0.0.1:80", "b@10.0.0.1:80"}, false},
		{"another incarnation", "2", []registry.Registration{a, b}, []string{"a@10.0.0.1:80", "b@10.0.0.1:80"}, true},
		{"one of them heavier", "2", []registry.Registration{a, heavy}, []string{"a@10.0.0.1:80", "b@10.0.0.1:80"}, true},
		{"one of them and a third", "2", []registry.Registration{heavy, c}, []string{"b@10.0.0.1:80", "c@10.0.0.1:80"}, true},
		{"none", "2", nil, nil, true},
	}
	for _, step := range steps {
		before := s.store.Commits()
		s.roll.Take()
		refused := s.declare("host-1", step.incarnation, step.set...)
		if got := s.members("host-1"); !slices.Equal(got, step.want) || len(refused) > 0 {
			t.Fatalf("%s: the agent has %v, refused %v, want %v", step.name, got, refused, step.want)
		}
		if wrote := s.store.Commits() > before; wrote != step.wrote {
			t.Errorf("%s: wrote %v, want %v", step.name, wrote, step.wrote)
		}
		if heard := s.roll.Take(); !slices.Equal(heard, []string{"agent/host-1"}) {
			t.Errorf("%s: the roll heard %v, want the agent", step.name, heard)
		}
		if got := s.Snapshot().Agent("host-1").Incarnation; got != step.incarnation {
			t.Errorf("%s: incarnation %s, want %s", step.name, got, step.incarnation)
		}
		s.whole()
	}
	if i := s.Snapshot().Instance(b.Key); i != nil {
		t.Errorf("%s stands, and nobody declares it", i.Key)
	}
}

func TestDeclareAgentRefusesSingleMembers(t *testing.T) {
	s := newSetting(t)
	s.declare("host-2", "1", registration(endpoint("taken", "10.0.0.1", 80)))
	s.register(persistent(endpoint("static", "10.0.0.9", 80)))
	good := registration(endpoint("good", "10.0.0.1", 80))
	refused := s.declare("host-1", "1",
		registration(endpoint("bad name", "10.0.0.1", 80)),
		good,
		registration(endpoint("taken", "10.0.0.1", 80)),
		good,
		registration(endpoint("static", "10.0.0.1", 80)),
	)
	want := []struct {
		index int
		err   error
	}{{0, registry.ErrInvalid}, {3, registry.ErrInvalid}, {2, registry.ErrConflict}, {4, registry.ErrConflict}}
	if len(refused) != len(want) {
		t.Fatalf("refused %v, want four", refused)
	}
	for i, w := range want {
		if refused[i].Index != w.index || !errors.Is(refused[i].Err, w.err) {
			t.Errorf("refusal %d = %d: %v, want %d: %v", i, refused[i].Index, refused[i].Err, w.index, w.err)
		}
	}
	if got := s.members("host-1"); !slices.Equal(got, []string{"good@10.0.0.1:80"}) {
		t.Errorf("the agent has %v, want the good one", got)
	}
	s.whole()
}

func TestAgentRecordsThatAreRefused(t *testing.T) {
	for _, test := range []struct {
		name   string
		record registry.AgentRecord
		field  string
	}{
		{"no id", registry.AgentRecord{Incarnation: "1"}, "agent id"},
		{"id with a slash", registry.AgentRecord{ID: "a/b", Incarnation: "1"}, "agent id"},
		{"no incarnation", registry.AgentRecord{ID: "a"}, "incarnation"},
		{"long incarnation", registry.AgentRecord{ID: "a", Incarnation: strings.Repeat("x", 65)}, "incarnation"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSetting(t)
			_, _, err := s.DeclareAgent(t.Context(), test.record, nil)
			wantField(t, err, test.field)
		})
	}
}

func TestTakeover(t *testing.T) {
	k := endpoint("order-api", "10.0.0.1", 80)
	tests := []struct {
		name    string
		prepare func(s *setting)
		taken   bool
	}{
		{"from a live agent", func(s *setting) { s.declare("host-2", "1", registration(k)) }, false},
		{"from a silent agent", func(s *setting) { s.declare("host-2", "1", registration(k)); s.silence(k) }, true},
		{"from an instance that beats for itself", func(s *setting) { s.register(registration(k)) }, true},
		{"from a silent one that beat for itself", func(s *setting) { s.register(registration(k)); s.silence(k) }, true},
		{"from an agent that was dropped", func(s *setting) {
			s.declare("host-2", "1", registration(k))
			if _, err := s.DropAgent(s.t.Context(), "host-2"); err != nil {
				s.t.Fatal(err)
			}
		}, true},
		{"from a persistent instance", func(s *setting) { s.register(persistent(k)) }, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSetting(t)
			test.prepare(s)
			refused := s.declare("host-1", "1", registration(k))
			if taken := len(s.members("host-1")) == 1; taken != test.taken || (len(refused) == 0) != test.taken {
				t.Fatalf("host-1 has %v, refused %v, want it taken: %v", s.members("host-1"), refused, test.taken)
			}
			if i := s.Snapshot().Instance(k); test.taken && (i.Silent || !i.Healthy || len(s.members("host-2")) > 0) {
				t.Errorf("instance after the takeover: %+v, of host-2: %v", i, s.members("host-2"))
			}
			for k := range s.Snapshot().Dump().Verdicts {
				if strings.HasPrefix(k.Witness, "http/") {
					t.Errorf("the verdict on %s outlived what it was about", k.Witness)
				}
			}
			s.whole()
		})
	}
}

func TestUnknownHealthKeepsWhatStands(t *testing.T) {
	s := newSetting(t)
	k := endpoint("order-api", "10.0.0.1", 80)
	declare := func(healthy, unknown bool) {
		t.Helper()
		r := registration(k)
		r.Healthy = healthy
		_, _, err := s.DeclareAgent(t.Context(), registry.AgentRecord{ID: "host-1", Incarnation: "1"},
			[]registry.Declaration{{Registration: r, HealthUnknown: unknown}})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		name             string
		healthy, unknown bool
		want             bool
	}{
		{"new and unknown", true, true, false},
		{"passing", true, false, true},
		{"unknown", false, true, true},
		{"critical", false, false, false},
		{"unknown again", true, true, false},
	} {
		declare(step.healthy, step.unknown)
		if got := s.Snapshot().Instance(k).Healthy; got != step.want {
			t.Errorf("%s: healthy = %v, want %v", step.name, got, step.want)
		}
	}
}

// sized notes the largest write that passes.
type sized struct {
	*registrytest.Store

	mu      sync.Mutex
	largest int
}

func (s *sized) Commit(ctx context.Context, w registry.Write) (int64, error) {
	s.mu.Lock()
	s.largest = max(s.largest, len(w.Checks)+len(w.Settled), len(w.Puts)+len(w.Deletes))
	s.mu.Unlock()
	return s.Store.Commit(ctx, w)
}

// A large agent is born, changes, falls silent under a timeout for each of its
// instances, comes back, and dies, all in writes that fit into a transaction.
func TestLargeAgentInBoundedWrites(t *testing.T) {
	store := &sized{Store: registrytest.NewStore()}
	s := &setting{t: t, store: store.Store, roll: &registrytest.Roll{}}
	s.Registry = registry.New(store, s.roll)
	var set []registry.Registration
	for i := range 250 {
		r := registration(endpoint(fmt.Sprint("service-", i%40), "10.0.0.1", uint16(i)))
		r.Metadata = registry.MetadataOf(map[string]string{registry.MetaBeatTimeout: fmt.Sprint(20000 + i)})
		set = append(set, r)
	}
	count := func(instances, agents int, when string) {
		t.Helper()
		if _, i, a := s.Snapshot().Counts(); i != instances || a != agents {
			t.Fatalf("%s: %d instances and %d agents, want %d and %d", when, i, a, instances, agents)
		}
		s.whole()
	}
	silence := func() {
		t.Helper()
		for _, r := range set {
			s.silence(r.Key)
		}
	}
	verdicts := func(when string) {
		t.Helper()
		if n := len(s.Snapshot().Dump().Verdicts); n != 0 {
			t.Fatalf("%s: %d verdicts stand", when, n)
		}
	}
	s.declare("host-1", "1", set...)
	count(250, 1, "declared")
	silence()
	if known, err := s.BeatAgent(t.Context(), "host-1", "1"); !known || err != nil {
		t.Fatalf("BeatAgent = %v, %v", known, err)
	}
	verdicts("after a beat")
	silence()
	for i := range set {
		set[i].Weight = 2
	}
	s.declare("host-1", "2", set...)
	verdicts("declared anew")
	count(250, 1, "declared anew")
	s.declare("host-1", "2", set[:10]...)
	count(10, 1, "declared without most")
	s.declare("host-1", "2", set...)
	silence()
	if _, err := s.DropAgent(t.Context(), "host-1"); err != nil {
		t.Fatal(err)
	}
	verdicts("dropped")
	count(0, 0, "dropped")
	if store.largest > 60 {
		t.Errorf("a write of %d operations, want at most 60", store.largest)
	}
}

func TestBeatAgent(t *testing.T) {
	s := newSetting(t)
	k := endpoint("order-api", "10.0.0.1", 80)
	s.declare("host-1", "1", registration(k))
	s.roll.Take()
	for _, test := range []struct {
		name, id, incarnation string
		silent, known         bool
		writes                int
	}{
		{"unknown", "host-2", "1", false, false, 0},
		{"another incarnation", "host-1", "2", false, false, 0},
		{"known", "host-1", "1", false, true, 0},
		{"silent", "host-1", "1", true, true, 1},
		{"another incarnation of a silent one", "host-1", "2", true, false, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.silent {
				s.silence(k)
			}
			before := s.store.Commits()
			known, err := s.BeatAgent(t.Context(), test.id, test.incarnation)
			if known != test.known || err != nil || s.store.Commits()-before != test.writes {
				t.Errorf("BeatAgent = %v, %v in %d writes, want %v in %d", known, err, s.store.Commits()-before, test.known, test.writes)
			}
			if heard := len(s.roll.Take()) > 0; heard != test.known {
				t.Errorf("the roll heard of it: %v, want %v", heard, test.known)
			}
			if i := s.Snapshot().Instance(k); i.Silent == test.known && test.silent {
				t.Errorf("silent after the beat: %v", i.Silent)
			}
		})
	}
}

// A verdict that outlived the last instance of its class must not hit the next.
func TestVerdictDoesNotOutliveItsInstances(t *testing.T) {
	s := newSetting(t)
	k, other := endpoint("order-api", "10.0.0.1", 80), endpoint("pay-api", "10.0.0.1", 80)
	other2 := registration(other)
	other2.Metadata = registry.MetadataOf(map[string]string{registry.MetaBeatTimeout: "20000"})
	s.declare("host-1", "1", registration(k), other2)
	s.silence(k)
	s.silence(other)
	if _, err := s.Deregister(t.Context(), k, true); err != nil {
		t.Fatal(err)
	}
	if n := len(s.Snapshot().Dump().Verdicts); n != 1 {
		t.Errorf("%d verdicts, want that on the other class alone", n)
	}
	s.silence(other)
	s.declare("host-1", "1", registration(k))
	if i := s.Snapshot().Instance(k); i.Silent || !i.Healthy {
		t.Errorf("an instance that was just declared is silent: %v, healthy: %v", i.Silent, i.Healthy)
	}
	s.whole()
}

// Part of a set that could not be written, as another wrote the same, is not
// acknowledged until it stands.
func TestDeclareAgentRacesWithARegistration(t *testing.T) {
	s := newSetting(t)
	k := endpoint("order-api", "10.0.0.1", 80)
	s.interrupt(func() {
		if _, err := s.other.Register(t.Context(), registration(k)); err != nil {
			t.Error(err)
		}
	})
	s.declare("host-1", "1", registration(k))
	if got := s.members("host-1"); len(got) != 1 {
		t.Errorf("the agent has %v, want its instance", got)
	}
	s.whole()
}

func TestDropUnknownAgent(t *testing.T) {
	s := newSetting(t)
	receipt, err := s.DropAgent(t.Context(), "nobody")
	if err != nil || receipt.Wrote {
		t.Errorf("DropAgent of an unknown agent = %+v, %v, want nothing written", receipt, err)
	}
}
