package registry_test

import (
	"context"
	"errors"
	"testing"

	"github.com/musterhq/muster/registry"
)

// verdicts are the two that a judge writes on a roster.
func verdicts(s *setting) map[string]func(context.Context, registry.Roster, int64) error {
	return map[string]func(context.Context, registry.Roster, int64) error{"Silence": s.Silence, "Remove": s.Remove}
}

func TestVerdictsSpareWhoDeclaredAnything(t *testing.T) {
	k, sibling := endpoint("order-api", "10.0.0.1", 80), endpoint("pay-api", "10.0.0.1", 80)
	slow := registration(sibling)
	slow.Metadata = registry.MetadataOf(map[string]string{registry.MetaBeatTimeout: "20000"})
	changed := registration(k)
	changed.Weight = 2
	heavier := slow
	heavier.Weight = 2
	beats := func(s *setting) { s.register(registration(k)) }
	agents := func(s *setting) { s.declare("host-1", "1", registration(k), slow) }
	tests := []struct {
		name      string
		prepare   func(s *setting)
		meanwhile func(s *setting)
		crosses   bool // like a beat: a verdict under way may stand until the next one
	}{
		{"registers anew", beats, func(s *setting) { s.register(changed) }, false},
		{"leaves and comes back", beats, func(s *setting) {
			if _, err := s.Deregister(s.t.Context(), k, true); err != nil {
				s.t.Error(err)
			}
			s.register(registration(k))
		}, false},
		{"its agent restarts", agents, func(s *setting) { s.declare("host-1", "2", registration(k), slow) }, false},
		{"its agent changes it", agents, func(s *setting) { s.declare("host-1", "1", changed, slow) }, true},
		{"its agent changes another of its instances", agents, func(s *setting) { s.declare("host-1", "1", registration(k), heavier) }, true},
		{"another agent takes it", agents, func(s *setting) { s.silence(k); s.declare("host-2", "1", registration(k)) }, false},
	}
	for _, test := range tests {
		for verdict := range verdicts(newSetting(t)) {
			for _, when := range []string{"before the write", "during the write"} {
				t.Run(verdict+", "+test.name+" "+when, func(t *testing.T) {
					s := newSetting(t)
					test.prepare(s)
					ro, seen := s.roster(k), s.Snapshot().Revision()
					if when == "before the write" {
						test.meanwhile(s)
					} else {
						s.interrupt(func() { test.meanwhile(s) })
					}
					if err := verdicts(s)[verdict](t.Context(), ro, seen); err != nil {
						t.Fatal(err)
					}
					if test.crosses && when == "during the write" {
						if _, err := s.BeatAgent(t.Context(), "host-1", "1"); err != nil {
							t.Fatal(err)
						}
						test.meanwhile(s) // asked for its set again, if that does not agree
					}
					if i := s.Snapshot().Instance(k); i == nil || i.Silent || !i.Healthy {
						t.Errorf("after the verdict: %+v, want it there and healthy", i)
					}
					s.whole()
				})
			}
		}
	}
}

func TestVerdictOnAnAgentIsOneWrite(t *testing.T) {
	s := newSetting(t)
	a, b := endpoint("a", "10.0.0.1", 80), endpoint("b", "10.0.0.1", 80)
	s.declare("host-1", "1", registration(a), registration(b))
	before := s.store.Commits()
	s.silence(a)
	s.silence(b)
	if n := s.store.Commits() - before; n != 1 || !s.Snapshot().Instance(b).Silent {
		t.Errorf("%d writes silenced the agent, want 1", n)
	}
	if v := s.Snapshot().Service(a.Service); v.Healthy != 0 || !v.Instances.First().Declaration().Healthy {
		t.Errorf("%d healthy, declared %v; want none, and what was declared kept", v.Healthy, v.Instances.First().Declaration().Healthy)
	}
	if !s.Snapshot().Silent(s.Snapshot().Agent("host-1")) {
		t.Error("the agent is not silent")
	}
}

func TestVerdictsOnNobody(t *testing.T) {
	s := newSetting(t)
	s.register(persistent(endpoint("order-api", "10.0.0.1", 80)))
	before := s.store.Commits()
	for _, witness := range []string{"", "x", "http/", "http/x", "http/public@@DEFAULT_GROUP@@order-api@@10.0.0.1:80", "agent/", "agent/x", "conn/1"} {
		for name, verdict := range verdicts(s) {
			ro := registry.Roster{Witness: witness, Class: "15000-30000", Timeouts: registry.DefaultTimeouts}
			if err := verdict(t.Context(), ro, s.Snapshot().Revision()); err != nil {
				t.Errorf("%s(%q) = %v, want nil", name, witness, err)
			}
		}
	}
	if n := s.store.Commits() - before; n != 0 {
		t.Errorf("%d writes about nobody", n)
	}
}

func TestRemoveTakesTheVerdictAlong(t *testing.T) {
	for name, prepare := range map[string]func(s *setting, r registry.Registration){
		"beats for itself": func(s *setting, r registry.Registration) { s.register(r) },
		"an agent's":       func(s *setting, r registry.Registration) { s.declare("host-1", "1", r) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSetting(t)
			k := endpoint("order-api", "10.0.0.1", 80)
			prepare(s, registration(k))
			s.silence(k)
			s.remove(k)
			d := s.Snapshot().Dump()
			if d.Instances+len(d.Verdicts)+len(d.Agents)+len(d.Tombstones) > 0 {
				t.Errorf("left behind: %d instances, %v, %v, %v", d.Instances, d.Verdicts, d.Agents, d.Tombstones)
			}
			prepare(s, registration(k))
			if i := s.Snapshot().Instance(k); !i.Healthy {
				t.Error("registered again it is unhealthy")
			}
			s.whole()
		})
	}
}

// withoutVerdict returns a registration that is removed as soon as it is silent.
func withoutVerdict(r registry.Registration) registry.Registration {
	r.Metadata = registry.MetadataOf(map[string]string{registry.MetaDeleteAfter: "15000"})
	return r
}

// A witness that speaks at the moment of its removal loses nothing that it does not get
// to know of at once, whoever of the two comes first.
func TestAWordAtTheMomentOfRemoval(t *testing.T) {
	k := heldA
	full := registration(k)
	type word struct {
		declare func(s *setting)
		say     func(r *registry.Registry) (known bool, err error)
	}
	beat := func(full *registry.Registration) func(r *registry.Registry) (bool, error) {
		return func(r *registry.Registry) (bool, error) {
			_, err := r.Beat(t.Context(), k, full)
			if errors.Is(err, registry.ErrNotFound) {
				return false, nil
			}
			return true, err
		}
	}
	for name, is := range map[string]struct {
		word
		back bool // with its word, once it was removed
	}{
		"a connection": {word{func(s *setting) { s.hold("1", "order-api", registration(k)) },
			func(r *registry.Registry) (bool, error) { return false, r.HearConnection(t.Context(), "1") }}, false},
		"a beat":      {word{func(s *setting) { s.register(registration(k)) }, beat(nil)}, false},
		"a full beat": {word{func(s *setting) { s.register(registration(k)) }, beat(&full)}, true},
		"an agent": {word{func(s *setting) { s.declare("host-1", "1", registration(k)) },
			func(r *registry.Registry) (bool, error) { return r.BeatAgent(t.Context(), "host-1", "1") }}, false},
	} {
		t.Run(name+" just before it", func(t *testing.T) {
			s := newSetting(t)
			is.declare(s)
			s.silence(k)
			s.interrupt(func() {
				if _, err := is.say(s.other); err != nil {
					t.Error(err)
				}
			})
			s.remove(k)
			if i := s.Snapshot().Instance(k); i == nil || i.Silent {
				t.Errorf("the instance is %+v, want one that is not silent", i)
			}
			s.whole()
		})
		t.Run(name+" just after it", func(t *testing.T) {
			s := newSetting(t)
			is.declare(s)
			s.silence(k)
			ro, seen := s.roster(k), s.Snapshot().Revision()
			s.interrupt(func() {
				if err := s.other.Remove(t.Context(), ro, seen); err != nil {
					t.Error(err)
				}
			})
			known, err := is.say(s.Registry)
			if err != nil {
				t.Fatal(err)
			}
			if there := s.Snapshot().Instance(k) != nil; known != is.back || there != is.back {
				t.Errorf("it is told that it is known: %v, and there: %v; want %v", known, there, is.back)
			}
			s.whole()
		})
	}
}

func TestDeposedJudge(t *testing.T) {
	s := newSetting(t)
	k := endpoint("order-api", "10.0.0.1", 80)
	s.register(withoutVerdict(registration(k)))
	s.store.Lock()
	s.store.Deposed = true
	s.store.Unlock()
	for name, verdict := range verdicts(s) {
		if err := verdict(t.Context(), s.roster(k), s.Snapshot().Revision()); !errors.Is(err, registry.ErrUnavailable) {
			t.Errorf("%s by a deposed judge = %v, want ErrUnavailable", name, err)
		}
	}
	if i := s.Snapshot().Instance(k); i == nil || i.Silent {
		t.Error("a deposed judge was obeyed")
	}
}

func TestForgetAndBury(t *testing.T) {
	s := newSetting(t)
	k := endpoint("order-api", "10.0.0.1", 80)
	s.register(registration(k))
	if _, err := s.Override(t.Context(), k, registry.Edit{Weight: new(2.0)}); err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.Forget(t.Context(), k))
	if s.Snapshot().Override(k) == nil {
		t.Error("Forget took the override of an instance that is there")
	}
	_, err := s.Deregister(t.Context(), k, true)
	must(err)
	s.interrupt(func() {
		if _, err := s.other.Register(t.Context(), registration(k)); err != nil {
			t.Error(err)
		}
	})
	must(s.Forget(t.Context(), k))
	if i := s.Snapshot().Instance(k); i.Weight != 2 {
		t.Errorf("weight %v of an instance that came back at the last moment, want the operator's 2", i.Weight)
	}
	_, err = s.Deregister(t.Context(), k, true)
	must(err)
	must(s.Forget(t.Context(), k))
	buried := s.tombstone(k)
	must(s.Bury(t.Context(), buried))
	if d := s.Snapshot().Dump(); len(d.Overrides)+len(d.Tombstones) > 0 {
		t.Errorf("left behind: %v, %v", d.Overrides, d.Tombstones)
	}
	before := s.store.Commits()
	must(s.Forget(t.Context(), k))
	must(s.Bury(t.Context(), buried))
	if s.store.Commits() != before {
		t.Error("nothing to forget or bury, and a write")
	}
	s.whole()
}

// The instance came back and left anew while a judge thought of its first departure.
func TestBurySparesALaterTombstone(t *testing.T) {
	s := newSetting(t)
	k := endpoint("order-api", "10.0.0.1", 80)
	leave := func() {
		if _, err := s.other.Register(t.Context(), registration(k)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.other.Deregister(t.Context(), k, true); err != nil {
			t.Fatal(err)
		}
	}
	leave()
	judged := s.tombstone(k)
	leave()
	if err := s.Bury(t.Context(), judged); err != nil {
		t.Fatal(err)
	}
	judged = s.tombstone(k)
	s.interrupt(leave)
	if err := s.Bury(t.Context(), judged); err != nil {
		t.Fatal(err)
	}
	if err := s.Bury(t.Context(), s.tombstone(k)); err != nil || len(s.Snapshot().Dump().Tombstones) != 0 {
		t.Errorf("Bury = %v of the one that stands, left behind: %v", err, s.Snapshot().Dump().Tombstones)
	}
	s.whole()
}
