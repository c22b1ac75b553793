package server_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/musterhq/muster/server"
	"github.com/musterhq/muster/server/nacos/rpc/rpctest"
)

// until429 makes a call again and again, and returns how it was answered when that was one
// too many.
func until429(t *testing.T, token, method, url string) (header http.Header, answer string) {
	t.Helper()
	for range 100 {
		status, header, answer := callAs(t, token, method, url, "", "")
		if status == http.StatusTooManyRequests {
			return header, answer
		}
		if status != http.StatusOK {
			t.Fatalf("%s %s = %d %s", method, url, status, answer)
		}
	}
	t.Fatalf("%s %s is never one too many", method, url)
	return nil, ""
}

// untilTurnedAway asks for a service over gRPC until that is one call too many.
func untilTurnedAway(t *testing.T, s *server.Server, token string, q map[string]any, why string) {
	t.Helper()
	c := rpctest.Connect(t, s.Addresses().GRPC, rpctest.Options{Headers: map[string]string{"accessToken": token}})
	for range 100 {
		a := c.Call("ServiceQueryRequest", q)
		if a.Type != "QueryServiceResponse" {
			t.Fatalf("ServiceQueryRequest = %s %s", a.Type, a.Body)
		}
		if !a.Success {
			if !strings.Contains(a.Message, why) {
				t.Errorf("one too many over gRPC = %s, want that it is %s", a.Body, why)
			}
			return
		}
	}
	t.Fatal("none is one too many over gRPC")
}

func TestCallsOfAnAddressAreLimited(t *testing.T) {
	s, _ := start(t, server.Config{Limits: server.Limits{AddressRate: 1}})
	at := base(s)
	call(t, http.MethodPut, at+"/v1/services/public/g/s/instances/192.0.2.1:80", "application/json", strings.NewReader("{}"))
	if header, answer := until429(t, "", http.MethodGet, at+"/v1/services"); header.Get("Retry-After") != "1" || !strings.Contains(answer, "from 127.0.0.1") {
		t.Errorf("one call too many = %v %s, want that it comes from this host and when to try again", header, answer)
	}
	if header, answer := until429(t, "", http.MethodGet, at+"/nacos/v1/ns/service/list?pageNo=1&pageSize=1"); header.Get("Retry-After") != "1" || strings.Contains(answer, "{") {
		t.Errorf("one too many of Nacos = %v %s", header, answer)
	}
	untilTurnedAway(t, s, "", map[string]any{"serviceName": "s", "groupName": "g"}, "from 127.0.0.1")
	for range 40 { // who beats, or asks whether the server lives, is not counted
		for _, c := range []struct{ method, path string }{{"POST", "/v1/services/public/g/s/instances/192.0.2.1:80/beat"}, {"GET", "/livez"}, {"GET", "/v1/status"}} {
			if status, _, answer := call(t, c.method, at+c.path, "", nil); status != http.StatusOK && status != http.StatusNoContent {
				t.Fatalf("%s %s = %d %s", c.method, c.path, status, answer)
			}
		}
	}
	if _, text := get(t, at+"/metrics"); !strings.Contains(text, `muster_http_limited_total{by="address"}`) {
		t.Error("the metrics do not tell of it")
	}
}

func TestCallsOfCallersAndNamespacesAreLimited(t *testing.T) {
	limits := server.Limits{AddressRate: -1, CallerRate: 4, Namespaces: map[string]server.NamespaceLimits{"prod": {Rate: 1}}}
	s, _ := startAfter(t, server.Config{HTTP: "127.0.0.1:0", Limits: limits}, func(s *server.Server) { server.SetGate(s, callers(t)) })
	at := base(s)
	for _, path := range []string{"/v1/services?namespace=dev", "/nacos/v1/ns/service/list?namespaceId=dev&groupName=*&pageNo=1&pageSize=1"} {
		if header, answer := until429(t, "dev", http.MethodGet, at+path); header.Get("Retry-After") != "1" || !strings.Contains(answer, "of user dev") {
			t.Errorf("%s = %v %s", path, header, answer)
		}
	}
	for _, path := range []string{"/v1/services?namespace=prod", "/nacos/v1/ns/service/list?namespaceId=prod&groupName=*&pageNo=1&pageSize=1"} {
		if header, answer := until429(t, "reader", http.MethodGet, at+path); header.Get("Retry-After") != "1" || !strings.Contains(answer, `in namespace \"prod\"`) && !strings.Contains(answer, `in namespace "prod"`) {
			t.Errorf("%s = %v %s", path, header, answer)
		}
	}
	untilTurnedAway(t, s, "dev", map[string]any{"namespace": "dev", "serviceName": "s"}, "of user dev")
	untilTurnedAway(t, s, "reader", map[string]any{"namespace": "prod", "serviceName": "s"}, `in namespace "prod"`)
	if status, _, answer := callAs(t, "all", http.MethodGet, at+"/v1/services?namespace=dev", "", ""); status != http.StatusOK {
		t.Errorf("another caller, in another namespace = %d %s", status, answer)
	}
}

// TestWhatIsAboutManyNamespacesIsLimited by each of them; and so is what waits for news.
func TestWhatIsAboutManyNamespacesIsLimited(t *testing.T) {
	s, _ := start(t, server.Config{Limits: server.Limits{AddressRate: -1, Namespaces: map[string]server.NamespaceLimits{"prod": {Rate: 1}}}})
	at := base(s)
	const asJSON, form = "application/json", "application/x-www-form-urlencoded"
	set := func(ns ...string) string {
		var all []string
		for i, ns := range ns {
			all = append(all, fmt.Sprintf(`{"namespace":%q,"service":"s","address":"192.0.2.1","port":%d,"health":"passing"}`, ns, i+1))
		}
		return `{"incarnation":"i","instances":[` + strings.Join(all, ",") + `]}`
	}
	if status, _, answer := call(t, "PUT", at+"/v1/agents/web-1", asJSON, strings.NewReader(set("dev", "prod"))); status != http.StatusOK {
		t.Fatalf("a set = %d %s", status, answer)
	}
	for _, c := range []struct{ method, path, kind, body string }{
		{"HEAD", "/v1/events?namespace=prod", "", ""},
		{"PUT", "/v1/agents/web-1", asJSON, set("dev", "prod")},
		{"POST", "/v1/configs-watch", asJSON, `{"configs":[{"namespace":"dev","group":"g","dataId":"d"},{"namespace":"prod","group":"g","dataId":"d"}],"wait":0}`},
		{"POST", "/v1/configs-watch", asJSON, `{"configs":[],"groups":[{"namespace":"prod","group":"g"}],"wait":0}`},
		{"POST", "/v1/configs-set", asJSON, `{"edits":[{"namespace":"dev","group":"g","dataId":"d","content":"x"},{"namespace":"prod","group":"g","dataId":"d","content":"x"}]}`},
		{"POST", "/v1/configs-clone", asJSON, `{"from":"dev","to":"prod","onConflict":"skip"}`},
		{"POST", "/nacos/v1/cs/configs/listener", form, "Listening-Configs=d%02g%021%02prod%01"},
	} {
		limited := false
		for n := 0; n < 30 && !limited; n++ {
			status, header, answer := call(t, c.method, at+c.path, c.kind, strings.NewReader(c.body))
			limited = status == http.StatusTooManyRequests
			if limited && (header.Get("Retry-After") != "1" || c.method != "HEAD" && !strings.Contains(answer, "in namespace")) {
				t.Errorf("%s %s = %v %s", c.method, c.path, header, answer)
			} else if !limited && status != http.StatusOK {
				t.Fatalf("%s %s = %d %s", c.method, c.path, status, answer)
			}
		}
		if !limited {
			t.Errorf("%s %s is never one too many", c.method, c.path)
		}
	}
	t.Log("a set that is one too many says that its agent lives")
	for n, status := 0, 0; status != http.StatusTooManyRequests; n++ {
		if err := server.Silence(t.Context(), s, "web-1"); err != nil || n == 30 {
			t.Fatalf("after %d sets: %v", n, err)
		}
		status, _, _ = call(t, "PUT", at+"/v1/agents/web-1", asJSON, strings.NewReader(set("prod")))
	}
	if _, agent := get(t, at+"/v1/agents/web-1"); !strings.Contains(agent, `"silent":false`) {
		t.Errorf("the agent is %s, want one that is not silent", agent)
	}
}

func TestNamespaceIsFull(t *testing.T) {
	limits := server.Limits{NamespaceLimits: server.NamespaceLimits{Services: 1}, Namespaces: map[string]server.NamespaceLimits{"dev": {Services: -1, Instances: 2}}}
	s, _ := start(t, server.Config{Limits: limits})
	at := base(s)
	for _, c := range []struct {
		method, path, kind, body string
		want                     int
		says                     string
	}{
		{"PUT", "/v1/services/public/g/one", "application/json", "{}", 200, ""},
		{"PUT", "/v1/services/public/g/two", "application/json", "{}", 403, "quota of namespace public: it has 1 services"},
		{"POST", "/nacos/v1/ns/instance?serviceName=n&ip=192.0.2.2&port=81", "", "", 429, "quota of namespace public"},
		{"PUT", "/v1/services/dev/g/one", "application/json", "{}", 200, ""},
		{"PUT", "/v1/services/dev/g/two", "application/json", "{}", 200, ""},
		{"PUT", "/v1/agents/web-1", "application/json", `{"incarnation":"i","instances":[{"namespace":"dev","service":"s","address":"192.0.2.1","port":1,"health":"passing"},{"namespace":"dev","service":"s","address":"192.0.2.1","port":2,"health":"passing"},{"namespace":"dev","service":"s","address":"192.0.2.1","port":3,"health":"passing"}]}`,
			200, "quota of namespace dev: it has 2 instances"},
	} {
		if status, _, answer := call(t, c.method, at+c.path, c.kind, strings.NewReader(c.body)); status != c.want || !strings.Contains(answer, c.says) {
			t.Errorf("%s %s = %d %s, want %d and %q", c.method, c.path, status, answer, c.want, c.says)
		}
	}
}

func TestLimitsThatAreWrong(t *testing.T) {
	for want, l := range map[string]server.Limits{
		"address_rate":             {AddressRate: 100001},
		"namespaces: dev: namespa": {Namespaces: map[string]server.NamespaceLimits{"dev": {Rate: 100001}}},
		`namespace: "a b"`:         {Namespaces: map[string]server.NamespaceLimits{"a b": {}}},
	} {
		if _, err := (server.Config{Limits: l}).WithDefaults(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("WithDefaults(%+v) = %v, want an error of %s", l, err, want)
		}
	}
}

// deadlines notes the last deadline for reading a body.
type deadlines struct {
	http.ResponseWriter

	read time.Time
}

func (d *deadlines) SetReadDeadline(at time.Time) error {
	d.read = at
	return nil
}

// TestWhoSendsSlowlyHoldsNoSeat sends half a body, and holds that the call has no seat until
// the other half is here; where all such bodies are too much already it has, and the rest has
// to come in soon.
func TestWhoSendsSlowlyHoldsNoSeat(t *testing.T) {
	for _, size := range []int{2000, 3 << 20, 14 << 20} {
		for _, told := range []bool{true, false} {
			for _, room := range []int{64 << 20, 0} {
				t.Run(fmt.Sprintf("%d bytes, told %v, room for %d", size, told, room), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { sendSlowly(t, size, told, room) })
				})
			}
		}
	}
}

func sendSlowly(t *testing.T, size int, told bool, room int) {
	half, seats, serve := server.Doors(room)
	var got string
	var inside int
	from, to := io.Pipe()
	body := strings.Repeat("x", size)
	length := int64(-1)
	if told {
		length = int64(size)
	}
	done := make(chan struct{})
	w := &deadlines{ResponseWriter: httptest.NewRecorder()}
	began := time.Now()
	go func() {
		defer close(done)
		serve(w, from, length, func(w http.ResponseWriter, r *http.Request) {
			inside = seats()
			if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Error(err)
			}
			b, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			got = string(b)
		})
	}()
	if _, err := io.WriteString(to, body[:size/2]); err != nil {
		t.Error(err)
	}
	synctest.Wait()
	want, within := 0, time.Minute
	if room == 0 {
		want, within = 1, 2*time.Second
	}
	if n := seats(); n != want {
		t.Errorf("%d seats are taken while half of the body is here, want %d", n, want)
	}
	if n := half(); room > 0 && (n < size/2 || n > size+1<<20) {
		t.Errorf("%d bytes count, want those that are here", n)
	}
	if _, err := io.WriteString(to, body[size/2:]); err != nil {
		t.Error(err)
	}
	_ = to.Close()
	<-done
	if got != body || inside != 1 || seats() != 0 || half() != 0 {
		t.Errorf("%d bytes came, %d seats were taken meanwhile, %d after it, and %d bytes count", len(got), inside, seats(), half())
	}
	if given := w.read.Sub(began); given != within {
		t.Errorf("the rest has to be here within %v, want %v", given, within)
	}
}
