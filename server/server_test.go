package server_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

func TestOpenAPIDocumentIsValidAndComplete(t *testing.T) {
	s := running(t)
	base := "http://" + s.Addresses().HTTP
	status, body := get(t, base+"/openapi.json")
	if status != http.StatusOK {
		t.Fatalf("GET /openapi.json = %d", status)
	}
	doc, err := openapi3.NewLoader().LoadFromData([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Errorf("the document is not valid OpenAPI: %v", err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("openapi = %q, want 3.1", doc.OpenAPI)
	}
	for _, path := range []string{
		api.PathServices, api.PathService, api.PathClaim, api.PathResolve, api.PathInstances, api.PathInstance, api.PathBeat, api.PathAgents, api.PathAgent,
		api.PathAgentBeat, api.PathConfigs, api.PathConfig, api.PathWatch, api.PathLabels, api.PathStatus,
		"/nacos/v1/ns/instance", "/nacos/v1/ns/instance/list", "/nacos/v1/ns/instance/beat", "/nacos/v1/ns/service/list",
		"/nacos/v1/ns/operator/metrics", "/nacos/v1/cs/configs", "/nacos/v1/cs/configs/listener",
	} {
		if doc.Paths.Value(path) == nil {
			t.Errorf("the document lacks %s", path)
		}
	}
}

func TestHealthEndpoints(t *testing.T) {
	s := running(t)
	base := "http://" + s.Addresses().HTTP
	for path, want := range map[string]string{"/livez": "ok", "/readyz": "ok", "/metrics": "muster_etcd_commit_seconds"} {
		status, body := get(t, base+path)
		if status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("GET %s = %d without %q", path, status, want)
		}
	}
}

func TestServicesAndInstances(t *testing.T) {
	c := dial(t, running(t))
	n := client.Name{Name: "a/b:c"} // a name with separators is one segment of the path
	if _, err := c.Service(t.Context(), n); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("Service(unknown) = %v, want not found", err)
	}
	spec := api.ServiceSpec{ProtectThreshold: 0.5, Metadata: map[string]string{"owner": "team"}}
	svc, err := c.PutService(t.Context(), n, spec)
	if err != nil {
		t.Fatal(err)
	}
	if svc.DNSName != "a.b.c.svc" || svc.ProtectThreshold != 0.5 || svc.Metadata["owner"] != "team" {
		t.Errorf("PutService = %+v", svc)
	}
	weight := 3.0
	in := api.Instance{Address: "2001:DB8::1", Port: 80, Weight: &weight, Cluster: "bj", Metadata: map[string]string{"version": "v1"}}
	got, err := c.Register(t.Context(), n, in)
	if err != nil {
		t.Fatal(err)
	}
	on := true
	want := api.Instance{Address: "2001:db8::1", Port: 80, Weight: &weight, Cluster: "bj", Enabled: &on, Healthy: &on,
		Metadata: in.Metadata, Revision: got.Revision, DNSName: "ip6-2001-db8-0-0-0-0-0-1.a.b.c.inst"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Register: -want +got\n%s", diff)
	}
	again, err := c.Register(t.Context(), n, in)
	if err != nil || again.Revision != got.Revision {
		t.Errorf("registering the same again = revision %d, %v, want %d: nothing written", again.Revision, err, got.Revision)
	}
	zero := 0.0
	if got, err = c.UpdateInstance(t.Context(), n, "[2001:db8::1]:80", client.InstancePatch{Weight: &zero}); err != nil || *got.Weight != 0 {
		t.Errorf("UpdateInstance(weight 0) = %+v, %v", got, err)
	}
	healthy, err := c.Instances(t.Context(), n, client.InstanceQuery{Healthy: true})
	if err != nil || len(healthy.Instances) != 0 {
		t.Errorf("Instances(healthy) with weight 0 = %+v, %v, want none", healthy.Instances, err)
	}
	if err := c.DeleteService(t.Context(), n); !errors.Is(err, client.ErrConflict) {
		t.Errorf("DeleteService(with instances) = %v, want a conflict", err)
	}
	if err := c.Deregister(t.Context(), n, "[2001:db8::1]:80"); err != nil {
		t.Error(err)
	}
	if err := c.DeleteService(t.Context(), n); err != nil {
		t.Error(err)
	}
}

func TestBadInputNamesTheField(t *testing.T) {
	s := running(t)
	c := dial(t, s)
	before := s.Status().Revision
	heavy := 10001.0
	long := strings.Repeat("x", 600)
	for _, tc := range []struct {
		name  string
		call  func() error
		field string
	}{
		{"bad IP", func() error {
			_, err := c.Register(t.Context(), client.Name{Name: "s"}, api.Instance{Address: "10.0.0.300", Port: 1})
			return err
		}, "ip"},
		{"weight out of range", func() error {
			_, err := c.Register(t.Context(), client.Name{Name: "s"}, api.Instance{Address: "10.0.0.1", Port: 1, Weight: &heavy})
			return err
		}, "weight"},
		{"over-long name", func() error {
			_, err := c.Register(t.Context(), client.Name{Name: long}, api.Instance{Address: "10.0.0.1", Port: 1})
			return err
		}, "service"},
		{"illegal cluster", func() error {
			_, err := c.Register(t.Context(), client.Name{Name: "s"}, api.Instance{Address: "10.0.0.1", Port: 1, Cluster: "a b"})
			return err
		}, "cluster"},
		{"illegal namespace", func() error {
			_, err := c.Register(t.Context(), client.Name{Name: "s", Namespace: "a b"}, api.Instance{Address: "10.0.0.1", Port: 1})
			return err
		}, "namespace"},
		{"threshold out of range", func() error {
			_, err := c.PutService(t.Context(), client.Name{Name: "s"}, api.ServiceSpec{ProtectThreshold: 2})
			return err
		}, "protectThreshold"},
		{"unknown DNS mode", func() error {
			_, err := c.PutService(t.Context(), client.Name{Name: "s"}, api.ServiceSpec{DNS: &api.ServiceDNS{Mode: "random"}})
			return err
		}, `dns.mode: "random" is neither ordered, sampled nor single`},
		{"unknown topology", func() error {
			_, err := c.PutService(t.Context(), client.Name{Name: "s"}, api.ServiceSpec{DNS: &api.ServiceDNS{Topology: "near"}})
			return err
		}, `dns.topology: "near" is neither prefer nor pin`},
		{"TTL out of range", func() error {
			_, err := c.PutService(t.Context(), client.Name{Name: "s"}, api.ServiceSpec{DNS: &api.ServiceDNS{TTL: new(uint32(1 << 31))}})
			return err
		}, "dns.ttl"},
		{"question without a name", func() error {
			_, err := c.Explain(t.Context(), client.ResolveQuery{})
			return err
		}, "name"},
		{"question of no type", func() error {
			_, err := c.Explain(t.Context(), client.ResolveQuery{Name: "s.svc", Type: "nonsense"})
			return err
		}, `type: "nonsense" is no DNS type`},
		{"question from no address", func() error {
			_, err := c.Explain(t.Context(), client.ResolveQuery{Name: "s.svc", From: "here"})
			return err
		}, `from: "here" is not an IP address`},
		{"name with a label over 63 octets", func() error {
			_, err := c.Explain(t.Context(), client.ResolveQuery{Name: long + ".svc"})
			return err
		}, "name"},
		{"content that is blank", func() error {
			_, err := c.PutConfig(t.Context(), client.Name{Name: "d"}, []byte("  \n"), client.ConfigWrite{})
			return err
		}, "content"},
		{"content over 10 MiB", func() error {
			_, err := c.PutConfig(t.Context(), client.Name{Name: "d"}, []byte(strings.Repeat("x", 10<<20+1)), client.ConfigWrite{})
			return err
		}, "content"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := tc.call()
			if !errors.Is(err, client.ErrInvalid) || !strings.Contains(err.Error(), tc.field) {
				t.Errorf("%s: error = %v, want an invalid one that names %q", tc.name, err, tc.field)
			}
		})
	}
	if after := s.Status().Revision; after != before {
		t.Errorf("revision = %d after bad input only, want %d: nothing written", after, before)
	}
}

func TestAgentSetBeatAndResync(t *testing.T) {
	s := running(t)
	c := dial(t, s)
	set := api.AgentSet{Incarnation: "one", Host: "h", Instances: []api.AgentInstance{
		{Service: "a", Address: "192.0.2.1", Port: 80, Health: api.HealthPassing},
		{Service: "b", Address: "192.0.2.1", Port: 81, Health: api.HealthUnknown},
		{Service: "bad name", Address: "192.0.2.1", Port: 82, Health: api.HealthPassing},
	}}
	answer, err := c.PutAgent(t.Context(), "web-1", set)
	if err != nil {
		t.Fatal(err)
	}
	if len(answer.Rejected) != 1 || answer.Rejected[0].Index != 2 || answer.Interval != 5000 {
		t.Errorf("PutAgent = %+v, want member 2 rejected and an interval of 5000", answer)
	}
	digest, health := api.Digest(set.Instances[:2])
	beat := api.AgentBeat{Incarnation: "one", Sequence: 1, Digest: digest, Health: health}
	revision := s.Status().Revision
	if answer, err = c.BeatAgent(t.Context(), "web-1", beat); err != nil || answer.Resync {
		t.Errorf("BeatAgent = %+v, %v, want no resync", answer, err)
	}
	if want := []string{s.Addresses().DNS}; !slices.Equal(answer.DNS, want) || !slices.Equal(answer.Zones, s.Zones()) {
		t.Errorf("BeatAgent tells of DNS %q for %q, want %q for %q", answer.DNS, answer.Zones, want, s.Zones())
	}
	if got := s.Status().Revision; got != revision {
		t.Errorf("a beat that changes nothing took the revision from %d to %d", revision, got)
	}
	if err := c.Deregister(t.Context(), client.Name{Name: "a"}, "192.0.2.1:80"); err != nil {
		t.Fatal(err)
	}
	if answer, err = c.BeatAgent(t.Context(), "web-1", beat); err != nil || !answer.Resync {
		t.Errorf("BeatAgent after somebody removed an instance = %+v, %v, want resync", answer, err)
	}
	beat.Incarnation = "two"
	if answer, err = c.BeatAgent(t.Context(), "web-1", beat); err != nil || !answer.Resync {
		t.Errorf("BeatAgent of another incarnation = %+v, %v, want resync", answer, err)
	}
	if err := c.DeleteAgent(t.Context(), "web-1"); err != nil {
		t.Fatal(err)
	}
	if st := s.Status(); st.Agents != 0 || st.Instances != 0 {
		t.Errorf("after DeleteAgent: %d agents, %d instances", st.Agents, st.Instances)
	}
}

// An agent that stands by beats as its instance needs it, from before it has it.
func TestStandbyBeatsAsItsInstanceNeeds(t *testing.T) {
	c := dial(t, running(t))
	set := api.AgentSet{Incarnation: "one", Instances: []api.AgentInstance{{
		Service: "a", Address: "192.0.2.1", Port: 80, Health: api.HealthPassing, Metadata: map[string]string{"preserved.heart.beat.interval": "700"},
	}}}
	for _, id := range []string{"web-1", "web-2"} {
		if answer, err := c.PutAgent(t.Context(), id, set); err != nil || answer.Interval != 700 {
			t.Errorf("PutAgent(%s) = %+v, %v, want an interval of 700", id, answer, err)
		}
	}
	digest, _ := api.Digest(nil)
	if answer, err := c.BeatAgent(t.Context(), "web-2", api.AgentBeat{Incarnation: "one", Digest: digest}); err != nil || answer.Resync || answer.Interval != 700 {
		t.Errorf("BeatAgent of who stands by = %+v, %v, want an interval of 700 and no resync", answer, err)
	}
}

func TestConfigsConditionsAndWatch(t *testing.T) {
	s := running(t)
	c := dial(t, s)
	n := client.Name{Name: "app.yaml"}
	head, err := c.PutConfig(t.Context(), n, []byte("a: 1\n"), client.ConfigWrite{Type: "yaml", CreateOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutConfig(t.Context(), n, []byte("a: 2\n"), client.ConfigWrite{CreateOnly: true}); !errors.Is(err, client.ErrConflict) {
		t.Errorf("PutConfig(create only) over a document = %v, want a conflict", err)
	}
	doc, err := c.Config(t.Context(), n)
	if err != nil || string(doc.Content) != "a: 1\n" || doc.Type != "yaml" || doc.MD5 != head.MD5 {
		t.Errorf("Config = %+v, %v", doc, err)
	}
	if _, changed, err := c.ConfigIfChanged(t.Context(), n, head.MD5); err != nil || changed {
		t.Errorf("ConfigIfChanged(known) = %v, %v, want unchanged", changed, err)
	}
	ref := api.ConfigRef{DataID: "app.yaml", MD5: head.MD5}
	if changed, err := c.WatchConfigs(t.Context(), []api.ConfigRef{ref}, 50*time.Millisecond); err != nil || len(changed) != 0 {
		t.Errorf("WatchConfigs(nothing changes) = %v, %v, want none", changed, err)
	}
	woken := make(chan []api.ConfigRef, 1)
	go func() {
		changed, err := c.WatchConfigs(context.WithoutCancel(t.Context()), []api.ConfigRef{ref}, 20*time.Second)
		if err != nil {
			t.Error(err)
		}
		woken <- changed
	}()
	second, err := c.PutConfig(t.Context(), n, []byte("a: 2\n"), client.ConfigWrite{IfMatch: head.MD5})
	if err != nil {
		t.Fatal(err)
	}
	if changed := <-woken; len(changed) != 1 || changed[0].MD5 != second.MD5 {
		t.Errorf("WatchConfigs over a publish = %+v, want the new MD5 %s", changed, second.MD5)
	}
	if err := c.DeleteConfig(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Config(t.Context(), n); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("Config after delete = %v, want not found", err)
	}
}

func TestListsArePaged(t *testing.T) {
	c := dial(t, running(t))
	for _, name := range []string{"order-api", "order-db", "pay-api"} {
		if _, err := c.PutService(t.Context(), client.Name{Name: name}, api.ServiceSpec{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name  string
		query client.Query
		total int
		want  []string
	}{
		{"all on one page", client.Query{}, 3, []string{"order-api", "order-db", "pay-api"}},
		{"the second page of two", client.Query{Page: 2, Size: 2}, 3, []string{"pay-api"}},
		{"a page after the last", client.Query{Page: 9, Size: 2}, 3, nil},
		{"a part of the name in another case", client.Query{Search: "ORDER"}, 2, []string{"order-api", "order-db"}},
		{"another group", client.Query{Group: "other"}, 0, nil},
		{"another namespace", client.Query{Namespace: "dev"}, 0, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			list, err := c.Services(t.Context(), tc.query)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range list.Services {
				got = append(got, s.Name)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" || list.Total != tc.total {
				t.Errorf("Services(%+v): total %d, want %d; -want +got\n%s", tc.query, list.Total, tc.total, diff)
			}
		})
	}
}

func TestWebPagesAreKeptOut(t *testing.T) {
	s := running(t)
	base := "http://" + s.Addresses().HTTP
	before := s.Status().Revision
	for _, tc := range []struct {
		name   string
		header func(*http.Request)
		want   int
	}{
		{"a page of another origin", func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") }, http.StatusForbidden},
		{"a form of another site", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, http.StatusForbidden},
		{"a name that was made to resolve to us", func(r *http.Request) { r.Host = "evil.example" }, http.StatusForbidden},
		{"a program", func(*http.Request) {}, http.StatusOK},
		{"localhost", func(r *http.Request) { r.Host = "localhost:8848" }, http.StatusOK},
	} {
		t.Run(tc.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/nacos/v1/ns/instance?serviceName=s&ip=192.0.2.1&port=1", nil)
			if err != nil {
				t.Fatal(err)
			}
			tc.header(req)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != tc.want {
				t.Errorf("POST by %s = %d, want %d", tc.name, resp.StatusCode, tc.want)
			}
			if tc.want != http.StatusOK && s.Status().Revision != before {
				t.Errorf("POST by %s wrote", tc.name)
			}
			req.URL.Path, req.URL.RawQuery = "/nacos/v2/core/loader/reloadCurrent", "count=0" // which asks clients to move
			for _, req.Method = range []string{http.MethodGet, http.MethodHead} {
				if resp, err = http.DefaultClient.Do(req); err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode != tc.want {
					t.Errorf("%s that writes by %s = %d, want %d", req.Method, tc.name, resp.StatusCode, tc.want)
				}
			}
		})
	}
}

func TestUnconditionalWritesAllWin(t *testing.T) {
	c := dial(t, running(t))
	var wg sync.WaitGroup
	for n := range 40 {
		wg.Go(func() {
			weight := float64(n)
			if _, err := c.PutConfig(t.Context(), client.Name{Name: "d"}, []byte(strings.Repeat("x", n+1)), client.ConfigWrite{}); err != nil {
				t.Errorf("PutConfig = %v, want the last one to win and none to fail", err)
			}
			if _, err := c.Register(t.Context(), client.Name{Name: "s"}, api.Instance{Address: "192.0.2.1", Port: 80, Weight: &weight}); err != nil {
				t.Errorf("Register = %v, want the last one to win and none to fail", err)
			}
		})
	}
	wg.Wait()
}
