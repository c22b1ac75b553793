package agent_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/musterhq/muster/agent/configfile"
	"github.com/musterhq/muster/agent/local"
	"github.com/musterhq/muster/agent/roll"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

// call sends a request to the local API, with headers as key, value pairs,
// and returns status, header and body.
func (r *running) call(method, path, body string, headers ...string) (int, http.Header, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

func TestLocalRegistration(t *testing.T) {
	h := newHost(t)
	h.cfg.Stay = true
	port, kill := app(t)
	h.define("a.yaml", "services: [{name: filed, port: 80}]")
	a := h.start()
	body := fmt.Sprintf(`{"port": %d, "checks": [{"tcp": "127.0.0.1:%[1]d", "interval": "20ms"}]}`, port)
	status, _, answer := a.call("PUT", "/v1/services/my-app", body)
	var got roll.InstanceStatus
	if err := json.Unmarshal([]byte(answer), &got); err != nil || status != http.StatusCreated || got.Service != "my-app" || got.Address != "127.0.0.1" || got.Origin != "app my-app" {
		t.Errorf("PUT = %d, %s, want 201 with the instance", status, answer)
	}
	h.holds("filed:80=passing", fmt.Sprintf("my-app:%d=passing", port))
	if status, _, _ := a.call("PUT", "/v1/services/my-app", body); status != http.StatusOK {
		t.Errorf("PUT again = %d, want 200", status)
	}
	if status, _, answer := a.call("PUT", "/v1/services/second", `{"name": "filed", "port": 80}`); status != http.StatusConflict || !strings.Contains(answer, "by file a.yaml") {
		t.Errorf("PUT of what a file declares = %d, %s, want 409", status, answer)
	}
	a.stop()

	t.Log("it outlives a restart")
	a = h.start()
	h.holds("filed:80=passing", fmt.Sprintf("my-app:%d=passing", port))
	kill()
	h.holds("filed:80=passing", fmt.Sprintf("my-app:%d=critical", port))
	status, _, answer = a.call("GET", "/v1/services", "")
	var list local.Services
	if err := json.Unmarshal([]byte(answer), &list); err != nil || status != http.StatusOK || len(list.Services) != 2 {
		t.Fatalf("GET = %d, %s, want both", status, answer)
	}
	if s := list.Services[1]; s.Health != "critical" || len(s.Checks) != 1 || s.Checks[0].Error == "" {
		t.Errorf("GET = %+v, want the check that fails and why", s)
	}
	if status, _, _ := a.call("DELETE", "/v1/services/my-app", ""); status != http.StatusNoContent {
		t.Errorf("DELETE = %d, want 204", status)
	}
	h.holds("filed:80=passing")
	if status, _, _ := a.call("DELETE", "/v1/services/my-app", ""); status != http.StatusNotFound {
		t.Errorf("DELETE again = %d, want 404", status)
	}
}

// What the local API registered is drained and deregistered with the rest.
func TestLocalRegistrationIsDrained(t *testing.T) {
	h := newHost(t)
	h.cfg.DrainWait = new(h.server.interval)
	a := h.start()
	if status, _, answer := a.call("PUT", "/v1/services/my-app", `{"port": 80}`); status != http.StatusCreated {
		t.Fatalf("PUT = %d, %s", status, answer)
	}
	h.holds("my-app:80=passing")
	a.stop()
	puts := h.server.seen("put")
	if w := puts[len(puts)-1].instances["my-app:80"].Weight; w == nil || *w != 0 || len(h.server.seen("delete")) != 1 {
		t.Errorf("last weight = %v, want 0, and a deregistration", w)
	}
}

func TestBrokenRegistrationsArePutAside(t *testing.T) {
	h := newHost(t)
	h.define("a.yaml", "services: [{name: a, port: 80}]")
	if err := os.MkdirAll(h.cfg.DataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(h.cfg.DataDir, "apps.json")
	if err := os.WriteFile(path, []byte(`{"x": {"port": 99999}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	h.start()
	h.holds("a:80=passing")
	if _, err := os.Stat(path + ".broken"); err != nil {
		t.Errorf("the broken file = %v, want it put aside", err)
	}
}

func TestLocalAPIRefuses(t *testing.T) {
	h := newHost(t)
	a := h.start()
	for _, c := range []struct {
		name, method, path, body string
		headers                  []string
		want                     int
		detail                   string
	}{
		{"another host", "GET", "/v1/status", "", []string{"Host", "evil.example.org"}, 403, "loopback"},
		{"another host with the right port", "GET", "/v1/services", "", []string{"Host", "evil.example.org:8849"}, 403, "loopback"},
		{"a client of Nacos at another host", "GET", "/nacos/v1/ns/instance/list?serviceName=a", "", []string{"Host", "evil.example.org"}, 403, "loopback"},
		{"a page that registers as a client of Nacos", "POST", "/nacos/v1/ns/instance?serviceName=a&ip=1.1.1.1&port=1", "", []string{"Origin", "http://evil.example.org"}, 403, "another origin"},
		{"an address that is not loopback", "GET", "/livez", "", []string{"Host", "192.0.2.1:8849"}, 403, "loopback"},
		{"a name that begins like a loopback address", "GET", "/livez", "", []string{"Host", "127.0.0.1.example.org"}, 403, "loopback"},
		{"a page of another origin", "PUT", "/v1/services/a", `{"port": 80}`, []string{"Origin", "http://evil.example.org"}, 403, "another origin"},
		{"a page of another site", "DELETE", "/v1/services/a", "", []string{"Sec-Fetch-Site", "cross-site"}, 403, "another origin"},
		{"a huge body", "PUT", "/v1/services/a", `{"name": "` + strings.Repeat("x", 1<<20) + `"}`, nil, 413, "longer than 1048576"},
		{"a body that is a form", "PUT", "/v1/services/a", "port=80", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "application/json"},
		{"no JSON", "PUT", "/v1/services/a", "{", nil, 400, "is not JSON"},
		{"no body", "PUT", "/v1/services/a", "", []string{"Content-Type", "application/json"}, 400, "is empty"},
		{"a list", "PUT", "/v1/services/a", "[]", nil, 400, "mapping"},
		{"a wrong type", "PUT", "/v1/services/a", `{"port": "http"}`, nil, 400, "body.port"},
		{"an unknown key", "PUT", "/v1/services/a", `{"prot": 80}`, nil, 400, `did you mean \"port\"`},
		{"a command", "PUT", "/v1/services/a", `{"port": 80, "checks": [{"exec": ["reboot"]}]}`, nil, 400, "body.checks[0].exec"},
		{"a port out of range", "PUT", "/v1/services/a", `{"port": 65536}`, nil, 400, "body.port"},
		{"a template that loops", "PUT", "/v1/services/a", `{"port": 80, "address": "{{range 9}}{{end}}"}`, nil, 400, "body.address"},
		{"an address of no interface", "PUT", "/v1/services/a", `{"port": 80, "address": "{{GetInterfaceIP \"nosuch0\"}}"}`, nil, 400, "body.address"},
		{"a name with a blank", "PUT", "/v1/services/a%20b", `{"name": "a", "port": 80}`, nil, 400, "path.name"},
		{"a body name with a blank", "PUT", "/v1/services/a", `{"name": "a b", "port": 80}`, nil, 400, "body.name"},
		{"a method that is not there", "POST", "/v1/services/a", `{"port": 80}`, nil, 405, "POST"},
		{"a path that is not there", "GET", "/v2/services", "", nil, 404, "/v2/services"},
		{"a template that swells", "PUT", "/v1/services/a", `{"port": 80, "address": "{{ \"'\" ` + strings.Repeat("| js", 100) + ` }}"}`, nil, 400, "body.address"},
		{"a drain of a part", "POST", "/v1/drain?namespace=a", "", nil, 400, "is no parameter"},
		{"a config it does not keep", "GET", "/v1/configs/public/DEFAULT_GROUP/a", "", nil, 404, "keeps no config"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, header, body := a.call(c.method, c.path, c.body, c.headers...)
			var p api.Problem
			if err := json.Unmarshal([]byte(body), &p); err != nil || p.Status != c.want {
				t.Errorf("body = %s, want a problem of status %d", body, c.want)
			}
			if status != c.want || header.Get("Content-Type") != "application/problem+json" || !strings.Contains(body, c.detail) {
				t.Errorf("answer = %d, %s, want %d with %q", status, body, c.want, c.detail)
			}
		})
	}
	for _, host := range []string{"localhost", "LOCALHOST:1", "127.0.0.1", "127.9.9.9:80", "[::1]:80"} {
		if status, _, body := a.call("GET", "/livez", "", "Host", host); status != http.StatusOK {
			t.Errorf("GET /livez of host %s = %d, %s, want 200", host, status, body)
		}
	}
	if n := len(a.Status().Instances); n != 0 {
		t.Errorf("instances after all that = %d, want 0", n)
	}
}

func TestReadiness(t *testing.T) {
	h := newHost(t)
	a := h.start()
	for _, path := range []string{"/livez", "/readyz", "/v1/status"} {
		if status, _, body := a.call("GET", path, ""); status != http.StatusOK {
			t.Errorf("GET %s = %d, %s, want 200", path, status, body)
		}
	}
}

func TestLocalConfig(t *testing.T) {
	h := newHost(t)
	path := filepath.Join(t.TempDir(), "app.yaml")
	h.cfg.Files = []configfile.File{{DataID: "app.yaml", Path: path}}
	h.server.edit(func() { h.server.docs["public/DEFAULT_GROUP/app.yaml"] = "a: 1" })
	const at = "/v1/configs/public/DEFAULT_GROUP/app.yaml"
	a := h.start()
	eventually(t, func() string {
		if status, _, body := a.call("GET", at, ""); status != http.StatusOK || body != "a: 1" {
			return fmt.Sprintf("GET = %d, %s, want the document", status, body)
		}
		b, err := os.ReadFile(path)
		if err != nil || string(b) != "a: 1" {
			return fmt.Sprintf("file = %q, %v, want the document", b, err)
		}
		return ""
	})
	a.stop()

	t.Log("the server is away, what was last known is served")
	h.server.edit(func() { h.server.away = true })
	a = h.start()
	tag := `"` + client.Digest([]byte("a: 1")) + `"`
	status, header, body := a.call("GET", at, "") // the first call that there is
	if status != http.StatusOK || body != "a: 1" || header.Get("ETag") != tag || header.Get("Content-Type") != "application/yaml" ||
		header.Get("Config-Type") != "yaml" || header.Get(api.HeaderRevision) != "7" {
		t.Errorf("GET = %d, %v, %s, want the document with all its headers", status, header, body)
	}
	for match, want := range map[string]int{tag: 304, "W/" + tag: 304, "*": 304, `"other", ` + tag: 304, `"other"`: 200} {
		if status, _, _ := a.call("GET", at, "", "If-None-Match", match); status != want {
			t.Errorf("GET with If-None-Match %s = %d, want %d", match, status, want)
		}
	}
	h.server.edit(func() { h.server.away = false })
	h.server.edit(func() { delete(h.server.docs, "public/DEFAULT_GROUP/app.yaml") })
	eventually(t, func() string {
		if status, _, _ := a.call("GET", at, ""); status != http.StatusNotFound {
			return "a deleted document is still served"
		}
		return ""
	})
	if b, err := os.ReadFile(path); err != nil || string(b) != "a: 1" {
		t.Errorf("file after the deletion = %q, %v, want it in place", b, err)
	}
}

// What one program registers leaves room for what others do: servers take no set that
// is too large.
func TestBoundOfRegistrations(t *testing.T) {
	h := newHost(t)
	kept := map[string]map[string]any{}
	for n := range 204 { // one more is over 3 MiB
		kept[fmt.Sprintf("kept-%d", n)] = map[string]any{"port": 80, "metadata": map[string]string{"a": strings.Repeat("x", 15<<10)}}
	}
	text, err := json.Marshal(kept)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(h.cfg.DataDir, 0o700), os.WriteFile(filepath.Join(h.cfg.DataDir, "apps.json"), text, 0o600)); err != nil {
		t.Fatal(err)
	}
	a := h.start()
	for _, step := range []struct {
		name       string
		size, want int
		says       string
	}{
		{"mine", 17 << 10, http.StatusBadRequest, "body.metadata"},
		{"mine", 15 << 10, http.StatusTooManyRequests, "bytes"},
		{"mine", 10, http.StatusCreated, "mine"},
		{"kept-0", 10, http.StatusOK, "kept-0"},
		{"mine", 15 << 10, http.StatusOK, "mine"},
	} {
		body := fmt.Sprintf(`{"port": 80, "metadata": {"a": %q}}`, strings.Repeat("x", step.size))
		if status, _, answer := a.call("PUT", "/v1/services/"+step.name, body); status != step.want || !strings.Contains(answer, step.says) {
			t.Errorf("PUT %s with %d bytes = %d %.200s, want %d with %q", step.name, step.size, status, answer, step.want, step.says)
		}
	}
}
