package server_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/internal/authority"
	"github.com/musterhq/muster/internal/certs"
	"github.com/musterhq/muster/server"
)

// TestCertificateThatIsGoneOverOpenConnections calls over connections that stay open when
// the certificate that opened them is good no more: it lets nobody in, and who has another
// one by then shows that with its next call.
func TestCertificateThatIsGoneOverOpenConnections(t *testing.T) {
	settings, a := secured(t)
	settings.ClientCAFile = a.File
	s, _ := startAfter(t, server.Config{HTTP: "127.0.0.1:0", Auth: "on", TLS: settings, DataDir: t.TempDir()}, func(*server.Server) {})
	const soon = 2 * time.Second
	for _, c := range []struct {
		name, of, protocol, path string
		good                     time.Duration
		revoke                   bool
		refused                  int
	}{
		{"ended", "agent", "http/1.1", api.PathWhoAmI, soon, false, http.StatusUnauthorized}, {"ended", "agent", "h2", api.PathWhoAmI, soon, false, http.StatusUnauthorized},
		{"revoked", "agent", "http/1.1", api.PathWhoAmI, time.Hour, true, http.StatusUnauthorized}, {"revoked", "agent", "h2", api.PathWhoAmI, time.Hour, true, http.StatusUnauthorized},
		{"revoked for Nacos", "server", "h2", "/nacos/v1/ns/service/list?pageNo=1&pageSize=1", time.Hour, true, http.StatusForbidden},
	} {
		t.Run(c.name+" over "+c.protocol, func(t *testing.T) {
			grant := func(good time.Duration) certs.Files {
				t.Helper()
				cert, key, err := a.Grant(authority.Wish{Name: "web-1", URI: &url.URL{Scheme: "muster", Host: c.of, Path: "/web-1"}, Good: good, Client: true, Replace: true})
				if err != nil {
					t.Fatal(err)
				}
				return certs.Files{Cert: cert, Key: key, CA: a.File}
			}
			files := grant(c.good)
			client := over(t, files, c.protocol)
			status := func() int {
				t.Helper()
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+s.Addresses().HTTP+c.path, http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				_, _ = io.Copy(io.Discard, resp.Body) // the status says it
				return resp.StatusCode
			}
			if got := status(); got != http.StatusOK {
				t.Fatalf("a good certificate = %d, want 200", got)
			}
			if c.revoke {
				pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
				if err != nil {
					t.Fatal(err)
				}
				if err := server.Authority(s).RevokeCertificates(t.Context(), pair.Leaf.SerialNumber.Text(16)); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "the certificate is refused", func() bool { return status() == c.refused })
			grant(time.Hour)
			eventually(t, "another certificate is shown, and lets in", func() bool { return status() == http.StatusOK })
		})
	}
}
