package api_test

import (
	"slices"
	"testing"

	"github.com/musterhq/muster/api"
)

func TestDigest(t *testing.T) {
	weight, off := 3.0, false
	base := []api.AgentInstance{
		{Service: "a", Address: "192.0.2.1", Port: 80, Health: api.HealthPassing},
		{Service: "b", Address: "192.0.2.2", Port: 80, Weight: &weight, Health: api.HealthCritical},
	}
	change := func(edit func(set []api.AgentInstance)) []api.AgentInstance {
		set := slices.Clone(base)
		edit(set)
		return set
	}
	one, on := 1.0, true
	for _, c := range []struct {
		name                 string
		set                  []api.AgentInstance
		sameSet, sameHealth  bool
		healthIsNotToCompare bool
	}{
		{name: "the same set", set: slices.Clone(base), sameSet: true, sameHealth: true},
		{name: "another order", set: change(slices.Reverse), sameSet: true, sameHealth: true},
		{name: "defaults spelled out", sameSet: true, sameHealth: true, set: change(func(s []api.AgentInstance) {
			s[0].Namespace, s[0].Group, s[0].Cluster = "public", "DEFAULT_GROUP", "DEFAULT"
			s[0].Weight, s[0].Enabled, s[0].Metadata = &one, &on, map[string]string{}
		})},
		{name: "another health", set: change(func(s []api.AgentInstance) { s[0].Health = api.HealthCritical }), sameSet: true},
		{name: "a health not known yet", sameSet: true, healthIsNotToCompare: true,
			set: change(func(s []api.AgentInstance) { s[0].Health = api.HealthUnknown })},
		{name: "another weight", set: change(func(s []api.AgentInstance) { s[0].Weight = &weight }), sameHealth: true},
		{name: "disabled", set: change(func(s []api.AgentInstance) { s[0].Enabled = &off }), sameHealth: true},
		{name: "metadata", set: change(func(s []api.AgentInstance) { s[0].Metadata = map[string]string{"k": "v"} }), sameHealth: true},
		{name: "one fewer", set: base[:1]},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantSet, wantHealth := api.Digest(base)
			gotSet, gotHealth := api.Digest(c.set)
			if (gotSet == wantSet) != c.sameSet {
				t.Errorf("Digest(%s) of the set equal = %v, want %v", c.name, gotSet == wantSet, c.sameSet)
			}
			if (gotHealth == wantHealth) != c.sameHealth {
				t.Errorf("Digest(%s) of the health equal = %v, want %v", c.name, gotHealth == wantHealth, c.sameHealth)
			}
			if (gotHealth == "") != c.healthIsNotToCompare {
				t.Errorf("Digest(%s) health = %q, want empty = %v", c.name, gotHealth, c.healthIsNotToCompare)
			}
		})
	}
	if base[0].Service != "a" {
		t.Error("Digest reordered its input")
	}
}
