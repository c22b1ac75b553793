package registry_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/registry/registrytest"
)

// standsBy declares a set of one instance and reports whether its agent stands by.
func (s *setting) standsBy(id string, reg registry.Registration) bool {
	s.t.Helper()
	refused := s.declare(id, "1", reg)
	if len(refused) == 0 {
		return false
	}
	if e, ok := errors.AsType[*registry.StandbyError](refused[0].Err); !ok || e.Instance != reg.Key || !errors.Is(e, registry.ErrConflict) {
		s.t.Fatalf("%s is refused: %v, want a *StandbyError", id, refused[0].Err)
	}
	return true
}

// has returns which agent has the instance, "" when it is not there.
func (s *setting) has(k registry.InstanceKey) string {
	i := s.Snapshot().Instance(k)
	if i == nil {
		return ""
	}
	id, _ := i.Witness.Agent()
	return id
}

// answered fails the test at the first snapshot, from now until the returned
// function is called, that answers no instance of the service.
func (s *setting) answered(k registry.InstanceKey) (end func()) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			changed := s.store.View().Changed()
			snap := s.Snapshot()
			if v := snap.Service(k.Service); v == nil || len(v.Select(registry.Filter{}).Instances) == 0 {
				s.t.Errorf("nobody is answered at revision %d", snap.Revision())
				return
			}
			select {
			case <-changed:
			case <-stop:
				return
			}
		}
	})
	return sync.OnceFunc(func() { close(stop); wg.Wait() })
}

func TestStandbyTakesOver(t *testing.T) {
	reg := registration(endpoint("pay", "192.0.2.1", 80))
	mine, other := reg, reg
	mine.Metadata, other.Metadata = registry.MetadataOf(map[string]string{"by": "a", registry.MetaDeleteAfter: "15000"}), registry.MetadataOf(map[string]string{"by": "b"})
	drained := mine
	drained.Weight = 0
	for _, c := range []struct {
		name string
		gone func(s *setting)
	}{
		{"when the first leaves", func(s *setting) {
			if _, err := s.DropAgent(s.t.Context(), "a"); err != nil {
				s.t.Fatal(err)
			}
		}},
		{"when the first names it no more", func(s *setting) { s.declare("a", "1") }},
		{"when the first drains", func(s *setting) {
			if !s.standsBy("a", drained) {
				s.t.Error("who drained does not stand by")
			}
		}},
		{"when the first is silent", func(s *setting) {
			if err := s.Silence(s.t.Context(), s.roster(reg.Key), s.Snapshot().Revision()); err != nil {
				s.t.Fatal(err)
			}
		}},
		{"when the first is removed without a verdict", func(s *setting) {
			s.remove(reg.Key)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSetting(t)
			if s.standsBy("a", mine) {
				t.Fatal("the first stands by")
			}
			for range 2 {
				before := s.store.Commits()
				if !s.standsBy("b", other) || s.has(reg.Key) != "a" {
					t.Fatalf("the instance is of %q, want a", s.has(reg.Key))
				}
				if !s.standsBy("c", other) {
					t.Fatal("the third does not stand by")
				}
				if again := s.store.Commits() - before; before > 4 && again != 0 {
					t.Errorf("the same sets again wrote %d times", again)
				}
			}
			if a := s.Snapshot().Agent("b"); len(a.Waits) != 1 || s.Snapshot().Overdue(a) {
				t.Errorf("agent b = %+v, want it to wait, and not overdue", a)
			}
			s.whole()
			end := s.answered(reg.Key)
			defer end()
			c.gone(s)
			if got := s.has(reg.Key); got != "b" {
				t.Errorf("the instance is of %q, want b", got)
			}
			i := s.Snapshot().Instance(reg.Key)
			if i.Silent || !i.Healthy || i.Weight != 1 || i.Metadata.Get("by") != "b" {
				t.Errorf("instance = %+v, want what b declares", i)
			}
			if s.standsBy("b", other) || !s.standsBy("c", other) || len(s.Snapshot().Agent("b").Waits) != 0 {
				t.Error("b stands by for what it has, or c does not")
			}
			s.whole()
			t.Log("and the next one after it")
			if _, err := s.DropAgent(t.Context(), "b"); err != nil {
				t.Fatal(err)
			}
			if got := s.has(reg.Key); got == "" || got == "b" {
				t.Errorf("the instance is of %q, want one of those that stand by", got)
			}
			s.whole()
		})
	}
}

func TestStandbyLeavesFirst(t *testing.T) {
	s := newSetting(t)
	reg := registration(endpoint("pay", "192.0.2.1", 80))
	s.standsBy("a", reg)
	for name, gone := range map[string]func(){
		"leaves":        func() { _, _ = s.DropAgent(t.Context(), "b") },
		"names nothing": func() { s.declare("b", "1") },
		"is removed": func() {
			a := s.Snapshot().Agent("b")
			if err := s.Remove(t.Context(), a.Roster(), s.Snapshot().Revision()); err != nil {
				t.Error(err)
			}
		},
	} {
		if !s.standsBy("b", reg) {
			t.Fatal("b does not stand by")
		}
		gone()
		if a := s.Snapshot().Agent("b"); a != nil && len(a.Waits) > 0 {
			t.Errorf("b %s, and waits for %v", name, a.Waits)
		}
		s.whole()
	}
	if _, err := s.DropAgent(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if got := s.has(reg.Key); got != "" {
		t.Errorf("the instance is of %q, want it gone", got)
	}
}

// Who is silent, or has no weight either, gets nothing.
func TestStandbyThatCannot(t *testing.T) {
	s := newSetting(t)
	shared, own := registration(endpoint("pay", "192.0.2.1", 80)), registration(endpoint("own", "192.0.2.2", 80))
	s.standsBy("a", shared)
	s.declare("b", "1", shared, own)
	s.silence(own.Key)
	if !s.Snapshot().Instance(own.Key).Silent {
		t.Fatal("b is not silent")
	}
	if _, err := s.DropAgent(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if got := s.has(shared.Key); got != "" {
		t.Errorf("the instance is of %q, which is silent", got)
	}
	t.Log("an agent that is back takes what is free")
	if a := s.Snapshot().Agent("b"); !s.Snapshot().Overdue(a) {
		t.Error("b is not asked for its set")
	}
	s.declare("b", "1", shared, own)
	if got := s.has(shared.Key); got != "b" {
		t.Errorf("the instance is of %q, want b", got)
	}
	t.Log("two of weight 0 leave it where it is")
	light := shared
	light.Weight = 0
	s.declare("b", "1", light, own)
	if !s.standsBy("a", light) || s.has(shared.Key) != "b" {
		t.Errorf("the instance is of %q, want b", s.has(shared.Key))
	}
	t.Log("and one with weight takes it from one without")
	if s.standsBy("a", shared) || s.has(shared.Key) != "a" {
		t.Errorf("the instance is of %q, want a", s.has(shared.Key))
	}
	s.whole()
}

// However the two come and go at the same time, it is answered all along.
func TestStandbyRaces(t *testing.T) {
	s := newSetting(t)
	reg := registration(endpoint("pay", "192.0.2.1", 80))
	s.standsBy("keeper", reg)
	end := s.answered(reg.Key)
	defer end()
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			id := fmt.Sprint("agent-", n)
			for range 30 {
				if _, _, err := s.DeclareAgent(t.Context(), registry.AgentRecord{ID: id, Incarnation: "1"}, []registry.Declaration{{Registration: reg}}); err != nil {
					t.Error(err)
				}
				if _, err := s.DropAgent(t.Context(), id); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() { // it leaves only when another is there, as far as it can see
		for range 30 {
			s.standsBy("keeper", reg)
			drained := reg
			drained.Weight = 0
			_, _, _ = s.DeclareAgent(t.Context(), registry.AgentRecord{ID: "keeper", Incarnation: "1"}, []registry.Declaration{{Registration: reg}})
		}
	})
	wg.Wait()
	end()
	s.standsBy("keeper", reg)
	if got := s.has(reg.Key); got != "keeper" {
		t.Errorf("the instance is of %q, want the only one that is left", got)
	}
	s.whole()
}

func TestManyStandbys(t *testing.T) {
	s := newSetting(t)
	var set []registry.Registration
	for n := range 200 {
		set = append(set, registration(endpoint(fmt.Sprint("pay-", n%7), "192.0.2.1", uint16(80+n))))
	}
	s.declare("a", "1", set...)
	if refused := s.declare("b", "1", set...); len(refused) != len(set) {
		t.Fatalf("%d of %d stand by", len(refused), len(set))
	}
	if err := s.Silence(t.Context(), s.roster(set[0].Key), s.Snapshot().Revision()); err != nil {
		t.Fatal(err)
	}
	for _, r := range set {
		if s.has(r.Key) != "b" {
			t.Fatalf("%s is of %q, want b", r.Key, s.has(r.Key))
		}
	}
	s.whole()
	t.Log("an agent that stands by for many leaves")
	s.declare("a", "1", set...)
	if err := s.Remove(t.Context(), s.Snapshot().Agent("a").Roster(), s.Snapshot().Revision()); err != nil {
		t.Fatal(err)
	}
	if s.Snapshot().Agent("a") != nil {
		t.Errorf("agent a = %+v, want it gone", s.Snapshot().Agent("a"))
	}
	s.whole()
}

func TestOneHostForAnID(t *testing.T) {
	s := newSetting(t)
	reg := registration(endpoint("pay", "192.0.2.1", 80))
	set := []registry.Declaration{{Registration: reg}}
	declare := func(incarnation, host, boot string) error {
		_, _, err := s.DeclareAgentIf(t.Context(), registry.AgentRecord{ID: "x", Incarnation: incarnation, Host: host, Boot: boot}, registry.NoneElsewhere, set)
		return err
	}
	if err := declare("1", "one", "b1"); err != nil {
		t.Fatal(err)
	}
	for _, boot := range []string{"", "b2"} {
		s.roll.Take()
		taken, ok := errors.AsType[*registry.TakenError](declare("2", "two", boot))
		if !ok || taken.Host != "one" || !errors.Is(taken, registry.ErrConflict) {
			t.Fatalf("the set of another host = %v, want it refused for host one", taken)
		}
		if heard := s.roll.Take(); len(heard) != 0 {
			t.Errorf("a set that was refused counts as a beat of %v", heard)
		}
		if got := s.Snapshot().Agent("x").Incarnation; got != "1" {
			t.Errorf("incarnation = %s, want 1", got)
		}
	}
	if err := declare("1", "one", "b1"); err != nil {
		t.Errorf("the same again = %v, want nil", err)
	}
	if err := declare("3", "one", "b1"); err != nil {
		t.Errorf("a new start on the same host = %v, want nil", err)
	}
	if _, _, err := s.DeclareAgentIf(t.Context(), registry.AgentRecord{ID: "x", Incarnation: "4", Boot: "b1"}, registry.NoneAlive, set); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("a set that claims nothing, on the same host = %v, want it refused", err)
	}
	s.silence(reg.Key)
	if err := declare("4", "two", "b2"); err != nil {
		t.Errorf("the other host once the first is silent = %v, want nil", err)
	}
	if _, _, err := s.DeclareAgent(t.Context(), registry.AgentRecord{ID: "x", Incarnation: "5"}, set); err != nil {
		t.Errorf("a set that does not ask = %v, want nil", err)
	}
}

// heaviest notes how many bytes the heaviest write puts.
type heaviest struct {
	*registrytest.Store

	bytes atomic.Int64
}

func (h *heaviest) Commit(ctx context.Context, w registry.Write) (int64, error) {
	sum := 0
	for _, rec := range w.Puts {
		b, err := json.Marshal(rec)
		if err != nil {
			return 0, err
		}
		sum += len(b)
	}
	for {
		most := h.bytes.Load()
		if int64(sum) <= most || h.bytes.CompareAndSwap(most, int64(sum)) {
			return h.Store.Commit(ctx, w)
		}
	}
}

// What is written at once fits into a request, however much is declared of each
// instance, and by however many.
func TestHandOverOfMuchMetadata(t *testing.T) {
	h := &heaviest{Store: registrytest.NewStore()}
	r := registry.New(h, &registrytest.Roll{})
	var set []registry.Declaration
	for n := range 9 {
		reg := registration(endpoint("pay", "192.0.2.1", uint16(80+n)))
		reg.Metadata = registry.MetadataOf(map[string]string{"much": strings.Repeat("x", registry.MaxMetadata-4)})
		set = append(set, registry.Declaration{Registration: reg})
	}
	for n := range 9 {
		if _, _, err := r.DeclareAgent(t.Context(), registry.AgentRecord{ID: fmt.Sprint("agent-", n), Incarnation: "1"}, set); err != nil {
			t.Fatal(err)
		}
	}
	snap := r.Snapshot()
	ro, _ := snap.Roster(snap.Instance(set[0].Key))
	if err := r.Silence(t.Context(), ro, snap.Revision()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.DropAgent(t.Context(), "agent-1"); err != nil {
		t.Fatal(err)
	}
	if most := h.bytes.Load(); most > 512<<10 {
		t.Errorf("the heaviest write has %d bytes, want half a MiB at the most", most)
	}
}
