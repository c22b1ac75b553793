package lab

import (
	"testing"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/test/binary"
)

// Server is a running `muster server` with a client of it.
type Server struct {
	*binary.Server
	*client.Client

	tb testing.TB
}

// StartServer starts a server with that Corefile and waits until it is ready. args
// are further arguments.
func StartServer(tb testing.TB, muster, corefile string, args ...string) *Server {
	tb.Helper()
	s := &Server{tb: tb, Server: binary.StartServer(tb, muster, append([]string{"--corefile", Write(tb, "Corefile", corefile)}, args...)...)}
	c, err := client.New([]string{s.HTTP}, client.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	s.Client = c
	tb.Cleanup(c.Close)
	return s
}

// StartEtcd starts an etcd of one member and returns its URL when it is healthy.
func StartEtcd(tb testing.TB, etcd string) (p *binary.Process, url string) {
	tb.Helper()
	address := Address()
	e := binary.StartEtcd(tb, etcd, address+":2379", address+":2380")
	return e.Process, e.URL
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
