package server_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/musterhq/muster/server"
)

func TestDoorOfEachCall(t *testing.T) {
	for call, want := range map[string]string{
		"GET /livez":                     "",
		"GET /readyz":                    "",
		"GET /metrics":                   "",
		"GET /v1/status":                 "",
		"POST /v1/agents/web-1/beat":     "",
		"POST /v1/peer/heard":            "",
		"GET /v1/events":                 "",
		"GET /v1/configs-watch":          "",
		"PUT /nacos/v1/ns/instance/beat": "",
		"PUT /nacos/v2/ns/instance/beat": "",
		"POST /nacos/v3/client/ns/instance?heartBeat=true":                     "",
		"PUT /nacos/v1/ns/instance/beat/":                                      "",
		"GET /nacos/v1/ns/ops/metrics":                                         "",
		"GET /nacos/v1/ns/health/server":                                       "",
		"GET /nacos/v1/cs/health":                                              "",
		"GET /nacos/v3/admin/core/state/readiness":                             "",
		"GET /nacos/v1/ns/service/subscribers?serviceName=s&aggregation=false": "",
		"GET /nacos/v1/cs/communication/configWatchers?dataId=d":               "",
		"GET /nacos/v1/cs/communication/watcherConfigs?ip=1.1.1.1":             "",
		"POST /nacos/v3/client/ns/instance":                                    "waits",
		"POST /nacos/v3/client/ns/instance?heartBeat=false":                    "waits",
		"DELETE /nacos/v3/client/ns/instance?heartBeat=true":                   "waits",
		"POST /nacos/v1/console/namespaces":                                    "waits",
		"DELETE /nacos/v1/console/namespaces":                                  "waits",
		"PUT /nacos/v2/console/namespace":                                      "waits",
		"POST /nacos/v3/console/core/namespace":                                "waits",
		"DELETE /nacos/v3/admin/core/namespace":                                "waits",
		"GET /nacos/v1/console/namespaces":                                     "reads",
		"GET /nacos/v3/admin/core/namespace/list":                              "reads",
		"POST /nacos/v1/cs/configs/listener":                                   "",
		"GET /nacos/v1/ns/operator/metrics":                                    "",
		"GET /nacos/v1/console/health/readiness":                               "",
		"POST /v1/services/p/g/s/instances/a:1/beat":                           "",
		"GET /v1/services":                                                     "reads",
		"GET /v1/services/p/g/s/instances":                                     "reads",
		"GET /nacos/v1/ns/instance/list":                                       "reads",
		"GET /nacos/v3/client/ns/instance/list":                                "reads",
		"GET /nacos/v1/ns/catalog/services":                                    "reads",
		"PUT /v1/agents/web-1":                                                 "waits",
		"PUT /v1/services/p/g/s/instances/a:1":                                 "waits",
		"GET /v1/configs/p/g/d":                                                "waits",
		"GET /v1/servers":                                                      "waits",
		"POST /nacos/v1/ns/instance":                                           "waits",
		"DELETE /nacos/v1/ns/instance":                                         "waits",
		"GET /nacos/v1/cs/configs":                                             "waits",
		"GET /nacos/v1/ns/service/subscribers":                                 "waits",
		"GET /nacos/v1/cs/configs/listener":                                    "waits",
		"POST /nacos/v1/cs/configs":                                            "waits",
		"GET /nacos/v3/console/cs/config/listener":                             "waits",
		"DELETE /v1/services/p/g/beat/instances/beat":                          "waits",
		"GET /v1/services/public/DEFAULT_GROUP/beat":                           "reads",
		"PUT /v1/services/public/DEFAULT_GROUP/beat":                           "waits",
		"PUT /nacos/v1/ns/instance/metadata/batch":                             "waits",
		"GET /nacos/v2/core/cluster/node/list":                                 "",
		"POST /nacos/v1/auth/login":                                            "logins",
		"POST /nacos/v1/auth/users/login":                                      "logins",
		"POST /nacos/v3/auth/user/login":                                       "logins",
		"POST /nacos/v1/auth/login/":                                           "logins",
		"GET /nacos/v1/auth/users?pageNo=1":                                    "reads",
		"POST /nacos/v1/auth/roles":                                            "waits",
		"POST /v1/auth/login":                                                  "logins",
		"POST /v1/auth/oidc":                                                   "people",
		"GET /v1/auth/oidc":                                                    "people",
		"GET /v1/auth/whoami":                                                  "reads",
		"PUT /v1/auth/users/ann":                                               "waits",
		"GET /nacos/v2/ns/client/subscribe/list?x=1":                           "reads",
		"GET /nacos/v1/ns/service/list?pageNo=1&ns=cs":                         "reads",
	} {
		method, target, _ := strings.Cut(call, " ")
		for _, target := range []string{target, strings.TrimPrefix(target, "/nacos")} { // Nacos may have no context path
			if got := server.DoorOf(httptest.NewRequestWithContext(t.Context(), method, target, http.NoBody)); got != want {
				t.Errorf("door of %s %s = %q, want %q", method, target, got, want)
			}
		}
	}
}

// A beat of version 3 says that it is one in its query or in its body, which stays whole.
func TestDoorOfABody(t *testing.T) {
	long := "heartBeat=true&metadata=" + strings.Repeat("x", 5000)
	for body, want := range map[string]string{
		"serviceName=s&ip=1.1.1.1&port=80&heartBeat=true":  "",
		"serviceName=s&ip=1.1.1.1&port=80&heartBeat=false": "waits",
		"serviceName=s&ip=1.1.1.1&port=80":                 "waits",
		"":                                                 "waits",
		long:                                               "waits",
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/nacos/v3/client/ns/instance", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if got := server.DoorOf(r); got != want {
			t.Errorf("door of a call with the body %.60q = %q, want %q", body, got, want)
		}
		if left, err := io.ReadAll(r.Body); string(left) != body || err != nil {
			t.Errorf("left of the body %.60q = %.60q, %v, want all of it", body, left, err)
		}
	}
}

// While all seats are taken, a list is turned away, and beats are answered.
func TestBeatsPassBusyDoors(t *testing.T) {
	s := running(t)
	at := base(s)
	if status, _, _ := call(t, http.MethodPost, at+"/nacos/v1/ns/instance?serviceName=s&ip=10.0.0.1&port=80", "", http.NoBody); status != http.StatusOK {
		t.Fatalf("register = %d, want 200", status)
	}
	leave := server.TakeSeats(t, s)
	for path, kind := range map[string]string{
		"/nacos/v1/ns/instance/list?serviceName=s": "text/plain; charset=utf-8",
		"/v1/ns/instance/list?serviceName=s":       "text/plain; charset=utf-8",
		"/v1/services":                             "application/problem+json",
	} {
		status, header, body := call(t, http.MethodGet, at+path, "", http.NoBody)
		if status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" || !strings.Contains(body, "busy") {
			t.Errorf("GET %s while all seats are taken = %d %q, Retry-After %q, want 503", path, status, body, header.Get("Retry-After"))
		}
		if got := header.Get("Content-Type"); got != kind {
			t.Errorf("GET %s while all seats are taken says %q, want %q", path, got, kind)
		}
	}
	for _, c := range []struct{ method, path string }{
		{http.MethodPut, "/nacos/v1/ns/instance/beat?serviceName=s&ip=10.0.0.1&port=80"},
		{http.MethodPut, "/v1/ns/instance/beat?serviceName=s&ip=10.0.0.1&port=80"},
		{http.MethodGet, "/readyz"}, {http.MethodGet, "/metrics"}, {http.MethodGet, "/v1/status"},
	} {
		if status, _, body := call(t, c.method, at+c.path, "", http.NoBody); status != http.StatusOK {
			t.Errorf("%s %s while all seats are taken = %d %q, want 200", c.method, c.path, status, body)
		}
	}
	leave()
	if status, body := get(t, at+"/nacos/v1/ns/instance/list?serviceName=s"); status != http.StatusOK || !strings.Contains(body, "10.0.0.1") {
		t.Errorf("list after the seats were left = %d %q, want 200", status, body)
	}
	if _, body := get(t, at+"/metrics"); !strings.Contains(body, `muster_http_refused_total{door="reads"} 3`) {
		t.Error("/metrics does not count three calls that were turned away")
	}
}

// Answers that are being written take what all of them may hold, and no more.
func TestLargeAnswersAreBounded(t *testing.T) {
	large := strings.Repeat("x", 300<<10)
	reading, read := make(chan struct{}), make(chan struct{})
	host := server.Guarded(400<<10, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusOK)
		if _, err := w.Write([]byte(large)); err != nil {
			t.Error(err)
		}
		if r.URL.Query().Has("slow") {
			close(reading)
			<-read
		}
	})
	ask := func(path string) *httptest.ResponseRecorder {
		to := httptest.NewRecorder()
		host.ServeHTTP(to, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		return to
	}
	first := make(chan *httptest.ResponseRecorder)
	go func() { first <- ask("/v1/services?slow") }()
	<-reading
	if got := ask("/v1/services"); got.Code != http.StatusServiceUnavailable || got.Body.Len() > 1000 {
		t.Errorf("a second large answer = %d with %d bytes, want 503", got.Code, got.Body.Len())
	}
	close(read)
	if got := <-first; got.Code != http.StatusOK || got.Body.Len() != len(large) {
		t.Errorf("the first large answer = %d with %d bytes, want all of it", got.Code, got.Body.Len())
	}
	if got := ask("/v1/services"); got.Code != http.StatusOK || got.Body.Len() != len(large) {
		t.Errorf("a large answer after it = %d with %d bytes, want all of it", got.Code, got.Body.Len())
	}
}

// Logins, which anybody may send, take neither the memory nor the seats of others.
func TestLoginsAreBounded(t *testing.T) {
	at := base(running(t))
	long := strings.Repeat("x", 100<<10)
	for _, path := range []string{"/v1/auth/login", "/nacos/v1/auth/login", "/v1/auth/oidc"} {
		if status, _, body := call(t, http.MethodPost, at+path, "application/json", strings.NewReader(long)); status != http.StatusRequestEntityTooLarge {
			t.Errorf("POST %s with 100 KiB = %d %q, want 413", path, status, body)
		}
	}
	if status, _, body := call(t, http.MethodPost, at+"/v1/auth/login", "application/json", io.MultiReader(strings.NewReader(long))); status != http.StatusRequestEntityTooLarge {
		t.Errorf("POST of 100 KiB whose length is not told = %d %q, want 413", status, body)
	}
	// Of a length that is not told no more is read, and it waits without a seat.
	in, out := io.Pipe()
	answered := make(chan int, 1)
	go func() {
		status, _, _ := call(t, http.MethodPost, at+"/v1/auth/login", "application/json", in)
		answered <- status
	}()
	if _, err := io.WriteString(out, `{"user":`); err != nil {
		t.Fatal(err)
	}
	if _, body := get(t, at+"/metrics"); !strings.Contains(body, `muster_http_working{door="bulk"} 0`) || !strings.Contains(body, `muster_http_working{door="logins"} 0`) {
		t.Error("a login that comes slowly has a seat")
	}
	if _, err := io.WriteString(out, `"ann","password":"x"}`); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if status := <-answered; status != http.StatusConflict { // nobody has to log in here
		t.Errorf("a login that came slowly = %d, want 409", status)
	}
}

// A body that cannot be read is its sender's fault, and its answer repeats little of it.
func TestBodiesThatCannotBeRead(t *testing.T) {
	at := running(t).Addresses().HTTP
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = io.WriteString(conn, "PUT /v1/services/public/g/s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nnothing of the kind\r\n")
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close() // the status says it
	if answer.StatusCode != http.StatusBadRequest {
		t.Errorf("a body in chunks that are none = %s, want 400", answer.Status)
	}
	number := strings.Repeat("9", 100<<10)
	status, _, body := call(t, http.MethodPut, "http://"+at+"/v1/services/public/g/s", "application/json", strings.NewReader(`{"protectThreshold":`+number+`}`))
	if status != http.StatusBadRequest || len(body) > 2000 {
		t.Errorf("a number of 100 KiB = %d with %d bytes, want 400 and few", status, len(body))
	}
}

// What is refused of our own calls is a problem, where Nacos has paths too.
func TestOwnRefusalsAreProblems(t *testing.T) {
	at := base(gated(t))
	for path, want := range map[string]string{"/v1/auth/whoami": "application/problem+json", "/v1/auth/users/ann/sign-out": "application/problem+json", "/v1/auth/permissions": "application/json;charset=UTF-8"} {
		method := http.MethodGet
		if strings.HasSuffix(path, "sign-out") {
			method = http.MethodPost
		}
		if status, header, _ := callAs(t, "", method, at+path, "", ""); status < 400 || header.Get("Content-Type") != want {
			t.Errorf("%s %s = %d of %q, want a refusal of %q", method, path, status, header.Get("Content-Type"), want)
		}
	}
}
