package main

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/musterhq/muster/api"
)

// Servers that speak TLS alone ask each other so, each showing its certificate to
// the other, and a client that shows none is let in nowhere.
func TestServersAskEachOtherOverTLS(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	a := newAuthority(t)
	cert, key := a.issue(t, "server")
	var servers []*serverProcess
	for range 2 {
		s := newServer(t, t.TempDir(), "--etcd", etcd.url, "--tls-cert", cert, "--tls-key", key, "--tls-ca", a.File,
			"--tls-client-ca", a.File, "--tls-client-required")
		at := s.startAt(s.data)
		s.http, s.dns = at.HTTP, at.DNS
		t.Cleanup(s.stop)
		servers = append(servers, s)
	}
	trust := []string{"--ca", a.File, "--cert", cert, "--key", key}
	eventually(t, 30*time.Second, "both servers reach each other", func() bool {
		code, out := command(t, append([]string{"status", "-o", "json", "--server", servers[0].url()}, trust...)...)
		var said struct{ Servers []api.ServerState }
		if code != 0 || json.Unmarshal([]byte(out), &said) != nil || len(said.Servers) != 2 {
			return false
		}
		return said.Servers[0].Ready && said.Servers[1].Ready
	})
	if code, out := command(t, "status", "--server", servers[0].url(), "--ca", a.File); code != exitUnreachable {
		t.Errorf("status without a certificate ended with %d, want %d:\n%s", code, exitUnreachable, out)
	}
}
