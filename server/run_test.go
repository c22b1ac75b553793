package server_test

import (
	"cmp"
	"context"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/server"
)

// start runs a server in this process until the test ends, or the returned
// function is called.
func start(t testing.TB, cfg server.Config) (s *server.Server, stop func()) {
	t.Helper()
	cfg.HTTP = "127.0.0.1:0"
	return startAt(t, cfg)
}

// startAt is start at an HTTP address that the test chooses.
func startAt(t testing.TB, cfg server.Config) (s *server.Server, stop func()) {
	t.Helper()
	return startAfter(t, cfg, func(*server.Server) {})
}

// startAfter is startAt with something done to the server before it takes calls.
func startAfter(t testing.TB, cfg server.Config, ready func(*server.Server)) (s *server.Server, stop func()) {
	t.Helper()
	cfg.DNS, cfg.Throwaway = "127.0.0.1:0", true
	cfg.GRPC = cmp.Or(cfg.GRPC, "127.0.0.1:0") // 1000 above HTTP may be another's
	if cfg.DataDir == "" {
		cfg.DataDir = t.TempDir()
	}
	s, err := server.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ready(s)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Errorf("Run() = %v, want nil", err)
		}
	})
	stop = func() { cancel(); wg.Wait() }
	t.Cleanup(stop)
	eventually(t, "the server is ready and judges", func() bool { return s.Status().Ready && s.Status().Judge })
	return s, stop
}

// eventually fails the test unless ok becomes true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// base returns the URL of a server.
func base(s *server.Server) string { return "http://" + s.Addresses().HTTP }

func dial(t *testing.T, s *server.Server) *client.Client {
	t.Helper()
	c, err := client.New([]string{base(s)}, client.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// get returns status and body of a plain GET.
func get(t testing.TB, url string) (int, string) {
	t.Helper()
	status, _, body := call(t, http.MethodGet, url, "", http.NoBody)
	return status, body
}

// call returns the answer to a call whose body is of that content type.
func call(t testing.TB, method, url, kind string, body io.Reader) (status int, header http.Header, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", kind)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

// running returns a server of its own for a test.
func running(t *testing.T) *server.Server {
	t.Helper()
	s, _ := start(t, server.Config{})
	return s
}
