package nacos_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/musterhq/muster/agent/nacos"
	"github.com/musterhq/muster/agent/roll"
	"github.com/musterhq/muster/agent/state"
	"github.com/musterhq/muster/api"
)

// call sends a call and returns the body of its answer.
func call(h *nacos.Handler, method, target string) string {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), method, "/nacos"+target, http.NoBody))
	return w.Body.String()
}

// health returns that of the only instance, empty when there is none.
func (j *joined) health() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, m := range j.all {
		return m.Health
	}
	return ""
}

func TestSilenceByTheClock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nacos.json")
	synctest.Test(t, func(t *testing.T) {
		j := &joined{}
		h := newHandler(t, j, path, slog.New(slog.DiscardHandler))
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- h.Run(ctx) }()
		is := func(when, want string) {
			t.Helper()
			synctest.Wait()
			if got := j.health(); got != want {
				t.Errorf("%s: health = %q, want %q", when, got, want)
			}
		}
		const at, beat = "/v1/ns/instance?serviceName=pay&ip=192.0.2.1&port=80", "/v1/ns/instance/beat?serviceName=pay&ip=192.0.2.1&port=80"
		call(h, "POST", at)
		time.Sleep(14 * time.Second)
		is("before the time is over", "passing")
		time.Sleep(2 * time.Second)
		is("after 16 s of silence", "critical")
		call(h, "PUT", beat)
		is("after a beat", "passing")
		for range 100 {
			time.Sleep(10 * time.Second)
			call(h, "PUT", beat)
		}
		is("with beats", "passing")
		time.Sleep(29 * time.Second)
		is("after 29 s of silence", "critical")
		time.Sleep(2 * time.Second)
		is("after 31 s of silence", "")

		call(h, "POST", at+"&healthy=false")
		is("registered as unhealthy", "critical")
		call(h, "PUT", beat)
		is("after its first beat", "passing")
		call(h, "DELETE", at)
		is("deregistered", "")
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
}

// Many clients at once lose nothing and break nothing.
func TestManyClients(t *testing.T) {
	j := &joined{}
	h := newHandler(t, j, filepath.Join(t.TempDir(), "nacos.json"), slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = h.Run(ctx) })
	var clients sync.WaitGroup
	for c := range 4 {
		clients.Go(func() {
			for i := range 10 {
				key := fmt.Sprintf("?serviceName=pay&ip=192.0.2.%d&port=%d", c, 1000+i)
				call(h, "POST", "/v1/ns/instance"+key)
				call(h, "PUT", "/v1/ns/instance/beat"+key)
				call(h, "PUT", "/v1/ns/instance"+key+"&weight=3")
				if i%2 == 0 {
					call(h, "DELETE", "/v1/ns/instance"+key)
				}
			}
		})
	}
	clients.Wait()
	if n := j.count(); n != 4*5 {
		t.Errorf("%d instances, want %d", n, 4*5)
	}
	stop()
	running.Wait()
}

// nacosKept is an instance as it lies on disk.
type nacosKept struct {
	Instance api.AgentInstance `json:"instance"`
}

func TestBoundOfInstances(t *testing.T) {
	var all struct {
		Instances []nacosKept `json:"instances"`
	}
	for i := range 1000 {
		all.Instances = append(all.Instances, nacosKept{api.AgentInstance{Namespace: "public", Group: "G", Service: "many", Address: "192.0.2.1", Port: uint16(i)}})
	}
	path := filepath.Join(t.TempDir(), "nacos.json")
	if err := state.Write(path, all); err != nil {
		t.Fatal(err)
	}
	j := &joined{}
	h := newHandler(t, j, path, slog.New(slog.DiscardHandler))
	h.Load()
	if got := call(h, "POST", "/v1/ns/instance?serviceName=more&ip=192.0.2.1&port=80"); j.count() != 1000 || !strings.Contains(got, "1000") {
		t.Errorf("%d instances are held, and one more is answered with %q, want 1000 and the bound", j.count(), got)
	}
	if got := call(h, "POST", "/v1/ns/instance?serviceName=many&groupName=G&ip=192.0.2.1&port=7&weight=2"); got != "ok" {
		t.Errorf("one of them anew = %q, want ok", got)
	}
}

// What one client registers leaves room for what others do, and a change adds to it no
// more than a registration may.
func TestBoundOfBytes(t *testing.T) {
	large := strings.Repeat("x", 15<<10)
	var all struct {
		Instances []nacosKept `json:"instances"`
	}
	for port := range 203 { // of 204 that are 3 MiB
		all.Instances = append(all.Instances, nacosKept{api.AgentInstance{Namespace: "public", Group: "DEFAULT_GROUP", Service: "large", Address: "192.0.2.1", Port: uint16(port),
			Metadata: map[string]string{"a": large}}})
	}
	path := filepath.Join(t.TempDir(), "nacos.json")
	if err := state.Write(path, all); err != nil {
		t.Fatal(err)
	}
	j := &joined{}
	h := newHandler(t, j, path, slog.New(slog.DiscardHandler))
	h.Load()
	metadata := func(key string) string { return "&metadata=" + url.QueryEscape(fmt.Sprintf("{%q: %q}", key, large)) }
	at := func(port int) string {
		return fmt.Sprintf("/v1/ns/instance?serviceName=large&ip=192.0.2.1&port=%d", port)
	}
	for _, step := range []struct{ what, method, target, says string }{
		{"one too many", "POST", at(1000) + metadata("a"), "bytes"},
		{"metadata beside metadata", "PUT", at(0) + metadata("b"), "metadata"},
		{"the same anew", "POST", at(0) + metadata("a"), "ok"},
		{"one that goes", "DELETE", at(0), "ok"},
		{"one in its place", "POST", at(1000) + metadata("a"), "ok"},
		{"one too many after that", "POST", at(0) + metadata("a"), "bytes"},
	} {
		if got := call(h, step.method, step.target); !strings.Contains(got, step.says) {
			t.Errorf("%s = %q, want %q", step.what, got, step.says)
		}
	}
}

// stalled holds up who tells it that an instance is silent, until it is let go.
type stalled struct {
	joined

	let chan struct{}
}

func (s *stalled) Join(k roll.Key, m roll.Member) error {
	if m.Health == api.HealthCritical && k.Port == 81 {
		<-s.let
	}
	return s.joined.Join(k, m)
}

func (j *joined) healthOf(port uint16) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	for k, m := range j.all {
		if k.Port == port {
			return m.Health
		}
	}
	return ""
}

// An agent that stood still has heard nobody: that is no silence of theirs.
func TestStandstill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nacos.json")
	synctest.Test(t, func(t *testing.T) {
		j := &stalled{let: make(chan struct{})}
		h := newHandler(t, j, path, slog.New(slog.DiscardHandler))
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- h.Run(ctx) }()
		call(h, "POST", "/v1/ns/instance?serviceName=pay&ip=192.0.2.1&port=80")
		call(h, "POST", "/v1/ns/instance?serviceName=pay&ip=192.0.2.1&port=81&metadata="+
			url.QueryEscape(`{"preserved.heart.beat.interval":"1000","preserved.heart.beat.timeout":"2000"}`))
		time.Sleep(time.Minute)
		close(j.let)
		for after, want := range []string{0: "passing", 10: "passing", 20: "critical"} {
			if want == "" {
				time.Sleep(time.Second)
				continue
			}
			synctest.Wait()
			if got := j.healthOf(80); got != want {
				t.Errorf("health %d s after a standstill = %q, want %q", after, got, want)
			}
			time.Sleep(time.Second)
		}
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
}

// What a file or another program declares, nobody changes through this door.
func TestDeclaredByOthers(t *testing.T) {
	j := &joined{}
	k := roll.Key{Namespace: "public", Group: "DEFAULT_GROUP", Service: "pay", Address: "192.0.2.1", Port: 80}
	if err := j.Join(k, roll.Member{Origin: "app pay"}); err != nil {
		t.Fatal(err)
	}
	h := newHandler(t, j, filepath.Join(t.TempDir(), "nacos.json"), slog.New(slog.DiscardHandler))
	for _, c := range []struct{ method, more string }{
		{"PUT", "&enabled=false"}, {"PUT", "&weight=0"}, {"DELETE", ""}, {"DELETE", "&ephemeral=false"}, {"POST", "&ephemeral=false"},
	} {
		got := call(h, c.method, "/v1/ns/instance?serviceName=pay&ip=192.0.2.1&port=80"+c.more)
		if want := "public/DEFAULT_GROUP/pay/192.0.2.1:80 is declared by app pay"; got != want {
			t.Errorf("%s with %q = %q, want %q", c.method, c.more, got, want)
		}
	}
}

// What a user registered over the socket is his, here as at the other door.
func TestOthersInstances(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nacos.json")
	uid, known := 1001, true
	j := &joined{}
	open := func() *nacos.Handler {
		return newHandlerOf(t, nacos.Config{Sources: j, Path: path, Logger: slog.New(slog.DiscardHandler),
			Caller: func(*http.Request) (int, bool, bool) { return uid, known, known && uid == 0 }})
	}
	h := open()
	const at, more = "/v1/ns/instance?serviceName=pay&ip=192.0.2.1&port=80", "/v1/ns/instance/beat?serviceName=pay&ip=192.0.2.1&port=80"
	if got := call(h, "POST", at); got != "ok" {
		t.Fatalf("registration = %q, want ok", got)
	}
	h = open() // whose it is, is kept
	h.Load()
	for _, other := range []struct {
		uid   int
		known bool
	}{{1002, true}, {0, false}} {
		uid, known = other.uid, other.known
		for _, c := range [][2]string{{"POST", at}, {"PUT", at + "&weight=0"}, {"DELETE", at}, {"PUT", more}} {
			if got := call(h, c[0], c[1]); !strings.Contains(got, "belongs to another user, 1001") {
				t.Errorf("%s %s of user %d (known: %v) = %q, want that it belongs to another", c[0], c[1], uid, known, got)
			}
		}
	}
	uid, known = 0, true
	if got := call(h, "PUT", at+"&weight=2"); got != "ok" {
		t.Errorf("an update of root = %q, want ok", got)
	}
	uid = 1001
	if got := call(h, "DELETE", at); got != "ok" {
		t.Errorf("a deregistration of its user = %q, want ok", got)
	}
}
