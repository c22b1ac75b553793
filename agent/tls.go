package agent

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/musterhq/muster/agent/local"
	"github.com/musterhq/muster/internal/certs"
)

// exposures says what of the local API lies open to others than this host, nil when
// nothing does.
func (c Config) exposures() []string {
	if host, _, _ := net.SplitHostPort(c.HTTP); local.IsLoopback(host) {
		return nil
	}
	var all []string
	if !c.TLS.ClientRequired {
		all = append(all, "nobody has to show a certificate")
	}
	if !c.TLS.Given() {
		all = append(all, "there is no TLS")
	}
	return all
}

// guarded returns an error where something lies open that nobody allowed.
func (c Config) guarded() error {
	if open := c.exposures(); len(open) > 0 && !c.Insecure {
		return fmt.Errorf("http: %s is beyond loopback, where %s; --insecure allows it", c.HTTP, strings.Join(open, " and "))
	}
	return nil
}

// warnOfExposure says at every start what lies open.
func (a *Agent) warnOfExposure() {
	for _, open := range a.cfg.exposures() {
		a.cfg.Logger.Warn("insecure: the local API is beyond loopback", "http", a.cfg.HTTP, "open", open)
	}
}

// openCerts reads the certificates of the local API, if it is to have any.
func (a *Agent) openCerts() (err error) {
	if !a.cfg.TLS.Given() {
		return nil
	}
	if a.certs, err = certs.Open(a.cfg.TLS.Files(), a.cfg.Logger); err != nil {
		return fmt.Errorf("tls: %w", err)
	}
	return nil
}

// keepCerts looks for new certificates until ctx ends, so that what is wrong with them
// is said before somebody calls.
func (a *Agent) keepCerts(ctx context.Context) error {
	if a.certs == nil {
		return nil
	}
	return a.certs.Run(ctx, func() {})
}

// overTLS returns l with TLS, where there are certificates. It speaks HTTP/1.1, of which
// a connection is one call: the bounds on connections are bounds on calls.
func (a *Agent) overTLS(l net.Listener) net.Listener {
	if a.certs == nil {
		return l
	}
	return tls.NewListener(l, a.certs.Server(a.cfg.TLS.ClientRequired, "http/1.1"))
}

// certsFail returns what is wrong with the files of the certificates, "" when nothing
// is.
func (a *Agent) certsFail() string {
	if a.certs == nil {
		return ""
	}
	return a.certs.Failing()
}

// certMetrics are the metrics of the certificates, where there are any.
func (a *Agent) certMetrics() []prometheus.Collector {
	if a.certs == nil {
		return nil
	}
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "muster_agent_tls_certificate_end_timestamp_seconds",
			Help: "when the certificate of the local API ends"}, func() float64 { return float64(a.certs.Leaf().NotAfter.Unix()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "muster_agent_tls_files_failing",
			Help: "1 while the files of that certificate are wrong, and an old one goes on"}, func() float64 { return truth(a.certsFail() != "") }),
	}
}
