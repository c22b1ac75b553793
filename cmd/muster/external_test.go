package main

import (
	"context"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/internal/peer"
	"github.com/musterhq/muster/test/binary"
)

// etcdProcess is an etcd of one member, another process.
type etcdProcess struct {
	process
	url    string
	health string // URL of its health, which asks for no certificate
}

// etcdProgram returns the path of an etcd.
var etcdProgram = sync.OnceValues(func() (string, error) { return binary.BuildEtcd(context.Background(), "../..") })

// newEtcd returns an etcd with its data below the test's folder.
func newEtcd(tb testing.TB) *etcdProcess {
	tb.Helper()
	peer.Path(tb, "go")
	program, err := etcdProgram()
	if err != nil {
		tb.Fatal(err)
	}
	url, peers := freeURL(tb), freeURL(tb)
	return &etcdProcess{url: url, health: url, process: process{t: tb, program: program, args: []string{
		"--name", "one", "--data-dir", filepath.Join(tb.TempDir(), "etcd"), "--log-level", "warn",
		"--listen-client-urls", url, "--advertise-client-urls", url,
		"--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", "one=" + peers,
	}}}
}

// freeURL returns the URL of an address that nobody listens at.
func freeURL(tb testing.TB) string {
	tb.Helper()
	return "http://" + freeAddress(tb)
}

// start starts etcd and waits until it is healthy.
func (e *etcdProcess) start() {
	e.t.Helper()
	e.process.start()
	e.await("health", func() bool {
		status, _, err := request(http.MethodGet, e.health+"/health", nil)
		return err == nil && status == http.StatusOK
	})
}

// startEtcd returns a running etcd.
func startEtcd(tb testing.TB) *etcdProcess {
	tb.Helper()
	e := newEtcd(tb)
	e.start()
	tb.Cleanup(e.kill)
	return e
}

func TestEverythingIsInTheExternalEtcd(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	s := newServer(t, t.TempDir(), "--etcd", etcd.url)
	s.start()
	t.Cleanup(s.stop)
	s.call(http.MethodPost, pathInstance, params("serviceName", "order-api", "ip", "10.0.0.1", "port", "8080", "ephemeral", "false"))
	s.publish("app.yaml", "version: 1")
	const want = "0 1000 10.0.0.1:8080"
	stands := func(when string) {
		t.Helper()
		if at, err := located(s.dns, "order-api"); err != nil || len(at) != 1 || at[0] != want {
			t.Errorf("SRV %s = %q, %v, want %q", when, at, err, want)
		}
		if got := s.document("app.yaml"); got != "version: 1" {
			t.Errorf("document %s = %q, want it as published", when, got)
		}
	}
	stands("after the writes")
	s.stop()
	s.start()
	stands("after a restart of the server")

	// Another data directory: nothing of value is in the server's own.
	s.stop()
	other := newServer(t, t.TempDir(), "--etcd", etcd.url)
	other.start()
	t.Cleanup(other.stop)
	s = other
	stands("at another server")

	etcd.kill()
	if at, err := located(s.dns, "order-api"); err != nil || len(at) != 1 || at[0] != want {
		t.Errorf("SRV without etcd = %q, %v, want %q", at, err, want)
	}
	eventually(t, time.Minute, "answers say that they may be old", func() bool {
		reply, err := exchange(s.dns, "order-api"+zone, dns.TypeA)
		return err == nil && len(reply.Answer) == 1 && reply.Answer[0].Header().Ttl <= 30 && hasError(reply, dns.ExtendedErrorCodeStaleAnswer)
	})
	late := params("serviceName", "order-api", "ip", "10.0.0.2", "port", "8080", "ephemeral", "false")
	if status, body, err := request(http.MethodPost, s.url()+pathInstance, late); err != nil || status < http.StatusInternalServerError {
		t.Errorf("registration without etcd = %d %q, %v, want an error", status, body, err)
	}
	etcd.start()
	stands("after a restart of etcd")
	eventually(t, time.Minute, "a registration is taken again", func() bool {
		status, _, err := request(http.MethodPost, s.url()+pathInstance, late)
		return err == nil && status == http.StatusOK
	})
	if !isLocated(s.dns, "order-api", want, "0 1000 10.0.0.2:8080") {
		t.Error("SRV lacks what was acknowledged after etcd's restart")
	}
}

// hasError reports whether a message carries that extended error.
func hasError(m *dns.Msg, code uint16) bool {
	opt := m.IsEdns0()
	return opt != nil && slices.ContainsFunc(opt.Option, func(o dns.EDNS0) bool {
		ede, ok := o.(*dns.EDNS0_EDE)
		return ok && ede.InfoCode == code
	})
}
