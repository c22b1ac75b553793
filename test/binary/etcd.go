package binary

import (
	"net/http"
	"path/filepath"
	"testing"
)

// Etcd is a running etcd of one member.
type Etcd struct {
	*Process

	URL string
}

// StartEtcd starts the etcd that [BuildEtcd] has built, with its data below the test's
// folder, at two addresses host:port, and waits until it is healthy.
func StartEtcd(tb testing.TB, etcd, clients, peers string) *Etcd {
	tb.Helper()
	url, peer := "http://"+clients, "http://"+peers
	e := &Etcd{URL: url, Process: Start(tb, etcd, "--name", "one", "--data-dir", filepath.Join(tb.TempDir(), "etcd"), "--log-level", "warn",
		"--listen-client-urls", url, "--advertise-client-urls", url,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "one="+peer)}
	e.AwaitHealth()
	return e
}

// AwaitHealth waits until etcd takes writes.
func (e *Etcd) AwaitHealth() {
	e.tb.Helper()
	e.Await("health", func() bool { return Status(e.tb.Context(), e.URL+"/health") == http.StatusOK })
}
