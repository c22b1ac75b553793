package registry_test

import (
	"testing"

	"github.com/musterhq/muster/registry"
)

func TestProtectAtZero(t *testing.T) {
	k := registry.ServiceKey{Namespace: registry.DefaultNamespace, Group: registry.DefaultGroup, Name: "s"}
	at := func(host string, healthy, enabled bool) *registry.Registration {
		return &registry.Registration{Key: registry.InstanceKey{Service: k, Endpoint: registry.Endpoint{Host: host, Port: 80}},
			Cluster: "bj", Weight: 1, Healthy: healthy, Enabled: enabled}
	}
	changes := func(records ...registry.Record) (all []registry.Change) {
		for _, r := range records {
			all = append(all, registry.Change{Key: r.RecordKey(), Record: r, Revision: 1})
		}
		return all
	}
	sick := changes(&registry.ServiceRecord{Key: k}, at("10.0.0.1", false, true), at("10.0.0.2", false, true), at("10.0.0.3", true, false))
	zero := registry.Policy{ProtectAtZero: true}
	for _, c := range []struct {
		name      string
		snap      *registry.Snapshot
		selected  int
		protected bool
	}{
		{"without the policy", (*registry.Snapshot)(nil).Apply(1, sick), 0, false},
		{"none healthy", registry.Empty(zero).Apply(1, sick), 2, true},
		{"after more changes", registry.Empty(zero).Apply(1, sick).Apply(2, changes(at("10.0.0.4", false, true))), 3, true},
		{"one healthy", registry.Empty(zero).Apply(1, sick).Apply(2, changes(at("10.0.0.4", true, true))), 1, false},
		{"none at all", registry.Empty(zero).Apply(1, sick[:1]), 0, false},
		{"a threshold of its own", registry.Empty(zero).Apply(1, sick).
			Apply(2, changes(&registry.ServiceRecord{Key: k, ProtectThreshold: 0.5}, at("10.0.0.1", true, true))), 2, true},
	} {
		s := c.snap.Service(k)
		for of, sel := range map[string]registry.Selection{
			"all":        s.Select(registry.Filter{}),
			"a cluster":  s.Select(registry.Filter{Cluster: "bj"}),
			"every part": s.Part(func(*registry.Instance) bool { return true }).Select(registry.Filter{}),
		} {
			if len(sel.Instances) != c.selected || sel.Protected != c.protected {
				t.Errorf("%s: Select of %s = %d, protected %t, want %d, %t", c.name, of, len(sel.Instances), sel.Protected, c.selected, c.protected)
			}
		}
	}
}
