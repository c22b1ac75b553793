package events_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/events"
)

// world is a Hub over snapshots that the test publishes, behind a real HTTP
// server over connections without buffers: a reader that does not read stops the
// writer at once. It runs in virtual time.
type world struct {
	t    *testing.T
	view *registry.View
	hub  *events.Hub
	dial func(context.Context, string, string) (net.Conn, error)

	revision int64
	refuses  atomic.Bool // its readers may read no more
}

const storeName = "store"

func newWorld(t *testing.T, cfg events.Config) *world {
	t.Helper()
	w := &world{t: t, view: new(registry.View), revision: 10}
	cfg.View, cfg.Show, cfg.Store = w.view, show, func() string { return storeName }
	var err error
	if w.hub, err = events.New(cfg); err != nil {
		t.Fatal(err)
	}
	w.view.Publish(new(registry.Snapshot).Apply(w.revision, nil))
	ctx, cancel := context.WithCancel(t.Context())
	l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	w.dial = l.dial
	s := &http.Server{Handler: http.HandlerFunc(w.serve)}
	var wg sync.WaitGroup
	wg.Go(func() { _ = w.hub.Run(ctx) })
	wg.Go(func() { _ = s.Serve(l) })
	t.Cleanup(func() {
		cancel()
		_ = s.Close()
		wg.Wait()
	})
	return w
}

func (w *world) serve(rw http.ResponseWriter, r *http.Request) {
	since, ok := events.ParseSince(r.URL.Query().Get("since"))
	if !ok || !w.hub.Enter("client") {
		rw.WriteHeader(http.StatusTooManyRequests)
		return
	}
	defer w.hub.Leave("client")
	q := r.URL.Query()
	w.hub.Serve(r.Context(), rw, since, events.Filter{Namespace: q.Get("namespace"), Group: q.Get("group"), Service: q.Get("service")}, func() bool { return !w.refuses.Load() })
}

// show tells the endpoints of a service, and one that is gone with a minus.
func show(at *registry.Snapshot, was, is *registry.Service) any {
	e := api.ServiceEvent{Revision: at.Revision(), Service: api.Service{Namespace: is.Key.Namespace, Group: is.Key.Group, Name: is.Key.Name,
		Metadata: is.Metadata}, Whole: was == nil, Instances: []api.Instance{}}
	for old, now := range registry.DiffInstances(was, is) {
		if now == nil {
			e.Gone = append(e.Gone, old.Key.Endpoint.String())
			continue
		}
		e.Instances = append(e.Instances, api.Instance{Address: now.Key.Endpoint.Host, Port: now.Key.Endpoint.Port, Weight: &now.Weight})
	}
	return e
}

// commit publishes a snapshot with changes: each is "service host weight", a
// weight of -1 being one that is gone.
func (w *world) commit(changes ...string) {
	w.t.Helper()
	w.revision++
	w.show(changes...)
}

// show publishes a snapshot of the same revision.
func (w *world) show(changes ...string) {
	w.t.Helper()
	var records []registry.Change
	for _, c := range changes {
		var name, host string
		var weight float64
		if _, err := fmt.Sscan(c, &name, &host, &weight); err != nil {
			w.t.Fatalf("%q: %v", c, err)
		}
		reg := &registry.Registration{Key: registry.InstanceKey{Service: key(name), Endpoint: registry.Endpoint{Host: host, Port: 80}}, Weight: weight}
		change := registry.Change{Key: reg.RecordKey(), Revision: w.revision}
		if weight >= 0 {
			change.Record = reg
		}
		records = append(records, change)
	}
	w.view.Publish(w.view.Snapshot().Apply(w.revision, records))
}

func key(name string) registry.ServiceKey {
	return registry.ServiceKey{Namespace: "public", Group: "DEFAULT_GROUP", Name: name}
}

// reader is the other end of a stream.
type reader struct {
	t     *testing.T
	body  *bufio.Reader
	close func()
}

// open opens a stream.
func (w *world) open(query string) *reader {
	w.t.Helper()
	tr := &http.Transport{DialContext: w.dial}
	ctx, cancel := context.WithCancel(w.t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://muster/?"+query, http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := tr.RoundTrip(req) //nolint:bodyclose // the reader closes it
	if err != nil {
		w.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		w.t.Fatalf("GET ?%s = %d", query, resp.StatusCode)
	}
	r := &reader{t: w.t, body: bufio.NewReaderSize(resp.Body, 16), close: func() { cancel(); _ = resp.Body.Close(); tr.CloseIdleConnections() }}
	w.t.Cleanup(r.close)
	return r
}

// event is what was read, in words: "kind data @id".
type event struct {
	kind, id string
	data     string
}

// next reads one block; false at the end.
func (r *reader) next() (e event, ok bool) {
	for {
		line, err := r.body.ReadString('\n')
		if err != nil {
			return e, false
		}
		line = strings.TrimSuffix(line, "\n")
		switch field, value, _ := strings.Cut(line, ": "); {
		case line == "":
			return e, true
		case line == ":":
			e.kind = "beat"
		case field == "event":
			e.kind = value
		case field == "id":
			e.id = value
		case field == "data":
			e.data = value
		case field == "retry":
			e.kind = "retry"
		}
	}
}

// want reads as many events and compares them: "service name host=weight -host"
// and such, with @id where there is one.
func (r *reader) want(want ...string) {
	r.t.Helper()
	for _, w := range want {
		e, ok := r.next()
		if e.kind == "retry" {
			e, ok = r.next()
		}
		if !ok {
			r.t.Fatalf("the stream ended, want %q", w)
		}
		if got := e.words(); got != w {
			r.t.Fatalf("event = %q, want %q", got, w)
		}
	}
}

func (e event) words() string {
	words := []string{e.kind}
	switch e.kind {
	case api.EventService:
		var s api.ServiceEvent
		_ = json.Unmarshal([]byte(e.data), &s)
		words = append(words, s.Service.Name)
		if s.Whole {
			words = append(words, "whole")
		}
		for _, i := range s.Instances {
			words = append(words, fmt.Sprintf("%s=%g", i.Address, *i.Weight))
		}
		for _, gone := range s.Gone {
			words = append(words, "-"+strings.TrimSuffix(gone, ":80"))
		}
	case api.EventRemoved:
		var s api.RemovedEvent
		_ = json.Unmarshal([]byte(e.data), &s)
		words = append(words, s.Name)
	case api.EventReset, api.EventSynced:
		var s api.SyncEvent
		_ = json.Unmarshal([]byte(e.data), &s)
		words = append(words, fmt.Sprint(s.Revision))
	case api.EventEnd:
		var s api.EndEvent
		_ = json.Unmarshal([]byte(e.data), &s)
		words = append(words, s.Reason, s.Resume)
	}
	if e.id != "" {
		words = append(words, "@"+e.id)
	}
	return strings.Join(words, " ")
}

// pipes is a listener of connections that hold nothing.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-p.closed:
		return nil, errors.New("nobody listens")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// state is what a reader knows: weights by service and host.
type state map[string]map[string]float64

// take brings an event in, and returns where the reader could go on.
func (s state) take(e event, resume string) string {
	switch e.kind {
	case api.EventReset:
		clear(s)
		return ""
	case api.EventRemoved:
		var gone api.RemovedEvent
		_ = json.Unmarshal([]byte(e.data), &gone)
		delete(s, gone.Name)
	case api.EventService:
		var is api.ServiceEvent
		_ = json.Unmarshal([]byte(e.data), &is)
		if is.Whole || s[is.Service.Name] == nil {
			s[is.Service.Name] = map[string]float64{}
		}
		for _, i := range is.Instances {
			s[is.Service.Name][i.Address] = *i.Weight
		}
		for _, gone := range is.Gone {
			delete(s[is.Service.Name], strings.TrimSuffix(gone, ":80"))
		}
	}
	if e.id != "" {
		return e.id
	}
	return resume
}
