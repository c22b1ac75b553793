package registry_test

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/registry"
)

func TestServiceLifecycle(t *testing.T) {
	s := newSetting(t)
	k := service("order-api")
	spec := registry.ServiceSpec{ProtectThreshold: 0.5, Metadata: map[string]string{"team": "a"}}
	steps := []struct {
		name  string
		do    func() (registry.Receipt, error)
		err   error
		wrote bool
	}{
		{"update an unknown one", func() (registry.Receipt, error) { return s.UpdateService(t.Context(), k, spec) }, registry.ErrNotFound, false},
		{"delete an unknown one", func() (registry.Receipt, error) { return s.DeleteService(t.Context(), k) }, registry.ErrNotFound, false},
		{"create", func() (registry.Receipt, error) { return s.CreateService(t.Context(), k, spec) }, nil, true},
		{"create again", func() (registry.Receipt, error) { return s.CreateService(t.Context(), k, spec) }, registry.ErrConflict, false},
		{"put the same", func() (registry.Receipt, error) { return s.PutService(t.Context(), k, spec) }, nil, false},
		{"put of the other kind", func() (registry.Receipt, error) {
			return s.PutService(t.Context(), k, registry.ServiceSpec{Ephemeral: new(true)})
		}, registry.ErrConflict, false},
		{"update to the same", func() (registry.Receipt, error) { return s.UpdateService(t.Context(), k, spec) }, nil, false},
		{"update", func() (registry.Receipt, error) { return s.UpdateService(t.Context(), k, registry.ServiceSpec{}) }, nil, true},
		{"register", func() (registry.Receipt, error) {
			return s.Register(t.Context(), persistent(endpoint("order-api", "10.0.0.1", 80)))
		}, nil, true},
		{"delete with an instance", func() (registry.Receipt, error) { return s.DeleteService(t.Context(), k) }, registry.ErrConflict, false},
		{"deregister", func() (registry.Receipt, error) {
			return s.Deregister(t.Context(), endpoint("order-api", "10.0.0.1", 80), false)
		}, nil, true},
		{"delete", func() (registry.Receipt, error) { return s.DeleteService(t.Context(), k) }, nil, true},
		{"create anew", func() (registry.Receipt, error) { return s.CreateService(t.Context(), k, spec) }, nil, true},
		{"threshold that is no number", func() (registry.Receipt, error) {
			return s.UpdateService(t.Context(), k, registry.ServiceSpec{ProtectThreshold: math.NaN()})
		}, registry.ErrInvalid, false},
		{"threshold over one", func() (registry.Receipt, error) {
			return s.CreateService(t.Context(), service("b"), registry.ServiceSpec{ProtectThreshold: 1.1})
		}, registry.ErrInvalid, false},
	}
	for _, step := range steps {
		before := s.store.Commits()
		receipt, err := step.do()
		if !errors.Is(err, step.err) || receipt.Wrote != step.wrote || s.store.Commits()-before > 1 {
			t.Fatalf("%s = %+v, %v, want wrote: %v, %v", step.name, receipt, err, step.wrote, step.err)
		}
		s.whole()
	}
	if v := s.Snapshot().ByName("order-api.svc"); v == nil || v.ProtectThreshold != 0.5 || v.Metadata["team"] != "a" || !v.Declared {
		t.Errorf("order-api.svc leads to %+v", v)
	}
}

// A service that somebody else declares meanwhile is changed, unless it turned out
// to be of the other kind.
func TestPutOverADeclarationOfSomebodyElse(t *testing.T) {
	for _, c := range []struct {
		name string
		kind *bool
		err  error
	}{{"any kind", nil, nil}, {"the same kind", new(true), nil}, {"the other kind", new(false), registry.ErrConflict}} {
		t.Run(c.name, func(t *testing.T) {
			s := newSetting(t)
			k := service("order-api")
			s.interrupt(func() {
				if _, err := s.other.CreateService(t.Context(), k, registry.ServiceSpec{Ephemeral: new(true)}); err != nil {
					t.Error(err)
				}
			})
			_, err := s.PutService(t.Context(), k, registry.ServiceSpec{Ephemeral: c.kind, ProtectThreshold: 0.5})
			v := s.Snapshot().Service(k)
			if !errors.Is(err, c.err) || !v.Ephemeral || (v.ProtectThreshold == 0.5) != (c.err == nil) {
				t.Errorf("PutService = %v, want %v, and stands as %+v", err, c.err, v.ServiceRecord)
			}
		})
	}
}

// A service that was empty once is not cleared for that when it came back since.
func TestClearSparesWhatChanged(t *testing.T) {
	s := newSetting(t)
	k := endpoint("order-api", "10.0.0.1", 80)
	come := func(r registry.Registration) *registry.Service {
		s.register(r)
		if _, err := s.Withdraw(t.Context(), k); err != nil {
			t.Fatal(err)
		}
		return s.Snapshot().Service(k.Service)
	}
	was := come(persistent(k))
	is := come(registration(k)) // of the other kind
	if err := s.Clear(t.Context(), was); err != nil || s.Snapshot().Service(k.Service) == nil {
		t.Errorf("Clear of what it was = %v, want it to stay", err)
	}
	if err := s.Clear(t.Context(), is); err != nil || s.Snapshot().Service(k.Service) != nil {
		t.Errorf("Clear of what it is = %v, want it gone", err)
	}
	s.whole()
}

func TestClaims(t *testing.T) {
	first, second := service("com.foo.Bar"), service("com.foo.bar")
	s := newSetting(t)
	register := func(k registry.ServiceKey, host string) {
		s.register(registration(registry.InstanceKey{Service: k, Endpoint: registry.Endpoint{Host: host, Port: 80}}))
	}
	holds := func(want registry.ServiceKey, when string) {
		t.Helper()
		if v := s.Snapshot().ByName("com.foo.bar.svc"); v == nil || v.Key != want {
			t.Errorf("%s com.foo.bar.svc leads to %v, want %s", when, v, want)
		}
		s.whole()
	}
	register(first, "10.0.4.1")
	register(second, "10.0.4.2")
	holds(first, "in the beginning")
	if v := s.Snapshot().Service(second); !v.Shadowed || v.DNSName() != "" || s.Snapshot().ByName(second.Exact()) != v {
		t.Errorf("the later one: shadowed %v, called %q; want its exact name alone", v.Shadowed, v.DNSName())
	}
	if s.Snapshot().Service(first).Shadowed {
		t.Error("the first one is shadowed")
	}

	if _, err := s.Deregister(t.Context(), registry.InstanceKey{Service: first, Endpoint: registry.Endpoint{Host: "10.0.4.1", Port: 80}}, true); err != nil {
		t.Fatal(err)
	}
	register(second, "10.0.4.3")
	holds(first, "without an instance")

	if _, err := s.DeleteService(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	register(second, "10.0.4.4")
	if v := s.Snapshot().ByName("com.foo.bar.svc"); v != nil {
		t.Errorf("the name was handed over to %s silently", v.Key)
	}
	register(service("COM.foo.bar"), "10.0.4.5")
	if v := s.Snapshot().ByName("com.foo.bar.svc"); v != nil {
		t.Errorf("while it was kept the name went to %s", v.Key)
	}
	register(first, "10.0.4.6")
	holds(first, "after its holder came back")

	if _, err := s.Deregister(t.Context(), registry.InstanceKey{Service: first, Endpoint: registry.Endpoint{Host: "10.0.4.6", Port: 80}}, true); err != nil {
		t.Fatal(err)
	}
	if _, err := s.DeleteService(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	kept := s.released("com.foo.bar.svc")
	if err := s.Free(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	register(service("com.FOO.bar"), "10.0.4.7")
	holds(service("com.FOO.bar"), "after it was free")
	if err := s.Free(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	holds(service("com.FOO.bar"), "after somebody freed what is held")
	if !s.Snapshot().Service(second).Shadowed {
		t.Error("the later one is not shadowed any more")
	}
}

// What was judged is freed, and nothing that came in its place.
func TestFreeSparesALaterHold(t *testing.T) {
	for _, when := range []string{"before the write", "during the write"} {
		t.Run(when, func(t *testing.T) {
			s := newSetting(t)
			k := service("order-api")
			again := func() {
				if _, err := s.other.CreateService(t.Context(), k, registry.ServiceSpec{}); err != nil {
					t.Fatal(err)
				}
				if _, err := s.other.DeleteService(t.Context(), k); err != nil {
					t.Fatal(err)
				}
			}
			again()
			judged := s.released("order-api.svc")
			if when == "before the write" {
				again()
			} else {
				s.interrupt(again)
			}
			if err := s.Free(t.Context(), judged); err != nil {
				t.Fatal(err)
			}
			if err := s.Free(t.Context(), s.released("order-api.svc")); err != nil {
				t.Fatal(err)
			}
			if _, _, held := s.Snapshot().Holder("order-api.svc"); held {
				t.Error("the later hold was not freed when it was judged itself")
			}
			s.whole()
		})
	}
}

func TestTakeName(t *testing.T) {
	first, second := service("com.foo.Bar"), service("com.foo.bar")
	s := newSetting(t)
	for i, k := range []registry.ServiceKey{first, second} {
		s.register(registration(registry.InstanceKey{Service: k, Endpoint: registry.Endpoint{Host: fmt.Sprint("10.0.4.", i), Port: 80}}))
	}
	if n := s.Snapshot().Shadowed(); n != 1 {
		t.Errorf("Shadowed() = %d, want 1", n)
	}
	tests := []struct {
		name    string
		taker   registry.ServiceKey
		err     error
		wrote   bool
		holder  registry.ServiceKey
		shadows int
	}{
		{"an unknown one", service("COM.foo.bar"), registry.ErrNotFound, false, first, 1},
		{"its holder", first, nil, false, first, 1},
		{"another one", second, nil, true, second, 1},
		{"back", first, nil, true, first, 1},
	}
	for _, test := range tests {
		receipt, err := s.TakeName(t.Context(), test.taker)
		if !errors.Is(err, test.err) || receipt.Wrote != test.wrote {
			t.Fatalf("TakeName by %s = %+v, %v, want wrote %v, %v", test.name, receipt, err, test.wrote, test.err)
		}
		s.whole()
		snap := s.Snapshot()
		if v := snap.ByName("com.foo.bar.svc"); v == nil || v.Key != test.holder || v.Shadowed {
			t.Errorf("after %s took it the name leads to %v, want %s", test.name, v, test.holder)
		}
		if n := snap.Shadowed(); n != test.shadows {
			t.Errorf("after %s took it %d are shadowed, want %d", test.name, n, test.shadows)
		}
	}
	nameless := service("._")
	if _, err := s.CreateService(t.Context(), nameless, registry.ServiceSpec{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.TakeName(t.Context(), nameless); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("TakeName by one without a folded name = %v, want a conflict", err)
	}
	// A name whose holder is gone may be taken before its time is over.
	if _, err := s.Deregister(t.Context(), registry.InstanceKey{Service: first, Endpoint: registry.Endpoint{Host: "10.0.4.0", Port: 80}}, true); err != nil {
		t.Fatal(err)
	}
	if _, err := s.DeleteService(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if k, released, ok := s.Snapshot().Holder("com.foo.bar.svc"); k != first || !released || !ok {
		t.Errorf("Holder of a kept name = %s, released %v, %v", k, released, ok)
	}
	if _, err := s.TakeName(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	s.whole()
	if v := s.Snapshot().ByName("com.foo.bar.svc"); v == nil || v.Key != second || s.Snapshot().Shadowed() != 0 {
		t.Errorf("the kept name leads to %v, %d are shadowed, want %s and none", v, s.Snapshot().Shadowed(), second)
	}
}

func TestDNSOptions(t *testing.T) {
	s := newSetting(t)
	k := service("order-api")
	tests := []struct {
		name string
		o    registry.DNSOptions
		err  error
	}{
		{"none", registry.DNSOptions{}, nil},
		{"all", registry.DNSOptions{TTL: new(uint32(0)), Mode: "sampled", Topology: "prefer"}, nil},
		{"longest TTL", registry.DNSOptions{TTL: new(uint32(registry.MaxTTL))}, nil},
		{"longer TTL", registry.DNSOptions{TTL: new(uint32(registry.MaxTTL + 1))}, registry.ErrInvalid},
		{"unknown mode", registry.DNSOptions{Mode: "Ordered"}, registry.ErrInvalid},
		{"unknown topology", registry.DNSOptions{Topology: "near"}, registry.ErrInvalid},
	}
	if _, err := s.CreateService(t.Context(), k, registry.ServiceSpec{}); err != nil {
		t.Fatal(err)
	}
	for _, test := range tests {
		was := s.Snapshot().Service(k).DNS
		want := test.o
		if _, err := s.UpdateService(t.Context(), k, registry.ServiceSpec{DNS: &test.o}); !errors.Is(err, test.err) {
			t.Errorf("%s: UpdateService = %v, want %v", test.name, err, test.err)
		} else if err != nil {
			want = was
		}
		if got := s.Snapshot().Service(k).DNS; got.Mode != want.Mode || got.Topology != want.Topology || (got.TTL == nil) != (want.TTL == nil) {
			t.Errorf("%s: options = %+v, want %+v", test.name, got, want)
		}
		if receipt, err := s.UpdateService(t.Context(), k, registry.ServiceSpec{DNS: &s.Snapshot().Service(k).DNS}); err != nil || receipt.Wrote && test.name != "none" {
			t.Errorf("%s: the same once more wrote %v, %v", test.name, receipt.Wrote, err)
		}
	}
}

// Who says nothing of DNS changes nothing of it.
func TestUpdateLeavesDNSOptionsAlone(t *testing.T) {
	s := newSetting(t)
	k := service("order-api")
	options := registry.DNSOptions{TTL: new(uint32(60)), Mode: "sampled", Topology: "pin"}
	if _, err := s.CreateService(t.Context(), k, registry.ServiceSpec{DNS: &options}); err != nil {
		t.Fatal(err)
	}
	receipt, err := s.UpdateService(t.Context(), k, registry.ServiceSpec{})
	if err != nil || receipt.Wrote {
		t.Errorf("an update to what stands = %+v, %v, want no write", receipt, err)
	}
	if _, err := s.UpdateService(t.Context(), k, registry.ServiceSpec{ProtectThreshold: 0.5}); err != nil {
		t.Fatal(err)
	}
	got := s.Snapshot().Service(k)
	if diff := cmp.Diff(options, got.DNS); diff != "" || got.ProtectThreshold != 0.5 {
		t.Errorf("threshold %v, options (-want +got):\n%s", got.ProtectThreshold, diff)
	}
	s.whole()
}

// However two services that fold to one name are created at once, one holds it
// and the other says so.
func TestClaimRace(t *testing.T) {
	first, second := service("com.foo.Bar"), service("com.foo.bar")
	s := newSetting(t)
	s.interrupt(func() {
		if _, err := s.other.CreateService(t.Context(), first, registry.ServiceSpec{}); err != nil {
			t.Error(err)
		}
	})
	if _, err := s.CreateService(t.Context(), second, registry.ServiceSpec{}); err != nil {
		t.Fatal(err)
	}
	if a, b := s.Snapshot().Service(first), s.Snapshot().Service(second); a.Shadowed || a.DNSName() == "" || !b.Shadowed || b.DNSName() != "" {
		t.Errorf("called %q (shadowed %v) and %q (%v), want the first to hold the name", a.DNSName(), a.Shadowed, b.DNSName(), b.Shadowed)
	}
}

func TestFiftyRegisterOneNewService(t *testing.T) {
	s := newSetting(t)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			name := "com.foo.Bar"
			if i%5 == 0 {
				name = "com.foo.bar" // and some a service that folds to the same
			}
			if _, err := s.Register(t.Context(), registration(endpoint(name, fmt.Sprint("10.0.0.", i), 80))); err != nil {
				t.Errorf("Register(%d) = %v", i, err)
			}
		})
	}
	wg.Wait()
	s.whole()
	a, b := s.Snapshot().Service(service("com.foo.Bar")), s.Snapshot().Service(service("com.foo.bar"))
	if a.Instances.Len() != 40 || b.Instances.Len() != 10 {
		t.Errorf("%d and %d instances, want 40 and 10", a.Instances.Len(), b.Instances.Len())
	}
	if a.Shadowed == b.Shadowed || (a.DNSName() == "") == (b.DNSName() == "") || a.Shadowed == (a.DNSName() != "") {
		t.Errorf("called %q (shadowed %v) and %q (%v), want one to hold the name", a.DNSName(), a.Shadowed, b.DNSName(), b.Shadowed)
	}
}

// A crowd that does everything at once leaves a roll that is whole.
func TestEverythingAtOnce(t *testing.T) {
	s := newSetting(t)
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			id := fmt.Sprint("host-", worker%3)
			for i := range 60 {
				k := endpoint(fmt.Sprint("service-", i%3), fmt.Sprint("10.0.0.", (worker+i)%4), 80)
				var err error
				switch i % 12 {
				case 0, 1:
					_, err = s.Register(t.Context(), registration(k))
				case 2:
					_, err = s.Register(t.Context(), persistent(k))
				case 3:
					_, err = s.Deregister(t.Context(), k, worker%2 == 0)
				case 4:
					_, err = s.Override(t.Context(), k, registry.Edit{Weight: new(float64(i))})
				case 5:
					_, _, err = s.DeclareAgent(t.Context(), registry.AgentRecord{ID: id, Incarnation: fmt.Sprint(i % 2)},
						[]registry.Declaration{{Registration: registration(k), HealthUnknown: i%2 == 0}})
				case 6:
					_, err = s.DeleteService(t.Context(), k.Service)
				case 7:
					_, err = s.Beat(t.Context(), k, new(registration(k)))
				case 8:
					_, err = s.Hold(t.Context(), id, k.Service, []registry.Registration{registration(k)})
				case 9:
					_, err = s.LetGo(t.Context(), id, k.Service, k.Endpoint)
				case 10:
					err = s.HearConnection(t.Context(), id)
				case 11:
					seen := s.Snapshot()
					if i := seen.Instance(k); i != nil {
						if ro, ok := seen.Roster(i); ok {
							err = errors.Join(s.Silence(t.Context(), ro, seen.Revision()), s.Remove(t.Context(), ro, seen.Revision()))
						}
					}
				}
				if err != nil && !errors.Is(err, registry.ErrConflict) && !errors.Is(err, registry.ErrNotFound) {
					t.Errorf("%d of worker %d: %v", i, worker, err)
				}
			}
		})
	}
	wg.Wait()
	s.whole()
	for _, v := range s.Snapshot().Services() {
		if v.Revision == 0 {
			t.Errorf("%s has instances and no record", v.Key)
		}
		for i := range v.Instances.All() {
			if held := s.Snapshot().HeldBy(i) != ""; held != (i.Witness == registry.WitnessConnection) {
				t.Errorf("%s is vouched for by %q, and held by a connection: %v", i.Key, i.Witness, held)
			}
			if i.Ephemeral() != v.Ephemeral {
				t.Errorf("%s is ephemeral: %v, its service: %v", i.Key, i.Ephemeral(), v.Ephemeral)
			}
		}
		if v.Shadowed == (v.DNSName() != "") {
			t.Errorf("%s is shadowed: %v, and called %q", v.Key, v.Shadowed, v.DNSName())
		}
	}
}
