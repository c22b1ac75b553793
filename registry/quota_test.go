package registry_test

import (
	"errors"
	"maps"
	"testing"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/registry/registrytest"
)

// TestQuota fills a namespace through every way to come into it, and holds that nothing more
// comes in, that what stands goes on, and that others are not bounded.
func TestQuota(t *testing.T) {
	store := registrytest.NewStore()
	quota := registry.Quota{Services: 2, Instances: 3}
	store.View().Publish(registry.Empty(registry.Policy{Quota: func(namespace string) registry.Quota {
		if namespace == registry.DefaultNamespace {
			return quota
		}
		return registry.Quota{}
	}}).Apply(1, nil))
	r := registry.New(store, &registrytest.Roll{})
	over := func(what string, err error) {
		t.Helper()
		q, ok := errors.AsType[*registry.QuotaError](err)
		if !ok || q.What != what || !errors.Is(err, registry.ErrQuota) {
			t.Errorf("error = %v, want that there are too many %s", err, what)
		}
	}
	must := func(_ registry.Receipt, err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	refused := func(_ registry.Receipt, err error) error { return err }
	one, two := endpoint("a", "10.0.0.1", 80), endpoint("a", "10.0.0.2", 80)
	must(r.Register(t.Context(), registration(one)))
	must(r.PutService(t.Context(), service("b"), registry.ServiceSpec{}))
	over("services", refused(r.PutService(t.Context(), service("c"), registry.ServiceSpec{})))
	over("services", refused(r.Register(t.Context(), registration(endpoint("c", "10.0.0.1", 80)))))
	set := func(endpoints ...registry.InstanceKey) (all []registry.Declaration) {
		for _, k := range endpoints {
			all = append(all, registry.Declaration{Registration: registration(k)})
		}
		return all
	}
	_, rejected, err := r.DeclareAgent(t.Context(), registry.AgentRecord{ID: "h", Incarnation: "1"}, set(two, endpoint("a", "10.0.0.3", 80), endpoint("a", "10.0.0.4", 80)))
	if err != nil || len(rejected) != 1 || rejected[0].Index != 2 {
		t.Fatalf("DeclareAgent = %v, %v, want the last one refused", rejected, err)
	}
	over("instances", rejected[0].Err)
	over("instances", refused(r.Change(t.Context(), func(*registry.Snapshot) (registry.Changes, error) {
		return registry.Changes{Register: []registry.Registration{registration(endpoint("a", "10.0.0.5", 80))}}, nil
	})))
	_, err = r.Hold(t.Context(), "c1", service("a"), []registry.Registration{registration(endpoint("a", "10.0.0.6", 80))})
	over("instances", err)

	// What stands may change, and whoever goes makes room.
	changed := registration(one)
	changed.Weight = 5
	must(r.Register(t.Context(), changed))
	must(r.Withdraw(t.Context(), one))
	must(r.Register(t.Context(), registration(endpoint("a", "10.0.0.7", 80))))
	elsewhere := registration(one)
	elsewhere.Key.Service.Namespace = "dev"
	for _, name := range []string{"x", "y", "z"} {
		elsewhere.Key.Service.Name = name
		must(r.Register(t.Context(), elsewhere))
	}
	// A quota that was made smaller takes nothing away.
	quota.Instances = 1
	must(r.Register(t.Context(), registration(endpoint("a", "10.0.0.7", 80))))
	want := map[string]registry.Population{"public": {Services: 2, Instances: 3}, "dev": {Services: 3, Instances: 3}}
	if got := maps.Collect(r.Snapshot().Populations()); !maps.Equal(got, want) {
		t.Errorf("Populations = %v, want %v", got, want)
	}
}
