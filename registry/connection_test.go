package registry_test

import (
	"errors"
	"fmt"
	"maps"
	"testing"

	"github.com/musterhq/muster/registry"
)

// hold has a connection hold instances of a service.
func (s *setting) hold(id, name string, set ...registry.Registration) registry.Receipt {
	s.t.Helper()
	receipt, err := s.Hold(s.t.Context(), id, service(name), set)
	if err != nil {
		s.t.Fatalf("Hold(%s, %s) = %v", id, name, err)
	}
	return receipt
}

// holder returns which connection holds an instance; "absent" if it is not there.
func (s *setting) holder(k registry.InstanceKey) string {
	i := s.Snapshot().Instance(k)
	if i == nil {
		return "absent"
	}
	return s.Snapshot().HeldBy(i)
}

func (s *setting) wantHolder(k registry.InstanceKey, want, when string) {
	s.t.Helper()
	if got := s.holder(k); got != want {
		s.t.Errorf("%s is held by %q %s, want %q", k, got, when, want)
	}
}

var (
	heldA = endpoint("order-api", "10.0.0.1", 80)
	heldB = endpoint("order-api", "10.0.0.2", 80)
	heldC = endpoint("order-api", "10.0.0.3", 80)
)

func TestAConnectionHoldsASet(t *testing.T) {
	s := newSetting(t)
	s.hold("1", "order-api", registration(heldA), registration(heldB))
	s.wantHolder(heldA, "1", "after it was declared")
	if r := s.hold("1", "order-api", registration(heldA), registration(heldB)); r.Wrote {
		t.Error("the same set wrote something")
	}
	s.hold("1", "order-api", registration(heldB), registration(heldC))
	s.wantHolder(heldA, "absent", "after a set without it")
	s.wantHolder(heldB, "1", "after a set with it")
	if !s.Snapshot().Buried(heldA) {
		t.Errorf("%s left no tombstone", heldA)
	}
	other := endpoint("billing", "10.0.0.1", 80)
	s.hold("1", "billing", registration(other))
	s.hold("1", "order-api")
	for _, k := range []registry.InstanceKey{heldB, heldC} {
		s.wantHolder(k, "absent", "after an empty set")
	}
	s.wantHolder(other, "1", "after an empty set for another service")
	s.hold("1", "order-api", registration(heldA))
	if s.Snapshot().Buried(heldA) {
		t.Errorf("the tombstone of %s stands though it was declared", heldA)
	}
	s.whole()
}

func TestASetOfManyIsHeld(t *testing.T) {
	s := newSetting(t)
	var set []registry.Registration
	for n := range 300 {
		set = append(set, registration(endpoint("order-api", fmt.Sprintf("10.0.%d.%d", n/250, n%250), 80)))
	}
	s.hold("1", "order-api", set...)
	s.hold("1", "order-api", set[150:]...)
	if n := s.Snapshot().Service(service("order-api")).Instances.Len(); n != 150 {
		t.Errorf("%d instances, want 150", n)
	}
	s.whole()
}

// What readers see is the very same service.
func TestNobodySeesAnotherConnectionTakeOver(t *testing.T) {
	s := newSetting(t)
	s.hold("1", "order-api", registration(heldA), registration(heldB))
	was := s.Snapshot()
	if r := s.hold("2", "order-api", registration(heldA), registration(heldB)); !r.Wrote {
		t.Fatal("another connection wrote nothing")
	}
	is := s.Snapshot()
	for old, now := range registry.Diff(was, is) {
		t.Errorf("readers see that %v became %v", old, now)
	}
	for namespace, sum := range is.Digests().All() {
		if old := maps.Collect(was.Digests().All())[namespace]; old != sum && namespace != "" {
			t.Errorf("the digest of %s was %x and is %x", namespace, old, sum)
		}
	}
	s.wantHolder(heldA, "2", "after it was declared by another connection")
	if was.Connection("2") != nil || is.Connection("1") != nil {
		t.Error("a connection is known that holds nothing")
	}
	if ro := s.roster(heldB); ro.Witness != "conn/2" {
		t.Errorf("%s is judged with %q, want conn/2", heldB, ro.Witness)
	}
	s.whole()
}

// A verdict on what a connection held does not follow its instances to another one,
// and the connection it was on is not judged by what it has no more.
func TestAnotherConnectionEndsSilence(t *testing.T) {
	s := newSetting(t)
	s.hold("1", "order-api", registration(heldA), registration(heldB))
	old, seen := s.roster(heldA), s.Snapshot().Revision()
	s.silence(heldA)
	if !s.Snapshot().Instance(heldB).Silent {
		t.Fatalf("%s is not silent with the rest of its connection", heldB)
	}
	s.hold("2", "order-api", registration(heldA))
	if i := s.Snapshot().Instance(heldA); i.Silent || !i.Healthy {
		t.Errorf("%s is silent: %v, healthy: %v, after another connection declared it", heldA, i.Silent, i.Healthy)
	}
	if i := s.Snapshot().Instance(heldB); !i.Silent {
		t.Errorf("%s is not silent though nobody declared it", heldB)
	}
	if err := s.Remove(t.Context(), old, seen); err != nil {
		t.Fatal(err)
	}
	s.wantHolder(heldA, "2", "after the other connection's instances were removed")
	s.wantHolder(heldB, "absent", "after its connection's instances were removed")
	s.whole()
}

func TestAVerdictOnAConnectionThatHoldsNothingGoes(t *testing.T) {
	s := newSetting(t)
	s.hold("1", "order-api", registration(heldA))
	s.silence(heldA)
	for range s.Snapshot().Idle() {
		t.Error("a verdict that is needed counts as idle")
	}
	s.hold("2", "order-api", registration(heldA))
	var idle []*registry.Verdict
	for v := range s.Snapshot().Idle() {
		idle = append(idle, v)
	}
	if len(idle) != 1 {
		t.Fatalf("%d idle verdicts, want one", len(idle))
	}
	if err := s.Drop(t.Context(), idle[0]); err != nil {
		t.Fatal(err)
	}
	for v := range s.Snapshot().Idle() {
		t.Errorf("the verdict on %s stands", v.Key.Witness)
	}
	s.whole()
}

func TestAConnectionThatIsHeardAgain(t *testing.T) {
	s := newSetting(t)
	s.hold("1", "order-api", registration(heldA))
	s.silence(heldA)
	commits := s.store.Commits()
	for range 2 {
		if err := s.HearConnection(t.Context(), "1"); err != nil {
			t.Fatal(err)
		}
	}
	if i := s.Snapshot().Instance(heldA); i.Silent || !i.Healthy {
		t.Errorf("silent: %v, healthy: %v, after a sign of life", i.Silent, i.Healthy)
	}
	if n := s.store.Commits() - commits; n != 1 {
		t.Errorf("two signs of life took %d writes, want one", n)
	}
	s.whole()
}

func TestRemovalGivesWayToAConnectionThatTakesOver(t *testing.T) {
	s := newSetting(t)
	s.hold("1", "order-api", registration(heldA))
	ro := s.roster(heldA)
	s.silence(heldA)
	s.interrupt(func() {
		if _, err := s.other.Hold(t.Context(), "2", service("order-api"), []registry.Registration{registration(heldA)}); err != nil {
			t.Error(err)
		}
	})
	if err := s.Remove(t.Context(), ro, s.Snapshot().Revision()); err != nil {
		t.Fatal(err)
	}
	s.wantHolder(heldA, "2", "after both")
	s.whole()
}

// What a connection takes over is not let go by the one that had it.
func TestLettingGoGivesWayToAConnectionThatTakesOver(t *testing.T) {
	for name, letGo := range map[string]func(s *setting) error{
		"of all": func(s *setting) error {
			_, err := s.LetGo(s.t.Context(), "1", service("order-api"), heldB.Endpoint)
			return err
		},
		"by a set without it": func(s *setting) error {
			_, err := s.Hold(s.t.Context(), "1", service("order-api"), []registry.Registration{registration(heldB)})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSetting(t)
			s.hold("1", "order-api", registration(heldA))
			s.interrupt(func() {
				if _, err := s.other.Hold(t.Context(), "2", service("order-api"), []registry.Registration{registration(heldA)}); err != nil {
					t.Error(err)
				}
			})
			if err := letGo(s); err != nil {
				t.Fatal(err)
			}
			s.wantHolder(heldA, "2", "after both")
			s.whole()
		})
	}
}

// A connection that was silent and lost all it had begins anew with what it declares.
func TestAVerdictFromBeforeCountsNothing(t *testing.T) {
	for name, declare := range map[string]func(s *setting) error{
		"held": func(s *setting) error {
			_, err := s.Hold(s.t.Context(), "1", service("order-api"), []registry.Registration{registration(heldB)})
			return err
		},
		"regained": func(s *setting) error {
			_, err := s.Regain(s.t.Context(), "1", []registry.Registration{registration(heldB)}, func(string) bool { return false })
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSetting(t)
			s.hold("1", "order-api", registration(heldA))
			s.silence(heldA)
			s.hold("2", "order-api", registration(heldA))
			commits := s.store.Commits()
			if err := declare(s); err != nil {
				t.Fatal(err)
			}
			if i := s.Snapshot().Instance(heldB); i == nil || i.Silent {
				t.Errorf("%s is %+v, want one that is not silent", heldB, i)
			}
			if n := s.store.Commits() - commits; n != 1 {
				t.Errorf("it took %d writes, want one, so that nobody sees it silent", n)
			}
			s.whole()
		})
	}
	t.Run("of what it has", func(t *testing.T) {
		s := newSetting(t)
		s.hold("1", "order-api", registration(heldA))
		s.silence(heldA)
		s.hold("1", "order-api", registration(heldA))
		if s.Snapshot().Instance(heldA).Silent {
			t.Errorf("%s is silent after its connection declared it anew", heldA)
		}
	})
}

func TestLetGo(t *testing.T) {
	for name, test := range map[string]struct {
		id   string
		at   registry.InstanceKey
		want [2]string // holders of a and b
	}{
		"all that the connection holds in the service":        {"1", heldC, [2]string{"absent", "absent"}},
		"the one that is named, by one that holds none there": {"2", heldB, [2]string{"1", "absent"}},
		"one that nobody knows":                               {"2", heldC, [2]string{"1", "1"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSetting(t)
			s.hold("1", "order-api", registration(heldA), registration(heldB))
			if _, err := s.LetGo(t.Context(), test.id, service("order-api"), test.at.Endpoint); err != nil {
				t.Fatal(err)
			}
			s.wantHolder(heldA, test.want[0], "afterwards")
			s.wantHolder(heldB, test.want[1], "afterwards")
			s.whole()
		})
	}
	t.Run("nothing that beats for itself", func(t *testing.T) {
		s := newSetting(t)
		s.register(registration(heldA))
		if _, err := s.LetGo(t.Context(), "1", heldA.Service, heldA.Endpoint); err != nil {
			t.Fatal(err)
		}
		s.wantHolder(heldA, "", "afterwards")
	})
}

// Whoever else declares the instance has it, and takes it from the connection.
func TestOthersTakeFromAConnection(t *testing.T) {
	for name, take := range map[string]func(s *setting){
		"one that beats for itself": func(s *setting) { s.register(registration(heldA)) },
		"an agent":                  func(s *setting) { s.declare("host-1", "1", registration(heldA)) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSetting(t)
			s.hold("1", "order-api", registration(heldA))
			take(s)
			if s.Snapshot().Connection("1") != nil {
				t.Error("the connection holds it still")
			}
			s.whole()
			s.hold("1", "order-api", registration(heldA))
			s.wantHolder(heldA, "1", "after it declared it anew")
			s.whole()
		})
	}
}

func TestAConnectionIsRefused(t *testing.T) {
	s := newSetting(t)
	s.register(persistent(heldA))
	_, err := s.Hold(t.Context(), "1", heldA.Service, []registry.Registration{registration(heldA), registration(heldB)})
	if _, ok := errors.AsType[*registry.KindError](err); !ok {
		t.Errorf("Hold in a persistent service = %v, want a *KindError", err)
	}
	bad := registration(endpoint("billing", "10.0.0.1", 80))
	bad.Weight = -1
	if _, err := s.Hold(t.Context(), "1", service("billing"), []registry.Registration{bad}); !errors.Is(err, registry.ErrInvalid) {
		t.Errorf("Hold with a bad weight = %v, want ErrInvalid", err)
	}
	if _, err := s.Hold(t.Context(), "", service("billing"), nil); !errors.Is(err, registry.ErrInvalid) {
		t.Errorf("Hold without a connection = %v, want ErrInvalid", err)
	}
	s.whole()
}

// What a connection vouches for no more is judged without it, and has the full time.
func TestForsake(t *testing.T) {
	s := newSetting(t)
	other := endpoint("billing", "10.0.0.1", 80)
	s.hold("1", "order-api", registration(heldA), registration(heldB))
	s.hold("1", "billing", registration(other))
	was := s.Snapshot()
	commits := s.store.Commits()
	for range 2 {
		if err := s.Forsake(t.Context(), "1", map[registry.ServiceKey]bool{heldA.Service: true, service("unknown"): true}); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.store.Commits() - commits; n != 1 {
		t.Errorf("it took %d writes twice, want one", n)
	}
	for old, now := range registry.Diff(was, s.Snapshot()) {
		t.Errorf("readers see that %v became %v", old, now)
	}
	s.wantHolder(other, "1", "afterwards")
	if a, b, o := s.roster(heldA), s.roster(heldB), s.roster(other); a != b || a == o {
		t.Errorf("judged as %v, %v and %v, want the first two together and apart from the third", a, b, o)
	}
	s.silence(heldA)
	if err := s.HearConnection(t.Context(), "1"); err != nil {
		t.Fatal(err)
	}
	if !s.Snapshot().Instance(heldA).Silent || s.Snapshot().Instance(other).Silent {
		t.Error("silence is not of what the connection vouches for no more, and of that alone")
	}
	s.hold("2", "order-api", registration(heldB))
	s.wantHolder(heldB, "2", "after another connection declared it")
	s.remove(heldA)
	s.wantHolder(heldA, "absent", "after it was removed")
	s.whole()
}

func TestRegain(t *testing.T) {
	alive := func(string) bool { return false }
	for name, test := range map[string]struct {
		lose func(s *setting)
		gone func(string) bool
		want string
	}{
		"what the judge removed": {func(s *setting) {
			s.silence(heldA)
			s.remove(heldA)
		}, alive, "1"},
		"not what was deregistered": {func(s *setting) {
			if _, err := s.Deregister(s.t.Context(), heldA, true); err != nil {
				s.t.Error(err)
			}
		}, alive, "absent"},
		"not what another connection holds":    {func(s *setting) { s.hold("2", "order-api", registration(heldA)) }, alive, "2"},
		"what a silent connection holds":       {func(s *setting) { s.hold("2", "order-api", registration(heldA)); s.silence(heldA) }, alive, "1"},
		"what a connection holds that is gone": {func(s *setting) { s.hold("2", "order-api", registration(heldA)) }, func(id string) bool { return id == "2" }, "1"},
		"what it vouched for no more": {func(s *setting) {
			if err := s.Forsake(s.t.Context(), "1", map[registry.ServiceKey]bool{heldA.Service: true}); err != nil {
				s.t.Error(err)
			}
		}, alive, "1"},
		"not what beats for itself, and silent": {func(s *setting) { s.register(registration(heldA)); s.silence(heldA) }, alive, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSetting(t)
			s.hold("1", "order-api", registration(heldA))
			test.lose(s)
			if _, err := s.Regain(t.Context(), "1", []registry.Registration{registration(heldA)}, test.gone); err != nil {
				t.Fatal(err)
			}
			s.wantHolder(heldA, test.want, "afterwards")
			s.whole()
		})
	}
}
