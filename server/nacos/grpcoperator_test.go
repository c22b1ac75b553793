package nacos_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/server/nacos"
	"github.com/musterhq/muster/server/nacos/rpc/rpctest"
)

// put makes a call that has to be fine.
func put(t testing.TB, base, call string) answer {
	t.Helper()
	a := do(t, base, call)
	if a.status != http.StatusOK {
		t.Fatalf("%s = %d %s", call, a.status, a.body)
	}
	return a
}

// What operators say of the state of servers holds over gRPC, too.
func TestOperatorsShutNamingOverGRPC(t *testing.T) {
	w, at := newGRPC(t)
	base := w.serve(t).URL + "/nacos"
	c := rpctest.Connect(t, at, rpctest.Options{})
	service := object{"serviceName": "order-api"}
	writes := map[string]bool{"InstanceRequest": true, "BatchInstanceRequest": true, "PersistentInstanceRequest": true}
	for _, state := range []string{"READ_ONLY", "WRITE_ONLY", "DOWN", "UP"} {
		put(t, base, "PUT /v1/ns/operator/switches?entry=overriddenServerStatus&value="+state)
		for _, q := range []struct {
			request, response string
			body              object
		}{
			{"InstanceRequest", "InstanceResponse", instanceOf("order-api", "192.0.2.1")},
			{"InstanceRequest", "InstanceResponse", deregisterOf("order-api", "192.0.2.1")},
			{"BatchInstanceRequest", "BatchInstanceResponse", batchOf("order-api", "192.0.2.1")},
			{"PersistentInstanceRequest", "InstanceResponse", instanceOf("standing", "192.0.2.1")},
			{"ServiceQueryRequest", "QueryServiceResponse", service},
			{"SubscribeServiceRequest", "SubscribeServiceResponse", service},
			{"ServiceListRequest", "ServiceListResponse", object{}},
			{"NamingFuzzyWatchRequest", "NamingFuzzyWatchResponse", object{"groupKeyPattern": "public>>*>>*", "watchType": "WATCH"}},
		} {
			want := 0
			if state == "DOWN" || state == "READ_ONLY" && writes[q.request] || state == "WRITE_ONLY" && !writes[q.request] {
				want = http.StatusServiceUnavailable
			}
			if a := c.Call(q.request, q.body); a.Type != q.response || a.ErrorCode != want {
				t.Errorf("%s: %s = %s %s, want a %s with code %d", state, q.request, a.Type, a.Body, q.response, want)
			}
		}
		must(t, c, "ConfigPublishRequest", "ConfigPublishResponse", object{"dataId": "d", "group": "g", "content": state}, nil) // it is no naming
	}
}

// While operators have switched pushes off nobody is told over gRPC either, and of all that
// was missed once they are on again.
func TestPushesOverGRPCAreSwitchedOff(t *testing.T) {
	w, at := newGRPC(t)
	base := w.serve(t).URL + "/nacos"
	c, watcher := rpctest.Connect(t, at, rpctest.Options{}), rpctest.Connect(t, at, rpctest.Options{})
	subscribe(t, watcher, "order-api")
	put(t, base, "PUT /v1/ns/operator/switches?entry=pushEnabled&value=false")
	must(t, c, "BatchInstanceRequest", "BatchInstanceResponse", batchOf("order-api", "192.0.2.1"), nil)
	must(t, c, "BatchInstanceRequest", "BatchInstanceResponse", batchOf("order-api", "192.0.2.1", "192.0.2.2"), nil)
	select {
	case p := <-watcher.Pushes():
		t.Errorf("told %s while pushes are off", p.Body)
	case <-time.After(200 * time.Millisecond): // five times what a push waits for others
	}
	put(t, base, "PUT /v1/ns/operator/switches?entry=pushEnabled&value=true")
	if l := told(watcher); l.ips() != "192.0.2.1 192.0.2.2" {
		t.Errorf("told %+v, want what was missed", l)
	}
}

// asked returns where a client is asked to move to: address and port.
func asked(c *rpctest.Client) string {
	var to struct{ ServerIP, ServerPort string }
	c.Next("ConnectResetRequest").Into(&to)
	return to.ServerIP + ":" + to.ServerPort
}

func TestOperatorsMoveClients(t *testing.T) {
	w, at := newGRPC(t)
	base := w.serve(t).URL + "/nacos"
	all := map[string]*rpctest.Client{}
	for _, app := range []string{"shop", "stock", "mail"} {
		all[app] = rpctest.Connect(t, at, rpctest.Options{Setup: rpctest.Setup{Version: "Nacos-Go-Client:v2.3.5", Tenant: "dev", Labels: map[string]string{"AppName": app}}})
	}
	type connection struct {
		Connected bool
		MetaInfo  struct{ ConnectType, ClientIP, RemoteIP, Version, ConnectionID, CreateTime, AppName, NamespaceID string }
	}
	var current map[string]connection
	if err := json.Unmarshal([]byte(put(t, base, "GET /v2/core/loader/current").body), &current); err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for id, is := range current {
		m := is.MetaInfo
		ids[m.AppName] = id
		if _, err := time.Parse(time.RFC3339, m.CreateTime); err != nil || !is.Connected || m.ConnectionID != id || m.ConnectType != "GRPC" || m.ClientIP != "127.0.0.1" || m.RemoteIP != "127.0.0.1" ||
			m.Version != "Nacos-Go-Client:v2.3.5" || m.NamespaceID != "dev" {
			t.Errorf("connection %s is %+v", id, is)
		}
	}
	if len(ids) != 3 {
		t.Fatalf("connections = %+v, want three", current)
	}
	var wrapped struct{ Data map[string]connection }
	if err := json.Unmarshal([]byte(put(t, base, "GET /v3/admin/core/loader/current").body), &wrapped); err != nil || len(wrapped.Data) != 3 {
		t.Errorf("connections of version 3: %+v, %v", wrapped, err)
	}
	if got := put(t, base, "GET /v2/core/loader/cluster").body; !strings.Contains(got, `"total":3,"min":3,"max":3,"avg":3`) || !strings.Contains(got, `"sdkConCount":"3"`) {
		t.Errorf("loads = %s", got)
	}
	if got := put(t, base, "GET /v2/core/loader/reloadClient?redirectAddress=192.0.2.9:8848&connectionId="+url.QueryEscape(ids["shop"])).body; got != "success" {
		t.Errorf("reloadClient = %s", got)
	}
	if to := asked(all["shop"]); to != "192.0.2.9:8848" {
		t.Errorf("asked to move to %q", to)
	}
	put(t, base, "POST /v3/admin/core/loader/reloadClient?connectionId=nobody")
	put(t, base, "POST /v3/admin/core/loader/reloadCurrent?count=2") // as many as are left
	put(t, base, "POST /v3/admin/core/loader/reloadCurrent?count=0")
	for _, app := range []string{"stock", "mail"} {
		if to := asked(all[app]); to != ":" {
			t.Errorf("%s is asked to move to %q, want any", app, to)
		}
	}
	for _, call := range []string{"reloadCurrent", "reloadCurrent?count=few", "reloadCurrent?count=-1", "reloadClient", "smartReloadCluster?loaderFactor=2"} {
		if got := do(t, base, "GET /v2/core/loader/"+call); got.status != http.StatusBadRequest {
			t.Errorf("%s = %d %s, want 400", call, got.status, got.body)
		}
	}
}

// Each server that has more than most asks what is above that to move to one that has few.
func TestOperatorsLevelServers(t *testing.T) {
	var others []nacos.Load
	known, there := true, `{"data":true}`
	w, at := newGRPC(t, func(c *nacos.Config) {
		c.Loads = func(context.Context) ([]nacos.Load, bool) { return slices.Clone(others), known }
		c.Members = func() []nacos.Member {
			return []nacos.Member{{Address: "192.0.2.1:8848", Self: true}, {Address: "192.0.2.2:8848"}}
		}
		c.Elsewhere = func(_ context.Context, question string, take func([]byte)) {
			if strings.HasPrefix(question, "/nacos/v3/admin/core/loader/smartReloadCurrent?") {
				take([]byte(there))
			}
		}
	})
	base := w.serve(t).URL + "/nacos"
	var all []*rpctest.Client
	for range 4 {
		all = append(all, rpctest.Connect(t, at, rpctest.Options{}))
	}
	moved := func() (to []string) {
		for _, c := range all {
			must(t, c, "ServerCheckRequest", "ServerCheckResponse", object{}, nil)
			for more := true; more; {
				select {
				case p := <-c.Pushes():
					var at struct{ ServerIP, ServerPort string }
					p.Into(&at)
					to = append(to, at.ServerIP+":"+at.ServerPort)
				default:
					more = false
				}
			}
		}
		return to
	}
	others = []nacos.Load{{Address: "192.0.2.2:8848", Clients: 4}}
	if got := put(t, base, "GET /v2/core/loader/smartReloadCluster").body; got != "Ok" || len(moved()) > 0 {
		t.Errorf("level already: %s", got)
	}
	known = false
	if got := put(t, base, "GET /v2/core/loader/smartReloadCluster").body; got != "Fail" || len(moved()) > 0 {
		t.Errorf("not known: %s", got)
	}
	known, others = true, []nacos.Load{{Address: "192.0.2.2:8848"}}
	there = `{"data":false}`
	if got := do(t, base, "POST /v3/admin/core/loader/smartReloadCluster"); got.status != http.StatusInternalServerError {
		t.Errorf("the other one does not know: %d %s, want 500", got.status, got.body)
	}
	var to []string
	for end := time.Now().Add(rpctest.Wait); len(to) < 2 && time.Now().Before(end); {
		to = append(to, moved()...)
	}
	if !slices.Equal(to, []string{"192.0.2.2:8848", "192.0.2.2:8848"}) {
		t.Errorf("moved to %q, want two of four to the other server", to)
	}
}
