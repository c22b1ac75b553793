package main

import (
	"crypto/x509"
	"testing"
	"time"

	signing "github.com/musterhq/muster/internal/authority"
)

// authority signs the certificates by which etcds, and their clients, know each
// other.
type authority struct{ *signing.Authority }

func newAuthority(tb testing.TB) *authority {
	tb.Helper()
	a, err := signing.New(tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	return &authority{a}
}

// pool returns what trusts the authority.
func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.Cert)
	return p
}

// issue returns files with a certificate for this machine's loopback address,
// good for both ends of a connection, and with its key.
func (a *authority) issue(tb testing.TB, name string) (certFile, keyFile string) {
	tb.Helper()
	certFile, keyFile, err := a.Issue(name, "127.0.0.1", time.Hour)
	if err != nil {
		tb.Fatal(err)
	}
	return certFile, keyFile
}
