package registry_test

import (
	"errors"
	"fmt"
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
