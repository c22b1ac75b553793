package registry_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/musterhq/muster/registry"
)

func seen(rec registry.Record, revision int64) registry.Terms {
	return registry.Terms{If: &registry.Seen{Key: rec.RecordKey(), Revision: revision}}
}

func TestWritesOnTerms(t *testing.T) {
	s := newSetting(t)
	k := endpoint("db", "10.0.0.1", 80)
	r := persistent(k)
	declared := s.register(r).Revision
	weigh := func(terms registry.Terms, w float64) error {
		_, err := s.Under(terms).Override(t.Context(), k, registry.Edit{Weight: &w})
		return err
	}
	refused := func(step string, err error, is int64) {
		t.Helper()
		if mismatch, ok := errors.AsType[*registry.SeenError](err); !ok || mismatch.Is != is || !errors.Is(err, registry.ErrConflict) {
			t.Errorf("%s = %v, want a *SeenError with %d", step, err, is)
		}
	}
	refused("a write of what should not be there", weigh(seen(&r, 0), 2), declared)
	refused("a write of another revision", weigh(seen(&r, declared+100), 2), declared)
	if err := weigh(seen(&r, declared), 2); err != nil {
		t.Fatal(err)
	}
	refused("a second write of the same revision", weigh(seen(&r, declared), 3), s.Snapshot().Instance(k).Version())
	if err := weigh(seen(&r, -1), 3); err != nil {
		t.Errorf("a write of what is there = %v", err)
	}
	at := s.Snapshot().Instance(k).Version()
	s.interrupt(func() {
		if _, err := s.other.Override(t.Context(), k, registry.Edit{Weight: new(9.0)}); err != nil {
			t.Error(err)
		}
	})
	err := weigh(seen(&r, at), 4)
	refused("a write that another one overtook", err, s.Snapshot().Instance(k).Version())
	if w := s.Snapshot().Instance(k).Weight; w != 9 {
		t.Errorf("weight %v, want 9: that of the other one", w)
	}
	unknown := persistent(endpoint("db", "10.0.0.2", 80))
	_, err = s.Under(seen(&unknown, -1)).Register(t.Context(), unknown)
	refused("a registration over what is not there", err, 0)
	if _, err = s.Under(seen(&unknown, 0)).Register(t.Context(), unknown); err != nil {
		t.Errorf("a registration of what should not be there = %v", err)
	}
	s.whole()
}

// What was seen of an instance is what an operator says of it too, also where the
// write itself does not look at that.
func TestTermsHoldUntilTheCommit(t *testing.T) {
	s := newSetting(t)
	r := persistent(endpoint("db", "10.0.0.1", 80))
	at := s.register(r).Revision
	s.interrupt(func() {
		if _, err := s.other.Override(t.Context(), r.Key, registry.Edit{Weight: new(0.0)}); err != nil {
			t.Error(err)
		}
	})
	if _, err := s.Under(seen(&r, at)).Withdraw(t.Context(), r.Key); !errors.Is(err, registry.ErrConflict) || s.Snapshot().Instance(r.Key) == nil {
		t.Errorf("Withdraw of what was overridden meanwhile = %v, want ErrConflict and the instance to stay", err)
	}
}

func TestTermsOfServicesAndNamespaces(t *testing.T) {
	s := newSetting(t)
	n := 0
	svc, ns := &registry.ServiceRecord{Key: service("a")}, &registry.Namespace{ID: "dev"}
	put := map[string]func(*registry.Registry) error{
		"service": func(r *registry.Registry) error {
			_, err := r.UpdateService(t.Context(), svc.Key, registry.ServiceSpec{ProtectThreshold: 0.5})
			if errors.Is(err, registry.ErrNotFound) {
				_, err = r.CreateService(t.Context(), svc.Key, registry.ServiceSpec{})
			}
			return err
		},
		"namespace": func(r *registry.Registry) error {
			n++
			_, err := r.PutNamespace(t.Context(), registry.Namespace{ID: "dev", Name: fmt.Sprint("name ", n)})
			return err
		},
	}
	for name, rec := range map[string]registry.Record{"service": svc, "namespace": ns} {
		if err := put[name](s.Under(seen(rec, 0))); err != nil {
			t.Errorf("%s that should not be there: %v", name, err)
		}
		if err := put[name](s.Under(seen(rec, 0))); !errors.Is(err, registry.ErrConflict) {
			t.Errorf("%s that should not be there and is: %v, want ErrConflict", name, err)
		}
		if err := put[name](s.Under(seen(rec, s.Snapshot().Revision()))); err != nil {
			t.Errorf("%s as seen: %v", name, err)
		}
	}
	s.whole()
}

// A dry run writes nothing, hears nobody, and shows what would stand.
func TestDryRun(t *testing.T) {
	s := newSetting(t)
	dry := s.Under(registry.Terms{DryRun: true})
	k := endpoint("db", "10.0.0.1", 80)
	before := s.store.Commits()
	receipt, err := dry.Register(t.Context(), registration(k))
	if err != nil || !receipt.Wrote || receipt.After == nil || receipt.After.Instance(k) == nil {
		t.Fatalf("Register = %+v, %v, want what would stand", receipt, err)
	}
	if s.store.Commits() != before || s.Snapshot().Instance(k) != nil || len(s.roll.Take()) > 0 {
		t.Error("a dry run left something behind")
	}
	s.register(registration(k))
	s.roll.Take()
	receipt, err = dry.Register(t.Context(), registration(k))
	if err != nil || receipt.Wrote || receipt.After != s.Snapshot() || len(s.roll.Take()) > 0 {
		t.Errorf("Register of what stands = %+v, %v", receipt, err)
	}
	receipt, err = dry.Withdraw(t.Context(), k)
	if err != nil || receipt.After.Instance(k) != nil || s.Snapshot().Instance(k) == nil {
		t.Errorf("Withdraw = %+v, %v", receipt, err)
	}
	if _, err := dry.DeleteService(t.Context(), k.Service); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("DeleteService with an instance = %v, want ErrConflict", err)
	}
	if _, err := dry.Register(t.Context(), registry.Registration{Key: k, Weight: -1}); !errors.Is(err, registry.ErrInvalid) {
		t.Errorf("Register of a bad weight = %v, want ErrInvalid", err)
	}
}
