package binary

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/musterhq/muster/internal/freeport"
)

// Server is a running `muster server`.
type Server struct {
	*Process

	// HTTP, GRPC and DNS are where it listens, host:port; empty where it does not.
	HTTP, GRPC, DNS string

	data string
}

// StartServer starts a server with a data directory of its own and waits until it is
// ready. HTTP takes a port that nobody else gets while the server is down, the rest is
// as args say.
func StartServer(tb testing.TB, muster string, args ...string) *Server {
	tb.Helper()
	port, err := freeport.Keep("127.0.0.1")
	if err != nil {
		tb.Fatal(err)
	}
	data := tb.TempDir()
	all := append([]string{"server", "--http", fmt.Sprintf("127.0.0.1:%d", port), "--grpc", "127.0.0.1:0", "--data-dir", data}, args...)
	s := &Server{Process: Start(tb, muster, all...), data: data}
	s.awaitReady()
	return s
}

// RestartServer starts the server anew, with HTTP at the same address, once it has
// ended, and waits until it is ready.
func (s *Server) RestartServer() {
	s.tb.Helper()
	_ = os.Remove(s.addresses()) // of the earlier run
	s.Restart()
	s.awaitReady()
}

// Data returns the directory of what the server keeps.
func (s *Server) Data() string { return s.data }

// Forget removes all that the server knew, once it has ended.
func (s *Server) Forget() {
	s.tb.Helper()
	if err := os.RemoveAll(s.data); err != nil {
		s.tb.Fatal(err)
	}
}

func (s *Server) addresses() string { return filepath.Join(s.data, "addresses.json") }

func (s *Server) awaitReady() {
	s.tb.Helper()
	s.Await("addresses.json", func() bool {
		var at struct{ HTTP, GRPC, DNS string }
		b, err := os.ReadFile(s.addresses())
		if err != nil || json.Unmarshal(b, &at) != nil {
			return false
		}
		s.HTTP, s.GRPC, s.DNS = at.HTTP, at.GRPC, at.DNS
		return true
	})
	s.Await("readiness", func() bool { return Status(s.tb.Context(), "http://"+s.HTTP+"/readyz") == http.StatusOK })
}

// Status returns how a URL answers, 0 if it does not.
func Status(ctx context.Context, url string) int {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}
