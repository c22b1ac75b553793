package lab

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

// Server is a running `muster server`.
type Server struct {
	*Process
	*client.Client

	HTTP string // host:port

	data string
}

// StartServer starts a server with that Corefile and waits until it is ready. args
// are further arguments.
func StartServer(tb testing.TB, muster, corefile string, args ...string) *Server {
	tb.Helper()
	data := tb.TempDir()
	all := append([]string{"server", "--corefile", Write(tb, "Corefile", corefile), "--http", "127.0.0.1:0", "--data-dir", data}, args...)
	s := &Server{Process: Start(tb, muster, all...), data: data}
	s.awaitReady()
	return s
}

// RestartServer starts the server anew, at the same addresses, once it has ended,
// and waits until it is ready.
func (s *Server) RestartServer() {
	s.tb.Helper()
	_ = os.Remove(s.addresses()) // of the earlier run
	args := slices.Clone(s.cmd.Args[1:])
	args[slices.Index(args, "--http")+1] = s.HTTP
	s.Restart(args...)
	s.awaitReady()
}

func (s *Server) addresses() string { return filepath.Join(s.data, "addresses.json") }

func (s *Server) awaitReady() {
	s.tb.Helper()
	s.Await("addresses.json", func() bool {
		var at struct{ HTTP string }
		b, err := os.ReadFile(s.addresses())
		if err != nil || json.Unmarshal(b, &at) != nil {
			return false
		}
		s.HTTP = at.HTTP
		return true
	})
	s.Await("readiness", func() bool { return status(s.tb.Context(), "http://"+s.HTTP+"/readyz") == http.StatusOK })
	c, err := client.New([]string{s.HTTP}, client.Config{})
	if err != nil {
		s.tb.Fatal(err)
	}
	s.Client = c
	s.tb.Cleanup(c.Close)
}

// StartEtcd starts an etcd of one member and returns its URL when it is healthy.
func StartEtcd(tb testing.TB, etcd string) (p *Process, url string) {
	tb.Helper()
	address := Address()
	url, peer := "http://"+address+":2379", "http://"+address+":2380"
	p = Start(tb, etcd, "--name", "one", "--data-dir", filepath.Join(tb.TempDir(), "etcd"), "--log-level", "warn",
		"--listen-client-urls", url, "--advertise-client-urls", url,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "one="+peer)
	p.Await("health", func() bool { return status(tb.Context(), url+"/health") == http.StatusOK })
	return p, url
}

// status returns how a URL answers, 0 if it does not.
func status(ctx context.Context, url string) int {
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

// Put registers instances as they are declared.
func (s *Server) Put(service client.Name, instances ...api.Instance) {
	s.tb.Helper()
	for _, i := range instances {
		if _, err := s.Register(s.tb.Context(), service, i); err != nil {
			s.tb.Fatalf("register %s:%d of %s: %v", i.Address, i.Port, service, err)
		}
	}
}

// Declare creates a service of persistent instances.
func (s *Server) Declare(service client.Name, threshold float64) {
	s.tb.Helper()
	persistent := false
	if _, err := s.PutService(s.tb.Context(), service, api.ServiceSpec{Ephemeral: &persistent, ProtectThreshold: threshold}); err != nil {
		s.tb.Fatalf("create %s: %v", service, err)
	}
}

// Weight lays another weight over an instance.
func (s *Server) Weight(service client.Name, endpoint string, weight float64) {
	s.tb.Helper()
	if _, err := s.UpdateInstance(s.tb.Context(), service, endpoint, client.InstancePatch{Weight: &weight}); err != nil {
		s.tb.Fatalf("weight of %s of %s: %v", endpoint, service, err)
	}
}

// Remove deregisters an instance.
func (s *Server) Remove(service client.Name, endpoint string) {
	s.tb.Helper()
	if err := s.Deregister(s.tb.Context(), service, endpoint); err != nil {
		s.tb.Fatalf("deregister %s of %s: %v", endpoint, service, err)
	}
}
