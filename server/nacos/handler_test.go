package nacos_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/nacos"
	"github.com/musterhq/muster/server/waiters"
)

func TestPaths(t *testing.T) {
	runAll(t, []scenario{
		{"a route that naming does not have", []step{
			ask("GET /nacos/v1/ns/nothing", "501", "+\"message\":\"no such api:GET:/nacos/v1/ns/nothing\"", "+\"error\":\"Not Implemented\"",
				"+\"path\":\"/nacos/v1/ns/nothing\"", ":Content-Type: application/json;charset=UTF-8"),
			ask("DELETE /nacos/v1/ns/instance/list", "501", "+no such api:DELETE:/nacos/v1/ns/instance/list"),
		}},
		{"a route that nobody has", []step{
			ask("GET /nacos/v1/cs/datum.do", "404", "+\"status\":404"),
			ask("GET /elsewhere/v1/ns/instance", "404"),
			ask("GET /nacosv1/ns/instance", "404"),
			ask("PUT /nacos/v1/cs/configs", "405"),
		}},
		{"a slash at the end", []step{
			ask("POST /nacos/v1/cs/configs/?dataId=d&group=g content=x", "200", "=true"),
			ask("GET /nacos/v1/cs/configs/?dataId=d&group=g", "200", "=x"),
			ask("HEAD /nacos/v1/cs/configs?dataId=d&group=g", "200", "=", ":Content-Length: 1"),
		}},
	})
}

func TestContextPath(t *testing.T) {
	for path, base := range map[string]string{"": "/nacos", "/": "", "/a/b/": "/a/b", "x": "/x"} {
		w := newWorld(t, func(c *nacos.Config) { c.ContextPath = path })
		server := w.serve(t)
		if got := do(t, server.URL, "GET "+base+"/v1/console/health/liveness"); got.status != 200 {
			t.Errorf("with context path %q, %s/v1 = %d, want 200", path, base, got.status)
		}
		for _, o := range w.Operations() {
			if !strings.HasPrefix(o.Path, base+"/") {
				t.Errorf("with context path %q, an operation has path %q", path, o.Path)
			}
		}
	}
}

func TestOperationsAreDescribed(t *testing.T) {
	w := newWorld(t, func(c *nacos.Config) { c.Metrics = http.NotFoundHandler() })
	server := w.serve(t)
	seen := map[string]bool{}
	for _, o := range w.Operations() {
		call := o.Method + " " + o.Path
		if seen[call] || seen[o.ID] || o.Summary == "" || len(o.Responses) == 0 || o.Responses[0].Status != 200 {
			t.Errorf("operation %s (%s) is listed twice or not described: %+v", o.ID, call, o)
		}
		seen[call], seen[o.ID] = true, true
		names := map[string]bool{}
		for _, p := range o.Parameters {
			if names[p.Name] || p.Description == "" || !strings.Contains("query header form path", p.In) ||
				!strings.Contains("string integer number boolean", p.Type) {
				t.Errorf("%s: parameter %+v is listed twice or not described", call, p)
			}
			names[p.Name] = true
		}
		if got := do(t, server.URL, call); strings.Contains(got.body, "No message available") || got.status == 405 || got.status == 501 {
			t.Errorf("%s is listed but answers %d %q", call, got.status, got.body)
		}
	}
}

func TestMissingParts(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]nacos.Config{
		"Registry": {Configs: config.New(w.docs, config.Config{}), Waiters: waiters.New(w.docs.View())},
		"Configs":  {Registry: w.reg, Waiters: waiters.New(w.docs.View())},
		"Waiters":  {Registry: w.reg, Configs: config.New(w.docs, config.Config{})},
	} {
		if h, err := nacos.New(c); err == nil || h != nil || !strings.Contains(err.Error(), name) {
			t.Errorf("New without %s = %v, %v, want an error that names it", name, h, err)
		}
	}
}

func TestOperatorCalls(t *testing.T) {
	runAll(t, []scenario{
		{"metrics are short unless asked for", []step{
			ask("GET /nacos/v1/ns/operator/metrics", "200", `={"status":"UP"}`),
			ask("GET /nacos/v1/ns/operator/metrics?onlyStatus=TRUE", "200", `={"status":"UP"}`),
			ask("POST "+inst+"&ip=1.1.1.1&port=80", "200"),
			ask("POST /nacos/v1/ns/instance?serviceName=p&ip=1.1.1.1&port=80&ephemeral=false", "200"),
			ask("GET /nacos/v1/ns/operator/metrics?onlyStatus=false", "200", `+"status":"UP"`, `+"serviceCount":2`, `+"instanceCount":2`,
				`+"subscribeCount":0`, `+"responsibleInstanceCount":2`, `+"clientCount":2`, `+"connectionBasedClientCount":0`,
				`+"ephemeralIpPortClientCount":1`, `+"persistentIpPortClientCount":1`, `+"responsibleClientCount":2`, `+"cpu":`, `+"load":`, `+"mem":`),
		}},
		{"the server is alive and ready", []step{
			ask("GET /nacos/v1/console/health/liveness", "200", "=OK"),
			ask("GET /nacos/v1/console/health/readiness", "200", "=OK"),
			ask("GET /nacos/v1/console/server/state", "200", `+"version":"devel"`, `+"startup_mode":"standalone"`, `+"auth_enabled":"false"`, `+"server_port":"`),
		}},
	})
	w := newWorld(t, func(c *nacos.Config) { c.Ready = func() error { return errors.New("the server is stopping") } })
	ask("GET /nacos/v1/console/health/readiness", "500", "=the server is stopping").run(t, w.serve(t).URL)
}

// unborn are stores before their first list.
type unborn struct {
	nacos.Registry
	nacos.Configs
	view config.View
}

func (*unborn) Snapshot() *registry.Snapshot { return nil }
func (u *unborn) View() *config.View         { return &u.view }

func TestBeforeTheFirstSnapshot(t *testing.T) {
	u := &unborn{}
	server := newWorld(t, func(c *nacos.Config) { c.Registry, c.Configs = u, u }).serve(t)
	for _, s := range []step{
		ask(hl, "503", "=server is STARTINGnow, please try again later!"),
		ask("POST "+inst+"&ip=1.1.1.1&port=80", "503"),
		ask("GET "+doc, "503", "+In the node initialization, unable to process any requests at this time", `+"status":503`),
		ask("GET /nacos/v1/ns/operator/metrics", "200", `={"status":"STARTING"}`),
		ask("GET /nacos/v1/ns/operator/metrics?onlyStatus=false", "200", `+"serviceCount":0`),
		ask("GET /nacos/v1/console/health/liveness", "200"),
		ask("GET /nacos/v1/console/health/readiness", "500", "=config and naming not in readiness"),
		ask("GET /nacos/v2/console/health/readiness", "500", `={"code":30000,"message":"server error","data":"config and naming not in readiness"}`),
		ask("GET /nacos/v3/admin/core/state/readiness", "200", `+"code":30000`),
		ask("GET /nacos/v3/admin/core/state/liveness", "200", `+"code":0`),
		ask("GET /nacos/v2/ns/service/list", "503", "=server is STARTINGnow, please try again later!"),
		ask("GET /nacos/v1/console/namespaces", "503"),
		ask("GET /nacos/v1/cs/health", "200", "=DOWN:config and naming not in readiness"),
		ask("GET /nacos/actuator/health", "503", `={"status":"OUT_OF_SERVICE"}`),
		ask("GET /nacos/v1/core/cluster/health", "200", `+"data":"STARTING"`),
		ask("GET /nacos/v1/ns/health/server", "200", "+total services: 0"),
	} {
		s.run(t, server.URL)
	}
}

func TestFailuresOfTheStore(t *testing.T) {
	for _, tc := range []struct {
		name        string
		names, docs error
		status      string
		text        string
		logged      bool
	}{
		{"it cannot commit", fmt.Errorf("%w: no answer", registry.ErrUnavailable), fmt.Errorf("%w: no answer", config.ErrUnavailable), "503",
			"=caused: unavailable: no answer;", false},
		{"it is full", fmt.Errorf("%w: no room", registry.ErrFull), fmt.Errorf("%w: no room", config.ErrFull), "503",
			"=caused: store is full: no room;", false},
		{"it takes too long", context.DeadlineExceeded, context.DeadlineExceeded, "503", "+try again later", false},
		{"others are always faster", &registry.StaleError{Revision: 1}, &config.StaleError{Revision: 1}, "409", "+try again", false},
		{"nobody knows", errors.New("secret disk"), errors.New("secret disk"), "500",
			"=caused: unexpected failure, see the log of the server;", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var log bytes.Buffer
			w := newWorld(t, func(c *nacos.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
			w.names.Fail = tc.names
			w.docs.Fail(tc.docs)
			server := w.serve(t)
			for _, call := range []string{"POST " + inst + "&ip=1.1.1.1&port=80", "POST " + svc, publish} {
				log.Reset()
				ask(call, tc.status, tc.text).run(t, server.URL)
				if logged := strings.Contains(log.String(), "secret disk"); logged != tc.logged {
					t.Errorf("%s logs %q, want the error in it: %t", call, &log, tc.logged)
				}
			}
		})
	}
}

// Told that a document does not exist, clients drop the content they have.
func TestContentThatIsMissingIsNotAbsence(t *testing.T) {
	w := newWorld(t)
	server := w.serve(t)
	ask(publish, "200").run(t, server.URL)
	w.docs.Forget()
	for _, call := range []string{"GET " + doc, "GET " + doc + "&show=all",
		"GET /nacos/v1/cs/configs?search=blur&dataId=&group=&pageNo=1&pageSize=9"} {
		ask(call, "500", "+unexpected failure").run(t, server.URL)
	}
}

func TestWriteThatIsNotVisibleYet(t *testing.T) {
	w := newWorld(t, func(c *nacos.Config) { c.Registry, c.Configs = &lagging{Registry: c.Registry}, &laggingDocs{c.Configs} })
	server := w.serve(t)
	for _, s := range []step{
		ask("POST "+inst+"&ip=1.1.1.1&port=80", "200", "=ok", ":Muster-Lagging: true", ":Muster-Revision: 7"),
		ask(publish, "200", "=true", ":Muster-Lagging: true", ":Muster-Revision: 8"),
		ask("DELETE "+doc, "200", "=true", ":Muster-Lagging: "),
	} {
		s.run(t, server.URL)
	}
}

type lagging struct{ nacos.Registry }

func (*lagging) Register(context.Context, registry.Registration) (registry.Receipt, error) {
	return registry.Receipt{Revision: 7, Lagging: true, Wrote: true}, nil
}

type laggingDocs struct{ nacos.Configs }

func (*laggingDocs) Publish(_ context.Context, d config.Draft) (*config.Document, config.Receipt, error) {
	return &config.Document{Key: d.Key}, config.Receipt{Revision: 8, Lagging: true}, nil
}

func TestStampsNeverGoBack(t *testing.T) {
	var mu sync.Mutex
	now := time.UnixMilli(1_700_000_000_000)
	set := func(d time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(d)
	}
	w := newWorld(t, func(c *nacos.Config) {
		c.Now = func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return now
		}
	})
	server := w.serve(t)
	stamp := func() float64 { return do(t, server.URL, hl).decoded(t)["lastRefTime"].(float64) }

	first := stamp()
	if first != 1_700_000_000_000 {
		t.Errorf("first stamp = %v, want the wall clock's", first)
	}
	if again := stamp(); again != first {
		t.Errorf("stamp of the same list at the same time = %v, want %v", again, first)
	}
	set(-time.Hour)
	ask("POST "+inst+"&ip=1.1.1.1&port=80", "200").run(t, server.URL)
	second := stamp()
	if second <= first {
		t.Errorf("stamp of a later list, the clock an hour back = %v, want more than %v", second, first)
	}
	set(2 * time.Hour)
	if third := stamp(); third != first+time.Hour.Seconds()*1000 {
		t.Errorf("stamp once the clock went on = %v, want the clock's", third)
	}
}

// One instance set on every door: what a list with healthyOnly shows is what
// the registry selects.
func TestHealthyOnlyIsTheSelection(t *testing.T) {
	w := newWorld(t)
	server := w.serve(t)
	for _, more := range []string{"1&weight=2", "2&healthy=false", "3&weight=0", "4&enabled=false", "5&clusterName=other", "6&healthy=false&clusterName=other"} {
		ask("POST "+inst+"&port=80&ip=1.1.1."+more, "200").run(t, server.URL)
	}
	for _, threshold := range []string{"0", "0.4", "0.5", "1"} {
		ask("PUT "+svc+"&protectThreshold="+threshold, "200").run(t, server.URL)
		want := w.reg.Snapshot().Service(registry.ServiceKey{Namespace: "public", Group: "DEFAULT_GROUP", Name: "s"}).Select(registry.Filter{})
		got := do(t, server.URL, hl+"&healthyOnly=true")
		hosts := got.hosts(t)
		for _, i := range want.Instances {
			if hosts[i.Key.Endpoint.Host]["healthy"] != true {
				t.Errorf("threshold %s: %s is selected, the list has %v", threshold, i.Key.Endpoint, hosts[i.Key.Endpoint.Host])
			}
		}
		if len(hosts) != len(want.Instances) || got.decoded(t)["reachProtectionThreshold"] != want.Protected {
			t.Errorf("threshold %s: list = %s, want the %d selected and protection %t", threshold, got.body, len(want.Instances), want.Protected)
		}
	}
}
