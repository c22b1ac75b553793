package embedded_test

import (
	"crypto/tls"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/musterhq/muster/etcdstore/embedded"
	signing "github.com/musterhq/muster/internal/authority"
)

// authority makes the certificates of a test's cluster.
type authority struct{ *signing.Authority }

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a, err := signing.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return &authority{a}
}

// files writes a certificate for ip that is good for so long.
func (a *authority) files(t *testing.T, name, ip string, good time.Duration) (cert, key string) {
	t.Helper()
	cert, key, err := a.Issue(name, ip, good)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// pair returns a certificate to dial with.
func (a *authority) pair(t *testing.T, name string) tls.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(a.files(t, name, "127.0.0.1", time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// member returns settings for a member on a free port, all but Initial.
func (a *authority) member(t *testing.T, name string) *embedded.Cluster {
	t.Helper()
	cert, key := a.files(t, name, "127.0.0.1", time.Hour)
	return &embedded.Cluster{Name: name, Listen: freeAddress(t), CertFile: cert, KeyFile: key, CAFile: a.File}
}

// freeAddress returns one below the ports that connections take for themselves:
// it stays free until a member listens there.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", 20000+mathrand.IntN(10000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no free port between 20000 and 30000")
	return ""
}
