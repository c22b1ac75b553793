package server_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/server"
)

// reply is an answer without its body.
type reply struct {
	StatusCode int
	Header     http.Header
}

// ask does a call with headers given as "Name: value" and returns the answer.
func ask(t *testing.T, s *server.Server, method, path, body string, headers ...string) (reply, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, base(s)+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header}, string(b)
}

// Of each kind of thing that is written: what a condition lets through, what a
// dry run leaves behind, and what both answer.
func TestWritesOnTerms(t *testing.T) {
	const svc = "/v1/services/public/DEFAULT_GROUP/order-api"
	for _, thing := range []struct {
		name, path, one, two string
		removable            bool
	}{
		{"service", svc, `{"protectThreshold": 0.1}`, `{"protectThreshold": 0.2}`, true},
		{"instance", svc + "/instances/192.0.2.10:8080", `{"weight": 2}`, `{"weight": 3}`, true},
		{"namespace", "/v1/namespaces/dev", `{"name": "one"}`, `{"name": "two"}`, true},
	} {
		t.Run(thing.name, func(t *testing.T) {
			s := running(t)
			revision := func() int64 { return s.Status().Revision }
			want := func(step string, resp reply, body string, status int) {
				t.Helper()
				if resp.StatusCode != status {
					t.Fatalf("%s = %d %s, want %d", step, resp.StatusCode, body, status)
				}
			}
			before := revision()
			resp, body := ask(t, s, http.MethodPut, thing.path+"?dryRun=true", thing.one)
			want("a dry run of what is not there", resp, body, http.StatusOK)
			if resp.Header.Get(api.HeaderDryRun) != "true" || resp.Header.Get("ETag") != "" || strings.Contains(body, `"revision"`) {
				t.Errorf("a dry run answers %v and %s", resp.Header, body)
			}
			resp, body = ask(t, s, http.MethodGet, thing.path, "")
			want("reading what was not written", resp, body, http.StatusNotFound)
			resp, body = ask(t, s, http.MethodPut, thing.path, thing.one, "If-Match: *")
			want("a change of what is not there", resp, body, http.StatusPreconditionFailed)
			if revision() != before {
				t.Errorf("the revision went from %d to %d, want nothing written", before, revision())
			}
			resp, body = ask(t, s, http.MethodPut, thing.path, thing.one, "If-None-Match: *")
			want("making it", resp, body, http.StatusOK)
			tag := resp.Header.Get("ETag")
			resp, body = ask(t, s, http.MethodPut, thing.path, thing.two, "If-None-Match: *")
			want("making it again", resp, body, http.StatusPreconditionFailed)
			if got := resp.Header.Get("ETag"); got != tag || tag == "" {
				t.Errorf("ETag of a 412 = %q, want %q", got, tag)
			}
			resp, body = ask(t, s, http.MethodGet, thing.path, "")
			if want("reading it", resp, body, http.StatusOK); resp.Header.Get("ETag") != tag {
				t.Errorf("ETag read = %q, want %q as written", resp.Header.Get("ETag"), tag)
			}
			resp, body = ask(t, s, http.MethodPut, thing.path, thing.two, `If-Match: "1"`)
			want("a change of another revision", resp, body, http.StatusPreconditionFailed)
			var p api.Problem
			if err := json.Unmarshal([]byte(body), &p); err != nil || p.Status != 412 || p.Title != "Precondition Failed" || len(p.Errors) != 1 ||
				p.Errors[0].Location != "header.If-Match" || `"`+strings.TrimSuffix(string(mustJSON(t, p.Errors[0].Value)), ".0")+`"` != tag ||
				!strings.Contains(p.Detail, strings.Trim(tag, `"`)) || resp.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("problem = %s, want one that names the revision %s", body, tag)
			}
			resp, body = ask(t, s, http.MethodPut, thing.path+"?dryRun=true", thing.two, "If-Match: "+tag)
			want("a dry run of a change", resp, body, http.StatusOK)
			resp, body = ask(t, s, http.MethodPut, thing.path, thing.two, "If-Match: W/"+tag)
			want("a change", resp, body, http.StatusOK)
			if resp.Header.Get("ETag") == tag {
				t.Errorf("ETag after a change = %q, want another one", tag)
			}
			resp, body = ask(t, s, http.MethodDelete, thing.path, "", "If-Match: "+tag)
			want("a removal of what was", resp, body, http.StatusPreconditionFailed)
			resp, body = ask(t, s, http.MethodDelete, thing.path+"?dryRun=true", "", "If-Match: *")
			want("a dry run of a removal", resp, body, http.StatusNoContent)
			for _, bad := range []string{"If-Match: 12", `If-Match: "x"`, `If-Match: "1", "2"`, `If-Match: "0"`, `If-Match: "-1"`, `If-None-Match: "1"`} {
				resp, body = ask(t, s, http.MethodPut, thing.path, thing.one, bad)
				want(bad, resp, body, http.StatusBadRequest)
			}
			resp, body = ask(t, s, http.MethodPut, thing.path, thing.one, "If-Match: *", "If-None-Match: *")
			want("two that contradict each other", resp, body, http.StatusBadRequest)
			resp, body = ask(t, s, http.MethodPut, thing.path+"?dryrun=true", thing.one)
			want("a parameter that is not known", resp, body, http.StatusUnprocessableEntity)
			resp, body = ask(t, s, http.MethodDelete, thing.path, "", "If-Match: *")
			want("a removal", resp, body, http.StatusNoContent)
		})
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

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

// Whatever is refused below /v1 is a problem of RFC 9457.
func TestRefusalsAreProblems(t *testing.T) {
	s := running(t)
	const svc = "/v1/services/public/DEFAULT_GROUP/s"
	for _, test := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
	}{
		{"an unknown path", http.MethodGet, "/v1/nothing", "", nil, http.StatusNotFound},
		{"the root of the API", http.MethodGet, "/v1/", "", nil, http.StatusNotFound},
		{"an unknown method", http.MethodPost, "/v1/services", "{}", nil, http.StatusMethodNotAllowed},
		{"a method that nobody has", "BREW", svc, "", nil, http.StatusMethodNotAllowed},
		{"a service that is not there", http.MethodGet, svc, "", nil, http.StatusNotFound},
		{"no JSON", http.MethodPut, svc, "{", nil, http.StatusBadRequest},
		{"no body", http.MethodPut, svc, "", nil, http.StatusBadRequest},
		{"another type", http.MethodPut, svc, "<a/>", []string{"Content-Type: text/xml"}, http.StatusUnsupportedMediaType},
		{"too large", http.MethodPut, svc, `{"metadata":{"a":"` + strings.Repeat("x", 2<<20) + `"}}`, nil, http.StatusRequestEntityTooLarge},
		{"an unknown key", http.MethodPut, svc, `{"weihgt":1}`, nil, http.StatusUnprocessableEntity},
		{"a page out of range", http.MethodGet, "/v1/services?page=0", "", nil, http.StatusUnprocessableEntity},
		{"a size out of range", http.MethodGet, "/v1/namespaces?size=10001", "", nil, http.StatusUnprocessableEntity},
		{"no number", http.MethodGet, svc + "/instances?size=x", "", nil, http.StatusUnprocessableEntity},
		{"another site", http.MethodPut, svc, "{}", []string{"Origin: http://evil.example"}, http.StatusForbidden},
	} {
		t.Run(test.name, func(t *testing.T) {
			resp, body := ask(t, s, test.method, test.path, test.body, test.headers...)
			var p api.Problem
			err := json.Unmarshal([]byte(body), &p)
			if resp.StatusCode != test.status || resp.Header.Get("Content-Type") != "application/problem+json" || err != nil ||
				p.Status != test.status || p.Title != http.StatusText(test.status) || p.Detail == "" {
				t.Errorf("%s %s = %d %s %.200s, want a problem with status %d", test.method, test.path, resp.StatusCode, resp.Header.Get("Content-Type"), body, test.status)
			}
		})
	}
	resp, _ := ask(t, s, http.MethodPost, "/v1/services", "{}")
	if got := resp.Header.Get("Allow"); got != "GET, HEAD" {
		t.Errorf("Allow = %q, want GET, HEAD", got)
	}
	if resp, body := ask(t, s, http.MethodGet, "/nothing", ""); resp.StatusCode != http.StatusNotFound || resp.Header.Get("Content-Type") == "application/problem+json" {
		t.Errorf("a path outside of the API = %d %q, want a plain 404", resp.StatusCode, body)
	}
}
