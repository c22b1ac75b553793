package probe_test

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/probe"
)

func try(t *testing.T, c probe.Check) error {
	t.Helper()
	p, err := c.Prober()
	if err != nil {
		t.Fatalf("Prober(%v) = %v", c, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	return p.Probe(ctx)
}

func TestTCP(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := try(t, probe.Check{TCP: address}); err != nil {
		t.Errorf("Probe of a listener = %v, want nil", err)
	}
	l.Close()
	if err := try(t, probe.Check{TCP: address}); err == nil {
		t.Error("Probe of a closed port = nil, want an error")
	}
}

func TestHTTP(t *testing.T) {
	mux := http.NewServeMux()
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	mux.HandleFunc("/ok", status(200))
	mux.HandleFunc("/204", status(204))
	mux.HandleFunc("/busy", status(503))
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ok", http.StatusFound) })
	mux.HandleFunc("/asked", func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodHead || r.Host != "app.example.org" || r.Header.Get("X-Token") != "t" {
			w.WriteHeader(http.StatusTeapot)
		}
	})
	mux.HandleFunc("/hangs", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<10)); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/dies", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("half"))
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	s := httptest.NewServer(mux)
	defer s.Close()
	secure := httptest.NewUnstartedServer(mux)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()

	for _, c := range []struct {
		name  string
		check probe.Check
		want  string // part of the error; empty: passes
	}{
		{"200", probe.Check{HTTP: s.URL + "/ok"}, ""},
		{"204", probe.Check{HTTP: s.URL + "/204"}, ""},
		{"503", probe.Check{HTTP: s.URL + "/busy"}, "503"},
		{"503 where it is expected", probe.Check{HTTP: s.URL + "/busy", Expect: []int{503}}, ""},
		{"200 where something else is expected", probe.Check{HTTP: s.URL + "/ok", Expect: []int{204}}, "200"},
		{"a redirect is not followed", probe.Check{HTTP: s.URL + "/moved"}, "302"},
		{"a redirect that is expected", probe.Check{HTTP: s.URL + "/moved", Expect: []int{302}}, ""},
		{"method, host and header are sent", probe.Check{
			HTTP: s.URL + "/asked", Method: "HEAD", Headers: map[string]string{"host": "app.example.org", "x-token": "t"},
		}, ""},
		{"no answer in time", probe.Check{HTTP: s.URL + "/hangs"}, "no answer in time"},
		{"an endless body", probe.Check{HTTP: s.URL + "/endless"}, ""},
		{"a body cut short", probe.Check{HTTP: s.URL + "/dies"}, "unexpected EOF"},
		{"a certificate nobody knows", probe.Check{HTTP: secure.URL + "/ok"}, "certificate"},
		{"any certificate", probe.Check{HTTP: secure.URL + "/ok", TLSSkipVerify: true}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := try(t, c.check)
			if c.want == "" && err != nil {
				t.Errorf("Probe = %v, want nil", err)
			}
			if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("Probe = %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestCheckOfARunner(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	verdicts := make(chan probe.State, 10)
	r := probe.NewRunner(probe.RunnerConfig{})
	_, err = r.Check(probe.Check{TCP: l.Addr().String(), Interval: probe.Duration(10 * time.Millisecond)},
		func(is probe.Result) { verdicts <- is.State })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	if got := <-verdicts; got != probe.Passing {
		t.Errorf("first verdict = %v, want %v", got, probe.Passing)
	}
	l.Close()
	if got := <-verdicts; got != probe.Critical {
		t.Errorf("verdict after the listener closed = %v, want %v", got, probe.Critical)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
	if _, err := r.Check(probe.Check{}, nil); err == nil {
		t.Error("Check of an empty one = nil, want an error")
	}
}
