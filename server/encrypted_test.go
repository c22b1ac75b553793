package server_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/server"
	"github.com/musterhq/muster/test/dns/lab"
)

// DNS is answered over TLS, HTTPS and QUIC, and from a new certificate on with that.
func TestEncryptedDNS(t *testing.T) {
	conf, a := secured(t)
	dir := t.TempDir()
	s, _ := start(t, server.Config{TLS: conf, DataDir: dir, DNSTLS: "127.0.0.1:0", DNSHTTPS: "127.0.0.1:0", DNSQUIC: "127.0.0.1:0"})
	at := s.Addresses()
	var written server.Addresses
	if b, err := os.ReadFile(filepath.Join(dir, "addresses.json")); err != nil || json.Unmarshal(b, &written) != nil || written != at {
		t.Errorf("addresses.json = %+v, %v, want %+v", written, err, at)
	}
	question := lab.Question("muster.internal.", dns.TypeSOA)
	for _, via := range []lab.Transport{lab.DoT(at.DNSTLS, a.Cert), lab.DoH("GET", at.DNSHTTPS, a.Cert), lab.DoQ(at.DNSQUIC, a.Cert)} {
		reply, err := via.Ask(t.Context(), question)
		if err != nil || len(reply.Answer) != 1 || !reply.Authoritative {
			t.Errorf("SOA over %s = %v, %v, want one with authority", via.Name, reply, err)
		}
	}
	_, old := secured(t)
	if _, err := lab.DoT(at.DNSTLS, old.Cert).Ask(t.Context(), question); err == nil {
		t.Error("an authority that signed nothing is good enough")
	}
	// The files change to what another authority signed.
	cert, key, err := old.Issue("other", "127.0.0.1", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{key: conf.KeyFile, cert: conf.CertFile} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	for _, via := range []lab.Transport{lab.DoT(at.DNSTLS, old.Cert), lab.DoH("POST", at.DNSHTTPS, old.Cert), lab.DoQ(at.DNSQUIC, old.Cert)} {
		eventually(t, "the new certificate is shown over "+via.Name, func() bool {
			_, err := via.Ask(t.Context(), question)
			return err == nil
		})
	}
}

func TestEncryptedDNSSettings(t *testing.T) {
	secure := server.TLS{CertFile: "server.pem", KeyFile: "server-key.pem"}
	for name, tt := range map[string]struct {
		cfg  server.Config
		want string // of the error
	}{
		"without a certificate": {server.Config{DNSTLS: "127.0.0.1:853"}, "dns_tls: needs a certificate"},
		"no address":            {server.Config{DNSQUIC: "853", TLS: secure}, "dns_quic: \"853\" is not of the form"},
		"with a Corefile":       {server.Config{DNSHTTPS: "127.0.0.1:443", TLS: secure, Corefile: "Corefile"}, "dns_https: the Corefile says itself"},
		"a path that breaks out": {server.Config{DNSTLS: "127.0.0.1:853", TLS: server.TLS{CertFile: "a\" }", KeyFile: "k"}},
			"cannot stand in a Corefile"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := tt.cfg.WithDefaults(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("WithDefaults() = %v, want %q", err, tt.want)
			}
		})
	}
}
