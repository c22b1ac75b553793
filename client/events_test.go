package client_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

const synced = "event: synced\ndata: {\"revision\":5}\nid: 5-s\n\n"

// streams answers one call after another, each with its own text, and then waits
// until the caller leaves.
type streams struct {
	mu    sync.Mutex
	texts []string // guarded by mu
	since []string // guarded by mu; that was asked for
}

func (s *streams) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.since = append(s.since, r.URL.Query().Get("since"))
	text, last := "", len(s.texts) == 0
	if !last {
		text, s.texts = s.texts[0], s.texts[1:]
	}
	s.mu.Unlock()
	if status, detail, ok := strings.Cut(text, "!"); ok {
		w.Header().Set("Content-Type", "text/plain")
		code := 0
		_, _ = fmt.Sscan(status, &code)
		w.WriteHeader(code)
		_, _ = io.WriteString(w, detail)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(w, text)
	_ = http.NewResponseController(w).Flush()
	if last {
		<-r.Context().Done()
	}
}

func TestWatchGoesOn(t *testing.T) {
	for _, test := range []struct {
		name  string
		texts []string
		since []string // asked for, one after another
		told  []string // kinds
	}{
		{"a stream that breaks off", []string{"event: reset\ndata: {}\n\n" + synced, "event: removed\ndata: {\"name\":\"a\"}\nid: 6-s\n\n"},
			[]string{"", "5-s", "6-s"}, []string{"reset", "synced", "removed"}},
		{"within what stands together", []string{synced + "event: removed\ndata: {\"name\":\"a\"}\n\n"}, []string{"", "5-s"}, []string{"synced", "removed"}},
		{"before everything is told", []string{synced, "event: reset\ndata: {}\n\n"}, []string{"", "5-s", ""}, []string{"synced", "reset"}},
		{"with a heartbeat last", []string{synced + ":\nid: 9-s\n\n"}, []string{"", "9-s"}, []string{"synced"}},
		{"the server ends it", []string{synced + "event: end\ndata: {\"reason\":\"behind\",\"resume\":\"5-s\"}\n\n"}, []string{"", "5-s"}, []string{"synced"}},
		{"the server stops", []string{synced + "event: end\ndata: {\"reason\":\"stopping\"}\n\n"}, []string{"", "5-s"}, []string{"synced"}},
		{"kinds of later versions", []string{"event: other\ndata: [\n\n" + synced}, []string{"", "5-s"}, []string{"synced"}},
		{"no room and no server", []string{"429!full", "503!starting", synced}, []string{"", "", "", "5-s"}, []string{"synced"}},
		{"data of several lines", []string{"event: synced\r\ndata: {\"revision\":\r\ndata:5}\r\nid:5-s\r\n\r\n"}, []string{"", "5-s"}, []string{"synced"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &streams{texts: test.texts}
			c := open(t, serve(t, s.ServeHTTP))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var told []string
			done := make(chan error, 1)
			go func() {
				done <- c.Watch(ctx, client.WatchAll, client.WatchFilter{}, func(e client.Event) error {
					told = append(told, e.Kind)
					return nil
				})
			}()
			for asked := 0; asked < len(test.since); {
				s.mu.Lock()
				asked = len(s.since)
				s.mu.Unlock()
			}
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("Watch() = %v, want that it was called off", err)
			}
			if diff := cmp.Diff(test.told, told) + cmp.Diff(test.since, s.since); diff != "" {
				t.Errorf("told, and asked for: -want +got\n%s", diff)
			}
		})
	}
}

func TestWatchEnds(t *testing.T) {
	own := errors.New("enough")
	for _, test := range []struct {
		name, text string
		want       error
	}{
		{"refused", "400!since is wrong", client.ErrInvalid},
		{"not allowed", "403!no", client.ErrNotAllowed},
		{"by the caller", synced, own},
		{"no JSON", "event: service\ndata: {\n\n", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := open(t, serve(t, (&streams{texts: []string{test.text}}).ServeHTTP))
			err := c.Watch(t.Context(), client.WatchNew, client.WatchFilter{}, func(client.Event) error { return own })
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("Watch() = %v, want %v", err, test.want)
			}
		})
	}
}

func TestWatchTellsWhatItIsTold(t *testing.T) {
	text := "event: service\ndata: {\"revision\":7,\"service\":{\"name\":\"a\"},\"whole\":true,\"instances\":[{\"address\":\"192.0.2.1\",\"port\":80}],\"gone\":[\"192.0.2.2:80\"]}\nid: 7-s\n\n"
	c := open(t, serve(t, (&streams{texts: []string{text}}).ServeHTTP))
	stop := errors.New("stop")
	var got client.Event
	if err := c.Watch(t.Context(), "", client.WatchFilter{}, func(e client.Event) error { got = e; return stop }); !errors.Is(err, stop) {
		t.Fatal(err)
	}
	want := client.Event{Kind: api.EventService, Revision: 7, Resume: "7-s", Service: &api.ServiceEvent{Revision: 7, Whole: true,
		Service: api.Service{Name: "a"}, Instances: []api.Instance{{Address: "192.0.2.1", Port: 80}}, Gone: []string{"192.0.2.2:80"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("event: -want +got\n%s", diff)
	}
}

func FuzzReadEvent(f *testing.F) {
	for _, seed := range []string{synced, ":\nid: 1\n\n", "data\n\n", "data: a\ndata: b\n\n", "\n", "event:x\r\n\r\n", "id: 1", "retry: 5\n\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r := bufio.NewReader(strings.NewReader(text))
		for range len(text) + 1 {
			kind, id, data, err := client.ReadEvent(r)
			if err != nil {
				return
			}
			if strings.ContainsAny(kind+id, "\n") || len(data) > len(text) {
				t.Errorf("ReadEvent(%q) = %q, %q, %q", text, kind, id, data)
			}
		}
		t.Errorf("ReadEvent(%q) does not end", text)
	})
}
