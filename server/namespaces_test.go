package server_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

func TestNamespaces(t *testing.T) {
	c := dial(t, running(t))
	if _, err := c.PutNamespace(t.Context(), "dev", api.NamespaceSpec{Name: "Development"}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Register(t.Context(), client.Name{Namespace: "dev", Name: "s"}, api.Instance{Address: "192.0.2.1", Port: 80}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutConfig(t.Context(), client.Name{Namespace: "test", Name: "d"}, []byte("x"), client.ConfigWrite{}); err != nil {
		t.Fatal(err)
	}
	list, err := c.Namespaces(t.Context(), client.Query{})
	if err != nil || list.Total != 3 {
		t.Fatalf("Namespaces() = %+v, %v, want three", list, err)
	}
	want := []api.Namespace{{ID: "dev", Name: "Development", Declared: true, Services: 1, Revision: list.Namespaces[0].Revision}, {ID: "public"}, {ID: "test", Configs: 1}}
	if diff := cmp.Diff(want, list.Namespaces); diff != "" {
		t.Errorf("Namespaces(): -want +got\n%s", diff)
	}
	if page, err := c.Namespaces(t.Context(), client.Query{Page: 2, Size: 2}); err != nil || page.Total != 3 || len(page.Namespaces) != 1 || page.Namespaces[0].ID != "test" {
		t.Errorf("Namespaces(the second page of two) = %+v, %v", page, err)
	}
	if page, err := c.Namespaces(t.Context(), client.Query{Search: "DEVEL"}); err != nil || page.Total != 1 {
		t.Errorf("Namespaces(a part of a name) = %+v, %v", page, err)
	}
	if err := c.DeleteNamespace(t.Context(), "dev", false); !errors.Is(err, client.ErrConflict) {
		t.Errorf("DeleteNamespace with a service in it = %v, want a conflict", err)
	}
	if err := c.DeleteNamespace(t.Context(), "dev", true); err != nil {
		t.Error(err)
	}
	if n, tag, err := c.Namespace(t.Context(), "dev"); err != nil || n.Declared || tag != "" || n.Services != 1 {
		t.Errorf("Namespace(used) = %+v, %q, %v, want that it is there and not declared", n, tag, err)
	}
	if _, err := c.PutNamespace(t.Context(), "test", api.NamespaceSpec{}); err != nil {
		t.Error(err)
	}
	if err := c.DeleteNamespace(t.Context(), "test", false); !errors.Is(err, client.ErrConflict) {
		t.Errorf("DeleteNamespace with a document in it = %v, want a conflict", err)
	}
	for _, id := range []string{"a b", strings.Repeat("x", 65)} {
		if _, err := c.PutNamespace(t.Context(), id, api.NamespaceSpec{}); !errors.Is(err, client.ErrInvalid) {
			t.Errorf("PutNamespace(%q) = %v, want invalid", id, err)
		}
	}
}

func TestInstancesArePaged(t *testing.T) {
	c := dial(t, running(t))
	for _, host := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"} {
		enroll(t, c, "s", host)
	}
	n := client.Name{Name: "s"}
	page, err := c.Instances(t.Context(), n, client.InstanceQuery{Page: 2, Size: 2})
	if err != nil || page.Total != 3 || len(page.Instances) != 1 || page.Instances[0].Address != "192.0.2.3" {
		t.Errorf("Instances(the second page of two) = %+v, %v", page, err)
	}
	all, err := c.Instances(t.Context(), n, client.InstanceQuery{Size: 2, Healthy: true})
	if err != nil || len(all.Instances) != 3 {
		t.Errorf("Instances(all pages) = %+v, %v, want three", all, err)
	}
}

func TestPrometheusTargets(t *testing.T) {
	s := running(t)
	c := dial(t, s)
	i := api.Instance{Address: "2001:db8::1", Port: 9090, Cluster: "bj", Metadata: map[string]string{"app.kubernetes.io/name": "x"}}
	if _, err := c.Register(t.Context(), client.Name{Name: "a"}, i); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Register(t.Context(), client.Name{Name: "b"}, api.Instance{Address: "192.0.2.1", Port: 80, Healthy: new(false)}); err != nil {
		t.Fatal(err)
	}
	got, err := c.Targets(t.Context(), client.WatchFilter{Service: "a"}, false)
	want := []api.TargetGroup{{Targets: []string{"[2001:db8::1]:9090"}, Labels: map[string]string{
		"__meta_muster_namespace": "public", "__meta_muster_group": "DEFAULT_GROUP", "__meta_muster_service": "a", "__meta_muster_dns_name": "a.svc",
		"__meta_muster_cluster": "bj", "__meta_muster_address": "2001:db8::1", "__meta_muster_port": "9090", "__meta_muster_weight": "1",
		"__meta_muster_healthy": "true", "__meta_muster_enabled": "true", "__meta_muster_ephemeral": "false", "__meta_muster_metadata_app_kubernetes_io_name": "x",
	}}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Targets(a) = %v: -want +got\n%s", err, diff)
	}
	for healthy, want := range map[bool]int{false: 2, true: 1} {
		if got, err := c.Targets(t.Context(), client.WatchFilter{}, healthy); err != nil || len(got) != want {
			t.Errorf("Targets(healthy %v) = %+v, %v, want %d", healthy, got, err, want)
		}
	}
	resp, body := ask(t, s, http.MethodGet, api.PathTargets+"?namespace=dev", "")
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/json" || strings.TrimSpace(body) != "[]" {
		t.Errorf("targets of an empty namespace = %d %s %q, want an empty list", resp.StatusCode, resp.Header.Get("Content-Type"), body)
	}
}
