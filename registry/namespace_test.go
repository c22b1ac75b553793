package registry_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/musterhq/muster/registry"
)

func TestNamespaceLifecycle(t *testing.T) {
	s := newSetting(t)
	dev := registry.Namespace{ID: "dev", Name: "Development"}
	do := func(step string, want error, wrote bool, call func() (registry.Receipt, error)) {
		t.Helper()
		if receipt, err := call(); !errors.Is(err, want) || receipt.Wrote != wrote {
			t.Errorf("%s = %+v, %v, want wrote %v, %v", step, receipt, err, wrote, want)
		}
		s.whole()
	}
	create := func(n registry.Namespace) func() (registry.Receipt, error) {
		return func() (registry.Receipt, error) { return s.CreateNamespace(t.Context(), n) }
	}
	update := func(n registry.Namespace) func() (registry.Receipt, error) {
		return func() (registry.Receipt, error) { return s.UpdateNamespace(t.Context(), n) }
	}
	drop := func(id string, leave bool) func() (registry.Receipt, error) {
		return func() (registry.Receipt, error) { return s.DeleteNamespace(t.Context(), id, leave) }
	}
	do("update an unknown one", registry.ErrNotFound, false, update(dev))
	do("create", nil, true, create(dev))
	do("create again", registry.ErrConflict, false, create(dev))
	do("create the one that is always there", registry.ErrConflict, false, create(registry.Namespace{ID: "public"}))
	do("update the one that is always there", nil, true, update(registry.Namespace{ID: "public", Description: "for all"}))
	do("update to the same", nil, false, update(dev))
	do("an id with a space", registry.ErrInvalid, false, create(registry.Namespace{ID: "a b"}))
	do("a name with a sign", registry.ErrInvalid, false, create(registry.Namespace{ID: "a", Name: "a@b"}))
	do("a name too long", registry.ErrInvalid, false, create(registry.Namespace{ID: "a", Name: strings.Repeat("a", 257)}))
	r := persistent(endpoint("db", "10.0.0.1", 80))
	r.Key.Service.Namespace = "dev"
	s.register(r)
	do("delete with a service", registry.ErrConflict, false, drop("dev", false))
	do("delete and leave the service", nil, true, drop("dev", true))
	if s.Snapshot().Namespace("dev") != nil || s.Snapshot().Instance(r.Key) == nil {
		t.Error("the declaration should be gone, and the service should not")
	}
	do("delete an unknown one", registry.ErrNotFound, false, drop("dev", true))
}
