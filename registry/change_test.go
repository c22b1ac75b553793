package registry_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/musterhq/muster/registry"
)

func TestChange(t *testing.T) {
	a, b, c := endpoint("x", "10.0.0.1", 80), endpoint("x", "10.0.0.2", 80), endpoint("y", "10.0.0.3", 80)
	var many []registry.Registration
	for i := range registry.MaxChange + 1 {
		many = append(many, registration(endpoint("x", fmt.Sprint("10.1.0.", i), 80)))
	}
	bad := registration(endpoint("x", "10.0.0.9", 80))
	bad.Weight = -1
	tests := []struct {
		name       string
		register   []registry.Registration
		deregister []registry.InstanceKey
		err        error
		want       []registry.InstanceKey
	}{
		{"nothing", nil, nil, nil, []registry.InstanceKey{a}},
		{"two come, of two new services", []registry.Registration{registration(b), registration(c)}, nil, nil, []registry.InstanceKey{a, b, c}},
		{"one comes as another one goes", []registry.Registration{registration(c)}, []registry.InstanceKey{a}, nil, []registry.InstanceKey{c}},
		{"one goes that is not there", nil, []registry.InstanceKey{b}, nil, []registry.InstanceKey{a}},
		{"one of two is bad", []registry.Registration{registration(b), bad}, nil, registry.ErrInvalid, []registry.InstanceKey{a}},
		{"one of two is of the other kind", []registry.Registration{registration(c), persistent(b)}, nil, registry.ErrConflict, []registry.InstanceKey{a}},
		{"one comes twice", []registry.Registration{registration(b), registration(b)}, nil, registry.ErrInvalid, []registry.InstanceKey{a}},
		{"one comes and goes", []registry.Registration{registration(a)}, []registry.InstanceKey{a}, registry.ErrInvalid, []registry.InstanceKey{a}},
		{"as many as may be", many[1:], nil, nil, append([]registry.InstanceKey{a}, keysOf(many[1:])...)},
		{"too many", many, nil, registry.ErrInvalid, []registry.InstanceKey{a}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSetting(t)
			s.register(registration(a))
			before := s.store.Commits()
			if _, err := s.Change(t.Context(), func(*registry.Snapshot) (registry.Changes, error) {
				return registry.Changes{Register: test.register, Deregister: test.deregister}, nil
			}); !errors.Is(err, test.err) {
				t.Fatalf("Change = %v, want %v", err, test.err)
			}
			if n := s.store.Commits() - before; n > 1 {
				t.Errorf("Change took %d commits, want one at the most", n)
			}
			s.whole()
			if _, n, _ := s.Snapshot().Counts(); n != len(test.want) {
				t.Errorf("%d instances, want %d", n, len(test.want))
			}
			for _, k := range test.want {
				if s.Snapshot().Instance(k) == nil {
					t.Errorf("%s is not there", k)
				}
			}
		})
	}
}

// What is decided on a roll that changes meanwhile is decided anew.
func TestChangeIsDecidedOnWhatStands(t *testing.T) {
	s := newSetting(t)
	a, b := endpoint("x", "10.0.0.1", 80), endpoint("x", "10.0.0.2", 80)
	s.register(registration(a))
	s.interrupt(func() {
		if _, err := s.other.Deregister(t.Context(), a, true); err != nil {
			t.Error(err)
		}
	})
	asked := 0
	_, err := s.Change(t.Context(), func(snap *registry.Snapshot) (registry.Changes, error) {
		asked++
		if snap.Instance(a) == nil {
			return registry.Changes{}, errMissing
		}
		return registry.Changes{Register: []registry.Registration{registration(b)}, Deregister: []registry.InstanceKey{a}}, nil
	})
	if !errors.Is(err, errMissing) || asked != 2 || s.Snapshot().Instance(b) != nil {
		t.Errorf("Change = %v after %d decisions, %v there; want what the second decided", err, asked, s.Snapshot().Instance(b))
	}
	s.whole()
}

var errMissing = errors.New("not what it was")

func keysOf(registrations []registry.Registration) (keys []registry.InstanceKey) {
	for _, r := range registrations {
		keys = append(keys, r.Key)
	}
	return keys
}

// The verdict goes with the last instance that it was on, and not before.
func TestChangeTakesTheVerdictAlong(t *testing.T) {
	a, b, c := endpoint("x", "10.0.0.1", 80), endpoint("y", "10.0.0.1", 80), endpoint("z", "10.0.0.1", 80)
	for _, test := range []struct {
		name     string
		goes     []registry.InstanceKey
		verdicts int
	}{
		{"one of three", []registry.InstanceKey{a}, 1},
		{"two of three", []registry.InstanceKey{a, b}, 1},
		{"all of them", []registry.InstanceKey{a, b, c}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSetting(t)
			s.declare("host-1", "1", registration(a), registration(b), registration(c))
			s.silence(a)
			if _, err := s.Change(t.Context(), func(*registry.Snapshot) (registry.Changes, error) {
				return registry.Changes{Deregister: test.goes}, nil
			}); err != nil {
				t.Fatal(err)
			}
			if d := s.Snapshot().Dump(); len(d.Verdicts) != test.verdicts || d.Instances != 3-len(test.goes) {
				t.Errorf("%d instances and the verdicts %v, want %d and %d", d.Instances, d.Verdicts, 3-len(test.goes), test.verdicts)
			}
			s.whole()
		})
	}
}

// What a decision rests on is what stands when it is written, whoever changes it
// and through whatever door.
func TestChangeRestsOnWhatStands(t *testing.T) {
	free, held, other := endpoint("free", "10.0.0.1", 80), endpoint("held", "10.0.0.2", 80), endpoint("held", "10.0.0.3", 80)
	const freeName, heldName = "free.svc", "held.svc"
	must := func(s *setting, err error) {
		if err != nil {
			s.t.Error(err)
		}
	}
	registers := func(r registry.Registration) func(*setting) {
		return func(s *setting) {
			_, err := s.other.Register(s.t.Context(), r)
			must(s, err)
		}
	}
	heavier := registration(held)
	heavier.Weight = 2
	foreign := registration(endpoint("FREE", "10.0.0.1", 80))
	tests := []struct {
		name      string
		c         registry.Changes
		meanwhile func(s *setting)
		asked     int
	}{
		{"nothing happens", registry.Changes{Names: []string{freeName, heldName}, Present: []registry.InstanceKey{held}}, func(*setting) {}, 1},
		{"something else happens", registry.Changes{Names: []string{freeName, heldName}, Present: []registry.InstanceKey{held}},
			registers(registration(endpoint("y", "10.0.0.1", 80))), 1},
		{"who holds the name comes into being", registry.Changes{Names: []string{freeName}}, registers(registration(free)), 2},
		{"another service takes the name", registry.Changes{Names: []string{freeName}}, registers(foreign), 2},
		{"an instance comes", registry.Changes{Names: []string{heldName}}, registers(registration(other)), 2},
		{"an instance changes", registry.Changes{Names: []string{heldName}}, registers(heavier), 2},
		{"an instance comes by its exact name", registry.Changes{Names: []string{held.Service.Exact()}}, registers(registration(other)), 2},
		{"an agent's instance comes", registry.Changes{Names: []string{heldName}}, func(s *setting) {
			_, refused, err := s.other.DeclareAgent(s.t.Context(), registry.AgentRecord{ID: "host-1", Incarnation: "1"},
				[]registry.Declaration{{Registration: registration(other)}})
			if must(s, err); len(refused) > 0 {
				s.t.Error(refused)
			}
		}, 2},
		{"an instance goes", registry.Changes{Names: []string{heldName}, Present: []registry.InstanceKey{held}}, func(s *setting) {
			_, err := s.other.Deregister(s.t.Context(), held, true)
			must(s, err)
		}, 2},
		{"the name goes to another service", registry.Changes{Names: []string{heldName}}, func(s *setting) {
			registers(registration(endpoint("HELD", "10.0.0.1", 80)))(s)
			_, err := s.other.TakeName(s.t.Context(), service("HELD"))
			must(s, err)
		}, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSetting(t)
			s.register(registration(held))
			s.interrupt(func() { test.meanwhile(s) })
			asked := 0
			_, err := s.Change(t.Context(), func(*registry.Snapshot) (registry.Changes, error) {
				asked++
				c := test.c
				c.Register = []registry.Registration{registration(endpoint("x", "10.0.0.9", 80))}
				return c, nil
			})
			if err != nil || asked != test.asked {
				t.Errorf("Change = %v after %d decisions, want %d", err, asked, test.asked)
			}
			s.whole()
		})
	}
}

// However many take a name at once, each on condition that it is free, one gets it.
func TestOneTakesAFreeName(t *testing.T) {
	for name, prepare := range map[string]func(s *setting){
		"a new service": func(*setting) {},
		"a service without instances": func(s *setting) {
			if _, err := s.CreateService(s.t.Context(), service("x"), registry.ServiceSpec{Ephemeral: new(true)}); err != nil {
				s.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSetting(t)
			prepare(s)
			const many = 8
			var got atomic.Int32
			var wg, decided sync.WaitGroup
			decided.Add(many)
			for n := range many {
				wg.Go(func() {
					first := sync.OnceFunc(func() { decided.Done(); decided.Wait() }) // all decide on the same roll
					_, err := s.Change(t.Context(), func(snap *registry.Snapshot) (registry.Changes, error) {
						defer first()
						if v := snap.ByName("x.svc"); v != nil && v.Instances.Len() > 0 {
							return registry.Changes{}, errMissing
						}
						k := endpoint("x", fmt.Sprint("10.0.0.", n), 80)
						return registry.Changes{Register: []registry.Registration{registration(k)}, Names: []string{"x.svc"}}, nil
					})
					switch {
					case err == nil:
						got.Add(1)
					case !errors.Is(err, errMissing):
						t.Errorf("Change(%d) = %v", n, err)
					}
				})
			}
			wg.Wait()
			if n := s.Snapshot().Service(service("x")).Instances.Len(); got.Load() != 1 || n != 1 {
				t.Errorf("%d got the name, and %d instances have it; want one", got.Load(), n)
			}
			s.whole()
		})
	}
}

func TestChangeRestsOnSoMuch(t *testing.T) {
	s := newSetting(t)
	var names []string
	for n := range registry.MaxRelied / 2 {
		names = append(names, fmt.Sprintf("x%d.svc", n))
	}
	for _, present := range [][]registry.InstanceKey{nil, {endpoint("x", "10.0.0.1", 80)}} {
		_, err := s.Change(t.Context(), func(*registry.Snapshot) (registry.Changes, error) {
			return registry.Changes{Register: []registry.Registration{registration(endpoint("x", "10.0.0.9", 80))}, Names: names, Present: present}, nil
		})
		if errors.Is(err, registry.ErrInvalid) != (present != nil) || err != nil && present == nil {
			t.Errorf("Change that rests on %d names and %d instances = %v", len(names), len(present), err)
		}
	}
}
