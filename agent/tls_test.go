package agent_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/agent"
	"github.com/musterhq/muster/agent/calls"
	"github.com/musterhq/muster/internal/authority"
	"github.com/musterhq/muster/internal/certs"
)

// secured gives a host's local API a certificate, and returns its authority.
func (h *host) secured() *authority.Authority {
	h.t.Helper()
	a, err := authority.New(h.t.TempDir())
	if err != nil {
		h.t.Fatal(err)
	}
	h.cfg.TLS.CertFile, h.cfg.TLS.KeyFile = issue(h.t, a, "agent")
	return a
}

func issue(t *testing.T, a *authority.Authority, name string) (cert, key string) {
	t.Helper()
	cert, key, err := a.Issue(name, "127.0.0.1", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// over asks for a path of the local API over TLS, by another name of the host, and
// returns the answer and the number of the certificate that was met.
func (r *running) over(files certs.Files, path string) (answer, serial string, err error) {
	r.t.Helper()
	trust, err := certs.Open(files, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	transport := &http.Transport{DialTLSContext: trust.Dialer("http/1.1")}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, strings.Replace(r.url, "http://", "https://", 1)+path, http.NoBody)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Host = "host-a.example.org:8849"
	resp, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Do(req)
	if err != nil {
		return "", "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), resp.TLS.PeerCertificates[0].SerialNumber.String(), err
}

func TestLocalAPIOverTLS(t *testing.T) {
	h := newHost(t)
	authority := h.secured()
	a := h.start()
	trusting := certs.Files{CA: authority.File}
	answer, first, err := a.over(trusting, "/livez")
	if err != nil || answer != "ok\n" {
		t.Fatalf("GET /livez over TLS = %q, %v, want ok", answer, err)
	}
	if _, _, err := a.over(certs.Files{}, "/livez"); err == nil {
		t.Error("who does not know the authority is answered")
	}
	if status, body := a.overSocket(-1, "GET", "/livez", ""); status != http.StatusOK {
		t.Errorf("GET /livez over the socket = %d %q, want 200", status, body)
	}
	if status, _, body := a.call("GET", "/v1/status", ""); status != http.StatusBadRequest || strings.Contains(body, "incarnation") {
		t.Errorf("in plain: %d %q, want 400", status, body)
	}
	ask := func(address string, dial func(context.Context, string, string) (net.Conn, error)) (s agent.Status, err error) {
		t.Helper()
		c, err := calls.New(address, dial)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return s, c.Status(t.Context(), &s)
	}
	if _, err := ask(a.url, nil); err == nil || !strings.Contains(err.Error(), "say https://") {
		t.Errorf("a command that asks in plain is told %v", err)
	}
	trust, err := certs.Open(trusting, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := ask(strings.Replace(a.url, "http://", "https://", 1), trust.Dialer("http/1.1")); err != nil || !s.TLS || s.Insecure != nil {
		t.Errorf("Status = tls %v, insecure %v, %v, want tls and nothing open", s.TLS, s.Insecure, err)
	}
	eventually(t, func() string {
		answer, _, err := a.over(trusting, "/metrics")
		for _, line := range []string{"handshake_failures_total 3\n", "files_failing 0\n", "certificate_end_timestamp_seconds "} {
			if !strings.Contains(answer, "\nmuster_agent_tls_"+line) {
				return fmt.Sprintf("metrics, %v, without %q, three having failed:\n%s", err, line, answer)
			}
		}
		return ""
	})

	t.Log("another certificate, with no restart")
	issue(t, authority, "agent")
	eventually(t, func() string {
		if _, now, err := a.over(trusting, "/livez"); err != nil || now == first {
			return "the old certificate is shown"
		}
		return ""
	})
	good, err := os.ReadFile(h.cfg.TLS.CertFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.cfg.TLS.CertFile, good[:len(good)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if a.Status().TLSError == "" {
			return "the status says nothing of half a certificate"
		}
		return ""
	})
	if answer, _, err := a.over(trusting, "/livez"); err != nil || answer != "ok\n" {
		t.Errorf("GET /livez with half a certificate in the file = %q, %v, want ok", answer, err)
	}
}

func TestCallersOfTheLocalAPIShowCertificates(t *testing.T) {
	h := newHost(t)
	ours := h.secured()
	h.cfg.TLS.ClientCAFile, h.cfg.TLS.ClientRequired = ours.File, true
	h.cfg.HTTP = "0.0.0.0:0" // which takes no more than that
	a := h.start()
	_, port, err := net.SplitHostPort(a.Status().HTTP)
	if err != nil {
		t.Fatal(err)
	}
	a.url = "http://127.0.0.1:" + port
	others, err := authority.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cert, key := issue(t, ours, "caller")
	otherCert, otherKey := issue(t, others, "caller")
	for name, c := range map[string]struct {
		files certs.Files
		fits  bool
	}{
		"no certificate":             {certs.Files{CA: ours.File}, false},
		"one of another authority":   {certs.Files{CA: ours.File, Cert: otherCert, Key: otherKey}, false},
		"one of the right authority": {certs.Files{CA: ours.File, Cert: cert, Key: key}, true},
	} {
		answer, _, err := a.over(c.files, "/v1/status")
		if c.fits != (err == nil) || c.fits && strings.Contains(answer, `"insecure"`) {
			t.Errorf("with %s: %v, %s, want it answered: %v, and nothing open", name, err, answer, c.fits)
		}
	}
}

// Who opens a connection and says nothing, or speaks no TLS, holds it for as long as a
// handshake may take.
func TestHandshakeIsNotWaitedForLong(t *testing.T) {
	h := newHost(t)
	h.secured()
	a := h.start()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(a.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	began := time.Now()
	if err := conn.SetReadDeadline(began.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); n != 0 || os.IsTimeout(err) {
		t.Errorf("a connection that says nothing is read from %v after %v, want it closed", err, time.Since(began))
	}
}

// An old version of TLS is not spoken.
func TestLocalAPIRefusesOldTLS(t *testing.T) {
	h := newHost(t)
	h.secured()
	a := h.start()
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}} //nolint:gosec // it is to be refused
	if conn, err := d.DialContext(t.Context(), "tcp", strings.TrimPrefix(a.url, "http://")); err == nil {
		conn.Close()
		t.Error("TLS 1.1 is spoken")
	}
}
