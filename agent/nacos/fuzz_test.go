package nacos_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/musterhq/muster/agent/configfile"
	"github.com/musterhq/muster/agent/nacos"
	"github.com/musterhq/muster/agent/roll"
	"github.com/musterhq/muster/client"
)

// joined is what instances join in these tests.
type joined struct {
	mu  sync.Mutex
	all map[roll.Key]roll.Member
}

func (j *joined) Join(k roll.Key, m roll.Member) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.all == nil {
		j.all = map[roll.Key]roll.Member{}
	}
	j.all[k] = m
	return nil
}

func (j *joined) Part(keys ...roll.Key) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, k := range keys {
		delete(j.all, k)
	}
}

func (j *joined) Origin(k roll.Key) (string, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	m, ok := j.all[k]
	return m.Origin, ok
}

func (j *joined) count() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.all)
}

// newHandler returns a Handler whose servers are nowhere.
func newHandler(t testing.TB, sources nacos.Joiner, path string, log *slog.Logger) *nacos.Handler {
	t.Helper()
	return newHandlerOf(t, nacos.Config{Sources: sources, Path: path, Logger: log})
}

func newHandlerOf(t testing.TB, cfg nacos.Config) *nacos.Handler {
	t.Helper()
	c, err := client.New([]string{"http://127.0.0.1:1"}, client.Config{Rounds: 1})
	if err != nil {
		t.Fatal(err)
	}
	keeper, err := configfile.New(configfile.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Keeper, cfg.Client, cfg.Callers = keeper, c, c
	return nacos.New(cfg)
}

func FuzzCall(f *testing.F) {
	for _, seed := range []struct{ method, path, query, body string }{
		{"POST", "/v1/ns/instance", "serviceName=pay&ip=192.0.2.1&port=80", "metadata={\"a\":1}&weight=NaN"},
		{"PUT", "/v1/ns/instance/beat", "", `beat={"serviceName":"g@@s","ip":"::1","port":"80","metadata":"a=b"}`},
		{"PUT", "/v1/ns/instance", "serviceName=pay&ip=192.0.2.1&port=80&enabled=maybe", ""},
		{"DELETE", "/v1/ns/instance", "serviceName=@@&ip=%zz&port=-1", ";&=&%"},
		{"POST", "/v1/cs/configs/listener", "", "Listening-Configs=a%02b%02%01"},
		{"GET", "/v1/cs/configs", "dataId=..%2F..&group=&tenant=null", ""},
		{"GET", "/v1/ns/instance/list", "serviceName=\x00", ""},
		{"HEAD", "/serverlist/", "", ""},
		{"GET", "/v1/cs/configs", "\x0e", "0"},
	} {
		f.Add(seed.method, seed.path, seed.query, seed.body)
	}
	j := &joined{}
	h := newHandler(f, j, filepath.Join(f.TempDir(), "nacos.json"), slog.New(slog.DiscardHandler))
	f.Fuzz(func(t *testing.T, method, path, query, body string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
		r.Method, r.URL = method, &url.URL{Path: "/nacos" + path, RawQuery: query}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Long-Pulling-Timeout", "30000")
		r.Header.Set("Long-Pulling-Timeout-No-Hangup", "true")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code >= 500 && w.Code != http.StatusServiceUnavailable && w.Code != http.StatusNotImplemented {
			t.Errorf("%s %s?%s = %d %s", method, path, query, w.Code, w.Body)
		}
		if n := j.count(); n > 1000 {
			t.Errorf("%d instances are held, want at most 1000", n)
		}
	})
}

func FuzzParameters(f *testing.F) {
	f.Add("a=b&c=%zz;&=&d")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := nacos.Parameters(text)
		if err == nil && len(p) > strings.Count(text, "&")+1 {
			t.Errorf("%q has %d parameters", text, len(p))
		}
		nice := url.Values{"k": {text}}.Encode()
		if p, err := nacos.Parameters(nice); err != nil || p["k"] != text {
			t.Errorf("what was encoded well is read as %q, %v, want %q", p["k"], err, text)
		}
	})
}

func FuzzListened(f *testing.F) {
	f.Add("a\x02b\x02\x01c\x02d\x02md5\x02ns\x01rest")
	f.Fuzz(func(t *testing.T, text string) {
		n, answer, err := nacos.Listened(text)
		if err != nil {
			return
		}
		words, err := url.QueryUnescape(answer)
		if err != nil || strings.Count(words, "\x01") != n {
			t.Errorf("%q: %d documents, answered as %q, %v", text, n, answer, err)
		}
	})
}

func FuzzMetadata(f *testing.F) {
	f.Add(`{"a":"b","c":1,"d":null}`)
	f.Add("a=b,c=d")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := nacos.MetadataOf(text)
		if err == nil && text == "" && m != nil {
			t.Error("nothing said is something")
		}
		if host, ok := nacos.CanonicalHost(text); ok {
			if again, ok := nacos.CanonicalHost(host); !ok || again != host {
				t.Errorf("host %q is %q, and that is %q", text, host, again)
			}
			if a, err := netip.ParseAddr(host); err == nil && (a.Zone() != "" || a.Is4In6()) {
				t.Errorf("host %q is %q", text, host)
			}
		}
	})
}

// Neither contents nor secrets reach the log or an error, whatever fails.
func TestSilence(t *testing.T) {
	var log bytes.Buffer
	h := newHandler(t, &joined{}, filepath.Join(t.TempDir(), "missing", "nacos.json"), slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	for _, call := range []string{
		"POST /v1/cs/configs?dataId=a&group=g&content=hunter2&accessToken=hunter2",
		"GET /v1/cs/configs?dataId=a&group=g&password=hunter2",
		"GET /v1/ns/instance/list?serviceName=pay&password=hunter2&username=u",
		"POST /v1/ns/instance?serviceName=pay&ip=192.0.2.1&port=80&metadata=password=hunter2&accessToken=hunter2",
		"POST /v1/auth/login?username=u&password=hunter2",
	} {
		method, target, _ := strings.Cut(call, " ")
		r := httptest.NewRequestWithContext(t.Context(), method, "/nacos"+target, http.NoBody)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		body, _ := io.ReadAll(w.Body)
		if strings.Contains(string(body), "hunter2") {
			t.Errorf("%s is answered with the secret: %s", call, body)
		}
	}
	if strings.Contains(log.String(), "hunter2") {
		t.Errorf("the log has the secret:\n%s", log.String())
	}
}

// What was registered comes back with its full time, and a damaged file stops
// nothing.
func TestComesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nacos.json")
	ask := func(h *nacos.Handler, method, target string) string {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "/nacos"+target, http.NoBody))
		return w.Body.String()
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	before := &joined{}
	h := newHandler(t, before, path, log)
	h.Load()
	const at = "/v1/ns/instance?serviceName=pay&ip=192.0.2.1&port=80"
	if got := ask(h, "POST", at); got != "ok" {
		t.Fatalf("register = %s", got)
	}
	after := &joined{}
	h = newHandler(t, after, path, log)
	h.Load()
	if after.count() != 1 {
		t.Fatalf("after a restart %d instances, want 1", after.count())
	}
	for _, m := range after.all {
		if m.Health != "unknown" {
			t.Errorf("health after a restart = %s, want unknown: what stands on the servers stays", m.Health)
		}
	}
	if got := ask(h, "PUT", "/v1/ns/instance/beat?serviceName=pay&ip=192.0.2.1&port=80"); !strings.Contains(got, "10200") {
		t.Errorf("beat after a restart = %s, want 10200", got)
	}
	for _, m := range after.all {
		if m.Health != "passing" {
			t.Errorf("health after a beat = %s, want passing", m.Health)
		}
	}
}
