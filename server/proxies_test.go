package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/internal/authority"
	"github.com/musterhq/muster/internal/certs"
	"github.com/musterhq/muster/server"
	"github.com/musterhq/muster/server/events"
	"github.com/musterhq/muster/server/nacos/rpc/rpctest"
)

// through makes a call as a proxy of this host does that has it from where the lines of the
// header say.
func through(t *testing.T, from []string, method, url, kind, body string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header["X-Forwarded-For"] = from
	req.Header.Set("Content-Type", kind)
	status, _, answer = sent(t, req)
	return status, answer
}

// Who guesses passwords behind a proxy locks out himself, whatever he says of where he is,
// and is found in the log.
func TestLockOutBehindProxy(t *testing.T) {
	dir := t.TempDir()
	s, _ := start(t, server.Config{Auth: "on", DataDir: dir, TrustedProxies: []string{"127.0.0.0/8"}})
	login := func(password string, from ...string) int {
		t.Helper()
		status, _ := through(t, from, http.MethodPost, base(s)+api.PathLogin, "application/json", `{"user":"admin","password":"`+password+`"}`)
		return status
	}
	for range 5 {
		if got := login("wrong password", "198.51.100.1, 203.0.113.1"); got != http.StatusUnauthorized {
			t.Fatalf("a wrong password = %d, want 401", got)
		}
	}
	secret := adminSecret(t, dir)
	for name, c := range map[string]struct {
		from []string
		want int
	}{
		"who guessed":                         {[]string{"203.0.113.1"}, http.StatusTooManyRequests},
		"who guessed, as if of this host":     {[]string{"127.0.0.1, 203.0.113.1"}, http.StatusTooManyRequests},
		"who guessed, as if of a proxy":       {[]string{"203.0.113.2", "127.0.0.1", "203.0.113.1:4711"}, http.StatusTooManyRequests},
		"another client":                      {[]string{"203.0.113.1, 203.0.113.2"}, http.StatusOK},
		"the address that who guessed forged": {[]string{"198.51.100.1"}, http.StatusOK},
		"this host":                           {nil, http.StatusOK},
	} {
		if got := login(secret, c.from...); got != c.want {
			t.Errorf("login of %s = %d, want %d", name, got, c.want)
		}
	}
	seen := map[string]bool{}
	for _, r := range recorded(t, dir) {
		seen[r.From] = true
	}
	if !seen["203.0.113.1"] || !seen["203.0.113.2"] {
		t.Errorf("the log has calls from %v, want the clients of the proxy", seen)
	}
}

// Of clients behind a proxy each has what one address may ask for, and releases for some
// addresses go by it.
func TestClientsBehindProxy(t *testing.T) {
	s, _ := start(t, server.Config{Auth: server.AuthOff, Insecure: true, Limits: server.Limits{AddressRate: 1}, TrustedProxies: []string{"127.0.0.1"}})
	ask := func(path string, from ...string) (int, string) {
		t.Helper()
		return through(t, from, http.MethodGet, base(s)+path, "", "")
	}
	doc := "/nacos/v1/cs/configs?dataId=d&group=g"
	for _, beta := range []string{"", "203.0.113.1"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base(s)+doc+"&content=of"+beta, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if beta != "" {
			req.Header.Set("betaIps", beta)
		}
		if resp, err := http.DefaultClient.Do(req); err != nil || resp.Body.Close() != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("publish = %v, %v", resp, err)
		}
	}
	for from, want := range map[string]string{"203.0.113.1": "of203.0.113.1", "203.0.113.1, 203.0.113.2": "of", "203.0.113.2, 203.0.113.1": "of203.0.113.1"} {
		if status, answer := ask(doc, from); status != http.StatusOK || answer != want {
			t.Errorf("the document for %s = %d %q, want %q", from, status, answer, want)
		}
	}
	for _, from := range []string{"203.0.113.3", "unknown"} {
		limited := false
		for n := 0; n < 100 && !limited; n++ {
			status, _ := ask("/v1/services", "198.51.100.1", from)
			limited = status == http.StatusTooManyRequests
		}
		if !limited {
			t.Errorf("no call from %s is one too many", from)
		}
	}
	if status, answer := ask("/v1/services", "203.0.113.3, 203.0.113.4"); status != http.StatusOK {
		t.Errorf("another client of the proxy = %d %s", status, answer)
	}
}

// What this host alone may, where nobody has to log in, clients of its proxy may not.
func TestOwnHostBehindProxy(t *testing.T) {
	trusting, _ := start(t, server.Config{Auth: server.AuthOff, Insecure: true, TrustedProxies: []string{"127.0.0.1"}})
	for name, c := range map[string]struct {
		from []string
		want int
	}{
		"this host":                           {nil, http.StatusOK},
		"this host by its proxy":              {[]string{"127.0.0.1"}, http.StatusOK},
		"a client":                            {[]string{"203.0.113.1"}, http.StatusForbidden},
		"a client as if of this host":         {[]string{"127.0.0.1", "203.0.113.1"}, http.StatusForbidden},
		"a client that the proxy cannot tell": {[]string{"127.0.0.1, unix:"}, http.StatusForbidden},
	} {
		if status, answer := through(t, c.from, http.MethodGet, base(trusting)+api.PathBackup, "", ""); status != c.want {
			t.Errorf("a backup for %s = %d %.200q, want %d", name, status, answer, c.want)
		}
	}
}

// A proxy that shows a certificate lets nobody in by it whose calls it passes on.
func TestCertificateOfProxyIsItsOwn(t *testing.T) {
	settings, a := secured(t)
	settings.ClientCAFile = a.File
	s, _ := startAfter(t, server.Config{HTTP: "127.0.0.1:0", Auth: server.AuthOn, TLS: settings, TrustedProxies: []string{"127.0.0.1"}}, func(*server.Server) {})
	cert, key, err := a.Grant(authority.Wish{Name: "proxy", URI: &url.URL{Scheme: "muster", Host: "server", Path: "/proxy"}, Good: time.Hour, Client: true})
	if err != nil {
		t.Fatal(err)
	}
	proxy := over(t, certs.Files{Cert: cert, Key: key, CA: a.File}, "h2")
	for _, path := range []string{"/v1/services", "/nacos/v1/ns/service/list?pageNo=1&pageSize=1"} {
		for from, want := range map[string]bool{"": true, "203.0.113.9": false, "127.0.0.1, 203.0.113.9": false, "unknown": false} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+s.Addresses().HTTP+path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			if from != "" {
				r.Header.Set("X-Forwarded-For", from)
			}
			resp, err := proxy.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			if resp.Body.Close() != nil || (resp.StatusCode == http.StatusOK) != want {
				t.Errorf("GET %s by a proxy with the certificate of a server, for %q = %s", path, from, resp.Status)
			}
		}
	}
}

// Over gRPC nothing tells whom a proxy passes on, or that it speaks for itself: its
// certificate lets in nobody.
func TestCertificateOfProxyOverGRPC(t *testing.T) {
	settings, a := secured(t)
	settings.ClientCAFile = a.File
	cert, key, err := a.Grant(authority.Wish{Name: "proxy", URI: &url.URL{Scheme: "muster", Host: "server", Path: "/proxy"}, Good: time.Hour, Client: true})
	if err != nil {
		t.Fatal(err)
	}
	trust, err := certs.Open(certs.Files{Cert: cert, Key: key, CA: a.File}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for proxy, want := range map[string]bool{"192.0.2.1": true, "127.0.0.1": false} {
		s, _ := startAfter(t, server.Config{HTTP: "127.0.0.1:0", Auth: server.AuthOn, TLS: settings, TrustedProxies: []string{proxy}, GRPCOnHTTP: true}, func(*server.Server) {})
		for _, at := range []string{s.Addresses().GRPC, s.Addresses().HTTP} {
			c := rpctest.Connect(t, at, rpctest.Options{TLS: credentials.NewTLS(trust.Client("127.0.0.1", "h2"))})
			if got := c.Call("ServiceListRequest", map[string]any{"pageNo": 1, "pageSize": 1}); got.Success != want {
				t.Errorf("with a certificate, from %s with a proxy at %s: ServiceListRequest = %s %s, want success %v", at, proxy, got.Type, got.Body, want)
			}
		}
	}
}

// A proxy may hand on by what name its clients know it.
func TestProxyKeepsHost(t *testing.T) {
	for _, proxies := range [][]string{nil, {"127.0.0.1"}} {
		s, _ := start(t, server.Config{Auth: server.AuthOn, TrustedProxies: proxies})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base(s)+"/livez", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "muster.example.org"
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if ok := resp.StatusCode == http.StatusOK; ok != (proxies != nil) {
			t.Errorf("a call for another host, with trusted proxies %v = %s", proxies, resp.Status)
		}
	}
}

// The header of who is no trusted proxy says nothing.
func TestStrangersHeaderIsIgnored(t *testing.T) {
	dir := t.TempDir()
	s, _ := start(t, server.Config{Auth: server.AuthOff, Insecure: true, DataDir: dir, TrustedProxies: []string{"192.0.2.1"}})
	for _, from := range []string{"203.0.113.1", "192.0.2.1", "203.0.113.1, 192.0.2.1"} {
		if status, answer := through(t, []string{from}, http.MethodPut, base(s)+"/v1/services/public/g/s", "application/json", "{}"); status != http.StatusOK {
			t.Fatalf("put = %d %s", status, answer)
		}
	}
	for _, r := range recorded(t, dir) {
		if r.From != "127.0.0.1" {
			t.Errorf("%s is from %s, want the address of the connection", r.Op, r.From)
		}
	}
}

// Who trusts a proxy is there for others than this host: they have to log in, unless the
// settings say twice that they do not.
func TestBehindProxyCallersLogIn(t *testing.T) {
	proxies := []string{"127.0.0.1"}
	cfg, err := server.Config{TrustedProxies: proxies}.WithDefaults()
	if err != nil || !cfg.Enforces() || len(server.Exposures(cfg)) > 0 {
		t.Errorf("WithDefaults = %v, and callers have to log in: %v; open: %q", err, cfg.Enforces(), server.Exposures(cfg))
	}
	_, err = server.Config{TrustedProxies: proxies, Auth: server.AuthOff}.WithDefaults()
	if want := "trusted_proxies: who comes by a proxy is beyond loopback, where nobody has to log in; --insecure allows it"; err == nil || err.Error() != want {
		t.Errorf("WithDefaults without logins = %v, want %q", err, want)
	}
	cfg, err = server.Config{TrustedProxies: proxies, Auth: server.AuthOff, Insecure: true}.WithDefaults()
	if err != nil || cfg.Enforces() || strings.Join(server.Exposures(cfg), ", ") != "nobody has to log in" {
		t.Errorf("WithDefaults that is allowed = %v, %v, %q", err, cfg.Enforces(), server.Exposures(cfg))
	}
}

func TestTrustedProxiesThatAreWrong(t *testing.T) {
	for _, text := range []string{"0.0.0.0/0", "proxy", "192.0.2.1/24"} {
		_, err := server.Config{TrustedProxies: []string{text}}.WithDefaults()
		if err == nil || !strings.Contains(err.Error(), "trusted_proxies: ") || !strings.Contains(err.Error(), text) {
			t.Errorf("trusted_proxies: %s = %v, want an error that names it", text, err)
		}
	}
}

// Who has a network of IPv6 has the event streams of one client, at all its addresses.
func TestEventStreamsOfNetwork(t *testing.T) {
	defer server.SetEvents(func(c *events.Config) { c.PerClient = 1 })()
	s, _ := start(t, server.Config{Auth: server.AuthOff, Insecure: true, TrustedProxies: []string{"127.0.0.1"}})
	follow := func(from string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base(s)+api.PathEvents, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Forwarded-For", from)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp.StatusCode
	}
	for _, c := range []struct {
		from string
		want int
	}{{"2001:db8::1", http.StatusOK}, {"2001:db8::2", http.StatusTooManyRequests}, {"2001:db8:0:1::1", http.StatusOK}, {"192.0.2.1", http.StatusOK}, {"192.0.2.1", http.StatusTooManyRequests}, {"192.0.2.2", http.StatusOK}} {
		if got := follow(c.from); got != c.want {
			t.Errorf("one more stream from %s = %d, want %d", c.from, got, c.want)
		}
	}
}
