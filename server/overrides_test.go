package server_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

func TestOverridesAreShownPinnedAndCleared(t *testing.T) {
	c := dial(t, running(t))
	n, at := client.Name{Name: "db"}, "192.0.2.1:3306"
	if _, err := c.Register(t.Context(), n, api.Instance{Address: "192.0.2.1", Port: 3306, Weight: new(5.0), Metadata: map[string]string{"a": "1", "b": "1"}}); err != nil {
		t.Fatal(err)
	}
	if i, _, err := c.Instance(t.Context(), n, at); err != nil || i.Declared != nil || i.Override != nil {
		t.Errorf("Instance() = %+v, %v, want nothing overridden", i, err)
	}
	edit := client.InstancePatch{Weight: new(0.5), Healthy: new(false), Metadata: map[string]string{"b": "2", "c": "2"}, Pinned: new(true)}
	if _, err := c.UpdateInstance(t.Context(), n, at, edit); err != nil {
		t.Fatal(err)
	}
	if _, err := c.UpdateInstance(t.Context(), n, at, client.InstancePatch{DropMetadata: []string{"c"}}); err != nil {
		t.Fatal(err)
	}
	i, tag, err := c.Instance(t.Context(), n, at)
	if err != nil || tag == "" {
		t.Fatal(err)
	}
	declared := &api.Declared{Weight: 5, Enabled: true, Healthy: true, Metadata: map[string]string{"a": "1", "b": "1"}}
	override := &api.Override{Weight: new(0.5), Healthy: new(false), Metadata: map[string]string{"b": "2"}, Pinned: true}
	if diff := cmp.Diff(declared, i.Declared) + cmp.Diff(override, i.Override); diff != "" {
		t.Errorf("declared and override: -want +got\n%s", diff)
	}
	if *i.Weight != 0.5 || *i.Healthy || i.Metadata["b"] != "2" || i.Metadata["a"] != "1" {
		t.Errorf("Instance() = %+v, want what is overridden", i)
	}
	list, err := c.Instances(t.Context(), n, client.InstanceQuery{})
	if err != nil || len(list.Instances) != 1 || list.Instances[0].Override == nil {
		t.Errorf("Instances() = %+v, %v, want the override shown", list, err)
	}
	if _, err := c.Register(t.Context(), n, i); err != nil { // what was read may be sent back
		t.Errorf("Register of what was read = %v", err)
	}
	if err := c.ClearOverride(t.Context(), n, at, client.Terms{IfMatch: tag}); !errors.Is(err, client.ErrConflict) {
		t.Errorf("ClearOverride at an old revision = %v, want a conflict", err)
	}
	if err := c.ClearOverride(t.Context(), n, at); err != nil {
		t.Fatal(err)
	}
	if i, _, err := c.Instance(t.Context(), n, at); err != nil || i.Override != nil {
		t.Errorf("Instance() afterwards = %+v, %v, want no override", i, err)
	}
	if err := c.ClearOverride(t.Context(), n, at); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("ClearOverride of nothing = %v, want not found", err)
	}
}

func TestClustersAndSelectors(t *testing.T) {
	c := dial(t, running(t))
	n := client.Name{Name: "db"}
	check := &api.HealthCheck{Kind: "mysql", User: "muster", Password: "secret", Interval: 2000}
	labels := "CONSUMER.label.zone = PROVIDER.label.zone"
	if _, err := c.PutService(t.Context(), n, api.ServiceSpec{Selector: &api.Selector{Labels: labels}, Clusters: map[string]api.ServiceCluster{"bj": {Check: check}}}); err != nil {
		t.Fatal(err)
	}
	s, tag, err := c.ServiceAt(t.Context(), n)
	if err != nil || s.Selector == nil || s.Selector.Labels != labels {
		t.Errorf("Service() = %+v, %v, want the selector", s, err)
	}
	want := map[string]api.ServiceCluster{"bj": {Check: &api.HealthCheck{Kind: "mysql", User: "muster", PasswordSet: true, Interval: 2000}}}
	if diff := cmp.Diff(want, s.Clusters); diff != "" {
		t.Errorf("clusters, the password never shown: -want +got\n%s", diff)
	}
	read := s.Clusters["bj"]
	read.Check.Interval = 3000
	if s, err = c.PutCluster(t.Context(), n, "bj", read, client.Terms{IfMatch: tag}); err != nil || !s.Clusters["bj"].Check.PasswordSet || s.Clusters["bj"].Check.Interval != 3000 {
		t.Errorf("PutCluster of what was read = %+v, %v, want that the password stays", s, err)
	}
	if s, err = c.PutService(t.Context(), n, api.ServiceSpec{ProtectThreshold: 0.5}); err != nil || len(s.Clusters) != 1 || s.Selector == nil {
		t.Errorf("PutService without clusters and selector = %+v, %v, want that they stay", s, err)
	}
	if s, err = c.PutService(t.Context(), n, api.ServiceSpec{Selector: &api.Selector{}, Clusters: map[string]api.ServiceCluster{}}); err != nil || s.Clusters != nil || s.Selector != nil {
		t.Errorf("PutService with empty ones = %+v, %v, want that they are gone", s, err)
	}
	for name, spec := range map[string]api.ServiceSpec{
		"an unknown check":   {Clusters: map[string]api.ServiceCluster{"bj": {Check: &api.HealthCheck{Kind: "ping"}}}},
		"a path of tcp":      {Clusters: map[string]api.ServiceCluster{"bj": {Check: &api.HealthCheck{Kind: "tcp", Path: "/"}}}},
		"no expression":      {Selector: &api.Selector{Labels: "zone"}},
		"an illegal cluster": {Clusters: map[string]api.ServiceCluster{"b j": {}}},
	} {
		if _, err := c.PutService(t.Context(), n, spec); !errors.Is(err, client.ErrInvalid) {
			t.Errorf("PutService with %s = %v, want invalid", name, err)
		}
	}
	if _, err := c.PutCluster(t.Context(), client.Name{Name: "nobody"}, "bj", api.ServiceCluster{}); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("PutCluster of no service = %v, want not found", err)
	}
}
