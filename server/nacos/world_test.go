package nacos_test

import (
	"context"
	"encoding/json"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/config/configtest"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/registry/registrytest"
	"github.com/musterhq/muster/server/nacos"
	"github.com/musterhq/muster/server/waiters"
)

// world is a handler over the real rules and stores in memory.
type world struct {
	*nacos.Handler
	names *registrytest.Store
	roll  *registrytest.Roll
	docs  *configtest.Store
	reg   *registry.Registry
}

func newWorld(t testing.TB, change ...func(*nacos.Config)) *world {
	t.Helper()
	w := &world{names: registrytest.NewStore(), roll: &registrytest.Roll{}, docs: configtest.NewStore()}
	w.reg = registry.New(w.names, w.roll)
	c := nacos.Config{Registry: w.reg, View: w.names.View(), Configs: config.New(w.docs, config.Config{}), Waiters: wakePolls(t, w.docs.View())}
	for _, f := range change {
		f(&c)
	}
	h, err := nacos.New(c)
	if err != nil {
		t.Fatal(err)
	}
	w.Handler = h
	return w
}

// wakePolls has polls woken until the test ends.
func wakePolls(t testing.TB, view *config.View) *waiters.Waiters {
	all := waiters.New(view)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = all.Run(ctx) }) // nil, once ctx ended
	t.Cleanup(func() { cancel(); running.Wait() })
	return all
}

// answer is what a call got.
type answer struct {
	status int
	body   string
	header http.Header
}

// serve starts an HTTP server for a world.
func (w *world) serve(t testing.TB) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(w)
	t.Cleanup(s.Close)
	t.Cleanup(w.Drain)
	return s
}

// do sends "METHOD /path?query" with the part after a blank as form body; the
// header lines are "Name: value".
func do(t testing.TB, base, call string, header ...string) answer {
	t.Helper()
	method, target, _ := strings.Cut(call, " ")
	target, body, _ := strings.Cut(target, " ")
	req, err := http.NewRequestWithContext(t.Context(), method, base+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s: %v", call, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s: %v", call, err)
	}
	return answer{resp.StatusCode, string(text), resp.Header}
}

// decoded returns the body as JSON.
func (a answer) decoded(t testing.TB) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(a.body), &m); err != nil {
		t.Fatalf("body %q: %v", a.body, err)
	}
	return m
}

// hosts returns the hosts of a list by ip.
func (a answer) hosts(t testing.TB) map[string]map[string]any {
	t.Helper()
	byIP := map[string]map[string]any{}
	list, ok := a.decoded(t)["hosts"].([]any)
	if !ok {
		t.Fatalf("body %q has no hosts", a.body)
	}
	for _, h := range list {
		host := h.(map[string]any)
		byIP[host["ip"].(string)] = host
	}
	return byIP
}

// heard is a track in memory.
type heard struct {
	mu   sync.Mutex
	held map[string]map[config.Key]string // by address
}

// use has a handler remember who holds what, and another server know one more.
func (h *heard) use(c *nacos.Config) {
	c.Track = h
	c.Elsewhere = func(_ context.Context, question string, take func([]byte)) {
		if strings.HasPrefix(question, "/nacos/v1/cs/communication/configWatchers?dataId=d&group=g&tenant=public") && h.Holders(config.Key{Namespace: "public", Group: "g", DataID: "d"}) != nil {
			take([]byte(`{"collectStatus":200,"lisentersGroupkeyStatus":{"192.0.2.9":"there","192.0.2.1":"other"}}`))
			take([]byte(`no answer`))
		}
	}
}

// Heard implements nacos.Track.
func (h *heard) Heard(c config.Client, held iter.Seq2[config.Key, string]) {
	for k, md5 := range held {
		h.Sent(c, k, md5, "")
	}
}

// Listens implements nacos.Track.
func (h *heard) Listens(c config.Client, held iter.Seq2[config.Key, string]) { h.Heard(c, held) }

// Sent implements nacos.Track.
func (h *heard) Sent(c config.Client, k config.Key, md5, _ string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held[c.IP] == nil {
		h.held[c.IP] = map[config.Key]string{}
	}
	h.held[c.IP][k] = md5
}

// Holders implements nacos.Track.
func (h *heard) Holders(k config.Key) map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all map[string]string
	for ip, held := range h.held {
		if md5, ok := held[k]; ok {
			if all == nil {
				all = map[string]string{}
			}
			all[ip] = md5
		}
	}
	return all
}

// Held implements nacos.Track.
func (h *heard) Held(ip string) map[config.Key]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.held[ip])
}
