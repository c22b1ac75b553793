package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/server"
	"github.com/musterhq/muster/server/events"
)

// follower is what somebody who watches knows.
type follower struct {
	mu     sync.Mutex
	hosts  map[string]map[string]bool // guarded by mu; by service
	resume string                     // guarded by mu
	resets int                        // guarded by mu
	synced int                        // guarded by mu
}

func (f *follower) take(e client.Event) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch e.Kind {
	case api.EventReset:
		f.hosts = map[string]map[string]bool{}
		f.resets++
	case api.EventSynced:
		f.synced++
	case api.EventRemoved:
		delete(f.hosts, e.Removed.Name)
	case api.EventService:
		s := e.Service
		if s.Whole || f.hosts[s.Service.Name] == nil {
			f.hosts[s.Service.Name] = map[string]bool{}
		}
		for _, i := range s.Instances {
			f.hosts[s.Service.Name][i.Address] = true
		}
		for _, gone := range s.Gone {
			host, _, _ := net.SplitHostPort(gone)
			delete(f.hosts[s.Service.Name], host)
		}
	}
	if e.Resume != "" {
		f.resume = e.Resume
	}
	return nil
}

// knows reports whether that is all that is known, in words: "a: 192.0.2.1".
func (f *follower) knows(want map[string]map[string]bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.EqualFunc(want, f.hosts, maps.Equal)
}

func (f *follower) counts() (resets, synced int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.resets, f.synced
}

// watch follows until the returned function is called.
func (f *follower) watch(t *testing.T, c *client.Client, filter client.WatchFilter) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var wg sync.WaitGroup
	wg.Go(func() {
		f.mu.Lock()
		since := f.resume
		f.mu.Unlock()
		if err := c.Watch(ctx, since, filter, f.take); !errors.Is(err, context.Canceled) {
			t.Errorf("Watch() = %v, want that it was called off", err)
		}
	})
	stop = func() { cancel(); wg.Wait() }
	t.Cleanup(stop)
	return stop
}

func hosts(list ...string) map[string]bool {
	out := map[string]bool{}
	for _, h := range list {
		out[h] = true
	}
	return out
}

func enroll(t *testing.T, c *client.Client, service, host string) {
	t.Helper()
	if _, err := c.Register(t.Context(), client.Name{Name: service}, api.Instance{Address: host, Port: 80}); err != nil {
		t.Fatal(err)
	}
}

func TestWatch(t *testing.T) {
	s := running(t)
	c := dial(t, s)
	enroll(t, c, "a", "192.0.2.1")
	all, one := &follower{}, &follower{}
	stop := all.watch(t, c, client.WatchFilter{})
	one.watch(t, c, client.WatchFilter{Namespace: "public", Group: "DEFAULT_GROUP", Service: "b"})
	eventually(t, "everything is told", func() bool { return all.knows(map[string]map[string]bool{"a": hosts("192.0.2.1")}) })
	enroll(t, c, "a", "192.0.2.2")
	enroll(t, c, "b", "192.0.2.1")
	want := map[string]map[string]bool{"a": hosts("192.0.2.1", "192.0.2.2"), "b": hosts("192.0.2.1")}
	eventually(t, "new instances are told", func() bool { return all.knows(want) })
	eventually(t, "those of one service are", func() bool { return one.knows(map[string]map[string]bool{"b": hosts("192.0.2.1")}) })

	stop() // and somebody comes back later
	n := client.Name{Name: "b"}
	if err := errors.Join(c.Deregister(t.Context(), n, "192.0.2.1:80"), c.DeleteService(t.Context(), n)); err != nil {
		t.Fatal(err)
	}
	enroll(t, c, "c", "192.0.2.3")
	all.watch(t, c, client.WatchFilter{})
	want = map[string]map[string]bool{"a": hosts("192.0.2.1", "192.0.2.2"), "c": hosts("192.0.2.3")}
	eventually(t, "what went and came meanwhile is told", func() bool { return all.knows(want) })
	if resets, _ := all.counts(); resets != 1 {
		t.Errorf("%d resets, want that of the first time alone", resets)
	}
	eventually(t, "the service of the filter is gone too", func() bool { return one.knows(map[string]map[string]bool{}) })
}

// A watch goes on over a restart, and a service that goes between two
// connections is not there afterwards.
func TestWatchOverRestart(t *testing.T) {
	dir := t.TempDir()
	s, stop := start(t, server.Config{DataDir: dir})
	at := s.Addresses().HTTP
	c := dial(t, s)
	enroll(t, c, "a", "192.0.2.1")
	enroll(t, c, "b", "192.0.2.1")
	f := &follower{}
	f.watch(t, c, client.WatchFilter{})
	eventually(t, "everything is told", func() bool {
		return f.knows(map[string]map[string]bool{"a": hosts("192.0.2.1"), "b": hosts("192.0.2.1")})
	})
	stop()
	s, stop = start(t, server.Config{DataDir: dir}) // at another address, where the watch does not look
	other := dial(t, s)
	n := client.Name{Name: "b"}
	if err := errors.Join(other.Deregister(t.Context(), n, "192.0.2.1:80"), other.DeleteService(t.Context(), n)); err != nil {
		t.Fatal(err)
	}
	enroll(t, other, "c", "192.0.2.3")
	stop()
	startAt(t, server.Config{DataDir: dir, HTTP: at})
	want := map[string]map[string]bool{"a": hosts("192.0.2.1"), "c": hosts("192.0.2.3")}
	eventually(t, "what happened meanwhile is told", func() bool { return f.knows(want) })
}

// A throw-away server that was started anew has revisions as small as before: that
// they are of another store is seen all the same.
func TestWatchOfAnotherStore(t *testing.T) {
	s, stop := start(t, server.Config{})
	at := s.Addresses().HTTP
	c := dial(t, s)
	enroll(t, c, "a", "192.0.2.1")
	f := &follower{}
	f.watch(t, c, client.WatchFilter{})
	eventually(t, "everything is told", func() bool { return f.knows(map[string]map[string]bool{"a": hosts("192.0.2.1")}) })
	stop()
	startAt(t, server.Config{HTTP: at})
	for n := range 20 { // past the revision that is known
		enroll(t, c, "b", fmt.Sprintf("192.0.2.%d", n%3))
	}
	eventually(t, "what was there is forgotten", func() bool {
		return f.knows(map[string]map[string]bool{"b": hosts("192.0.2.0", "192.0.2.1", "192.0.2.2")})
	})
}

func TestWatchGoesOnWithAnotherServer(t *testing.T) {
	s := running(t)
	c, err := client.New([]string{"http://127.0.0.1:1", base(s)}, client.Config{})
	if err != nil {
		t.Fatal(err)
	}
	f := &follower{}
	f.watch(t, c, client.WatchFilter{})
	eventually(t, "the other server is asked", func() bool { _, synced := f.counts(); return synced == 1 })
}

func TestHundredStreams(t *testing.T) {
	s := running(t)
	c := dial(t, s)
	followers := make([]*follower, 100)
	for i := range followers {
		followers[i] = &follower{}
		followers[i].watch(t, c, client.WatchFilter{})
	}
	for _, f := range followers {
		eventually(t, "all are told everything", func() bool { _, synced := f.counts(); return synced == 1 })
	}
	want := map[string]map[string]bool{}
	for n := range 50 {
		name := fmt.Sprint("s", n%5)
		enroll(t, c, name, fmt.Sprintf("192.0.2.%d", n))
		if want[name] == nil {
			want[name] = map[string]bool{}
		}
		want[name][fmt.Sprintf("192.0.2.%d", n)] = true
	}
	for i, f := range followers {
		eventually(t, fmt.Sprintf("stream %d is told all", i), func() bool { return f.knows(want) })
	}
}

func TestEventsThatAreRefused(t *testing.T) {
	s := running(t)
	for _, test := range []struct {
		query, header string
		status        int
		location      string
	}{
		{"since=abc", "", http.StatusBadRequest, "query.since"},
		{"since=-1", "", http.StatusBadRequest, "query.since"},
		{"since=99999999999999999999", "", http.StatusBadRequest, "query.since"},
		{"since=" + strings.Repeat("1", 200), "", http.StatusUnprocessableEntity, "query.since"},
		{"", "abc", http.StatusBadRequest, "header.Last-Event-ID"},
		{"from=1", "", http.StatusUnprocessableEntity, "query.from"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base(s)+api.PathEvents+"?"+test.query, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Last-Event-ID", test.header)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		line, _ := bufio.NewReader(resp.Body).ReadString('\n')
		resp.Body.Close()
		if resp.StatusCode != test.status || resp.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(line, test.location) {
			t.Errorf("GET %s?%s = %d %s %s, want %d and %s", api.PathEvents, test.query, resp.StatusCode, resp.Header.Get("Content-Type"), line, test.status, test.location)
		}
	}
}

func TestEventStreamsAreBounded(t *testing.T) {
	defer server.SetEvents(func(c *events.Config) { c.PerClient = 1 })()
	s := running(t)
	f := &follower{}
	stop := f.watch(t, dial(t, s), client.WatchFilter{})
	eventually(t, "the first one is told everything", func() bool { _, synced := f.counts(); return synced == 1 })
	resp, body := ask(t, s, http.MethodGet, api.PathEvents, "")
	if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" || resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("a second stream = %d %v %s, want 429 as a problem, with a time to wait", resp.StatusCode, resp.Header, body)
	}
	stop()
	second := &follower{}
	second.watch(t, dial(t, s), client.WatchFilter{})
	eventually(t, "another one has its place", func() bool { _, synced := second.counts(); return synced == 1 })
	if resp, _ := ask(t, s, http.MethodHead, api.PathEvents+"?since=abc", ""); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("HEAD with a bad since = %d, want 400", resp.StatusCode)
	}
}

// A revision that is ahead of everything, and headers for proxies.
func TestEventsAheadOfTheStore(t *testing.T) {
	s := running(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base(s)+api.PathEvents+"?since=9223372036854775807", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "gzip")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for name, want := range map[string]string{"Content-Type": "text/event-stream", "X-Accel-Buffering": "no", "Cache-Control": "no-cache, no-transform", "Content-Encoding": ""} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	r := bufio.NewReader(resp.Body)
	var text strings.Builder
	for !strings.Contains(text.String(), "event: synced") {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("the stream ended after %q: %v", text.String(), err)
		}
		text.WriteString(line)
	}
	if !strings.HasPrefix(text.String(), "retry: 1000\n\nevent: reset\ndata: {") {
		t.Errorf("the stream begins %q, want retry and reset", text.String())
	}
}

// Somebody who stops reading is dropped, costs nobody else anything, and comes
// back to all that was missed.
func TestSlowReaderIsDropped(t *testing.T) {
	defer server.SetEvents(func(c *events.Config) { c.Within = 300 * time.Millisecond })()
	s := running(t)
	c := dial(t, s)
	slow, quick := &follower{}, &follower{}
	gate := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer func() { cancel(); wg.Wait() }()
	wg.Go(func() {
		_ = c.Watch(ctx, client.WatchAll, client.WatchFilter{}, func(e client.Event) error {
			if e.Kind == api.EventService {
				select {
				case <-gate:
				case <-ctx.Done():
				}
			}
			return slow.take(e)
		})
	})
	quick.watch(t, c, client.WatchFilter{})
	eventually(t, "both are told everything", func() bool {
		_, a := slow.counts()
		_, b := quick.counts()
		return a == 1 && b == 1
	})
	want := map[string]map[string]bool{"s": {}}
	load := map[string]string{"load": strings.Repeat("x", 15<<10)}
	// On a busy machine the quick reader may be taken for a slow one, too: once it knows all,
	// it has begun one stream more than it lost.
	for ended, begun := 0, 1; ended < begun; _, begun = quick.counts() {
		if len(want["s"]) > 5000 {
			t.Fatal("the stream of a reader that does not read was not ended")
		}
		var g errgroup.Group
		for range 25 {
			n := len(want["s"])
			host := fmt.Sprintf("10.0.%d.%d", n/250, n%250)
			want["s"][host] = true
			g.Go(func() error {
				_, err := c.Register(t.Context(), client.Name{Name: "s"}, api.Instance{Address: host, Port: 80, Metadata: load})
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the quick reader is told all", func() bool { return quick.knows(want) })
		ended = left(t, s)
	}
	close(gate)
	eventually(t, "the slow reader is told all in the end", func() bool { return slow.knows(want) })
	if resets, _ := slow.counts(); resets != 1 {
		t.Errorf("%d resets, want that of the first time alone: it went on where it was", resets)
	}
}

// left returns how many streams ended because their readers left or did not read.
func left(t *testing.T, s *server.Server) (n int) {
	t.Helper()
	const name = `muster_event_streams_ended_total{reason="left"} `
	_, value, _ := strings.Cut(metrics(t, s), name)
	if _, err := fmt.Sscan(value, &n); err != nil {
		t.Fatalf("%s= %.20q: %v", name, value, err)
	}
	return n
}

func metrics(t *testing.T, s *server.Server) string {
	t.Helper()
	_, text := get(t, base(s)+"/metrics")
	return text
}
