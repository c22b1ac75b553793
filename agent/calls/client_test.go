package calls_test

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/agent/calls"
	"github.com/musterhq/muster/client"
)

// said is one request as it arrived.
type said struct{ Method, Target, Body string }

// listening answers every call with body, over TCP or a unix socket.
func listening(t *testing.T, network, address string, status int, body string) (at net.Addr, got *said) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), network, address)
	if err != nil {
		t.Fatal(err)
	}
	got = &said{}
	s := &httptest.Server{Listener: l, Config: &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in any
		text := ""
		if json.NewDecoder(r.Body).Decode(&in) == nil {
			b, _ := json.Marshal(in)
			text = string(b)
		}
		*got = said{r.Method, r.URL.String(), text}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	})}}
	s.Start()
	t.Cleanup(s.Close)
	return l.Addr(), got
}

func dial(t *testing.T, address string) *calls.Client {
	t.Helper()
	c, err := calls.New(address, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestCallsAreWhatTheAgentReads(t *testing.T) {
	at, got := listening(t, "tcp", "127.0.0.1:0", http.StatusOK, "{}")
	c := dial(t, at.String())
	for _, test := range []struct {
		name string
		call func() error
		want said
	}{
		{"reload", func() error { _, err := c.Reload(t.Context()); return err }, said{"POST", "/v1/reload", ""}},
		{"drain", func() error { _, err := c.Drain(t.Context(), calls.DrainOrder{WaitMs: new(int64(5))}); return err },
			said{"POST", "/v1/drain", `{"waitMs":5}`}},
		{"skip", func() error { _, err := c.Drain(t.Context(), calls.DrainOrder{Skip: true}); return err },
			said{"POST", "/v1/drain", `{"skip":true}`}},
		{"drained", func() error { _, err := c.Drained(t.Context()); return err }, said{"GET", "/v1/drain", ""}},
		{"undrain", func() error { _, err := c.Undrain(t.Context()); return err }, said{"DELETE", "/v1/drain", ""}},
		{"leave", func() error { _, err := c.Leave(t.Context(), calls.DrainOrder{}); return err }, said{"POST", "/v1/leave", "{}"}},
		{"maintenance", func() error {
			_, err := c.Maintain(t.Context(), "", "g", "a/b", calls.MaintenanceOrder{Enabled: true, Reason: "disk"})
			return err
		}, said{"PUT", "/v1/services/a%2Fb/maintenance?group=g", `{"enabled":true,"reason":"disk"}`}},
		{"explain", func() error { _, err := c.Explain(t.Context(), "pay", true); return err }, said{"GET", "/v1/explain?dns=true&of=pay", ""}},
		{"diff", func() error { _, err := c.Diff(t.Context(), false); return err }, said{"GET", "/v1/diff?contents=false", ""}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := test.call(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, *got); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSocketInTheFileSystem(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.sock")
	_, got := listening(t, "unix", path, http.StatusOK, `{"state":"drained","instances":2}`)
	for _, address := range []string{"unix:" + path, "unix://" + path} {
		d, err := dial(t, address).Drained(t.Context())
		if err != nil || d.State != calls.DrainDrained || d.Instances != 2 || got.Method != "GET" {
			t.Errorf("Drained() at %s = %+v, %v, want what the agent says", address, d, err)
		}
	}
}

func TestFailures(t *testing.T) {
	at, _ := listening(t, "tcp", "127.0.0.1:0", http.StatusNotFound, `{"status":404,"detail":"no instance \"x\""}`)
	if _, err := dial(t, "http://"+at.String()).Explain(t.Context(), "x", false); !errors.Is(err, client.ErrNotFound) ||
		!strings.Contains(err.Error(), `no instance "x"`) {
		t.Errorf("Explain(x) = %v, want not found, with what the agent says", err)
	}
	foreign, _ := listening(t, "tcp", "127.0.0.1:0", http.StatusOK, "<html>")
	if _, err := dial(t, foreign.String()).Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "is this a Muster agent") {
		t.Errorf("Reload of a foreign server = %v, want a doubt", err)
	}
	gone := "unix:" + filepath.Join(t.TempDir(), "none.sock")
	if _, err := dial(t, gone).Reload(t.Context()); !errors.Is(err, client.ErrUnreachable) || !strings.Contains(err.Error(), gone) {
		t.Errorf("Reload of no agent = %v, want unreachable, with its address", err)
	}
	for _, address := range []string{"unix:relative.sock", "127.0.0.1", "127.0.0.1:x", ":8849", "https://127.0.0.1"} {
		if _, err := calls.New(address, nil); err == nil || !strings.Contains(err.Error(), address) {
			t.Errorf("New(%q) = %v, want an error that names it", address, err)
		}
	}
}
