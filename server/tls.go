package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/musterhq/muster/internal/certs"
)

// TLS says how the HTTP edge speaks TLS, and how this server knows the others.
// Without CertFile the edge speaks plain HTTP.
type TLS struct {
	// CertFile is the certificate of this server, for both ends of a connection, with
	// those between it and its authority. KeyFile is its key.
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
	// CAFile holds the authorities of the other servers' certificates; empty is those
	// of the system.
	CAFile string `yaml:"ca_file"`
	// ClientCAFile holds the authorities of the certificates that clients may show;
	// empty is none, and nobody is asked.
	ClientCAFile string `yaml:"client_ca_file"`
	// ClientRequired lets nobody in who shows none.
	ClientRequired bool `yaml:"client_required"`
}

// given reports whether the HTTP edge speaks TLS.
func (t TLS) given() bool { return t.CertFile != "" }

// listener is what the settings say of the HTTP edge.
func (t TLS) listener() certs.Listener {
	return certs.Listener{CertFile: t.CertFile, KeyFile: t.KeyFile, ClientCAFile: t.ClientCAFile, ClientRequired: t.ClientRequired}
}

// forPeers are the files of the end that asks other servers.
func (t TLS) forPeers() certs.Files {
	return certs.Files{Cert: t.CertFile, Key: t.KeyFile, CA: t.CAFile}
}

// scheme is that of this server's URL.
func (t TLS) scheme() string {
	if t.given() {
		return "https"
	}
	return "http"
}

// protocols are those of the HTTP edge, over TLS.
var protocols = []string{"h2", "http/1.1"}

// openTLS reads the certificates.
func (s *Server) openTLS() (err error) {
	t := s.cfg.TLS
	if s.peerCerts, err = certs.Open(t.forPeers(), s.log); err != nil {
		return fmt.Errorf("tls: %w", err)
	}
	s.peers = newPeerClient(s.peerCerts)
	if !t.given() {
		return nil
	}
	if s.ownCerts, err = certs.Open(t.listener().Files(), s.log); err != nil {
		return fmt.Errorf("tls: %w", err)
	}
	if u, err := url.Parse(s.advertisedHTTP()); err == nil && s.ownCerts.Leaf().VerifyHostname(u.Hostname()) != nil {
		s.log.Warn("the certificate does not name the host by which other servers reach this one: they refuse it, see --advertise-http", "host", u.Hostname())
	}
	s.metrics.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "muster_tls_certificate_end_timestamp_seconds",
			Help: "When the certificate of this server ends."}, func() float64 { return float64(s.ownCerts.Leaf().NotAfter.Unix()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "muster_tls_files_failing",
			Help: "1 while the files of the certificate are wrong, and an old one goes on."}, s.certsFail),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "muster_tls_handshake_failures_total",
			Help: "Connections to the HTTP edge whose TLS handshake failed."}, func() float64 { return float64(s.handshakes.Failed()) }))
	return nil
}

// keepCerts looks for new certificates until ctx ends.
func (s *Server) keepCerts(ctx context.Context) error {
	if s.ownCerts == nil {
		return nil
	}
	return s.ownCerts.Run(ctx, func() {
		if len(s.cfg.encryptedDNS()) == 0 {
			return
		}
		if err := s.ReloadCorefile(); err != nil {
			s.log.Error("DNS goes on with the old certificate", "err", err)
		}
	})
}

// serve answers what comes in at l, until the end.
func (s *Server) serve(l net.Listener) error {
	if s.ownCerts == nil {
		return s.http.Serve(l)
	}
	return s.http.ServeTLS(l, "", "")
}

// toSelf is how this server opens connections to its own HTTP edge, nil: in plain.
func (s *Server) toSelf() *tls.Config {
	if s.ownCerts == nil {
		return nil
	}
	return s.ownCerts.Self()
}

func (s *Server) certsFail() float64 {
	if s.ownCerts.Failing() != "" {
		return 1
	}
	return 0
}
