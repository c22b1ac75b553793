package server_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/internal/authority"
	"github.com/musterhq/muster/internal/certs"
	"github.com/musterhq/muster/server"
	"github.com/musterhq/muster/server/events"
)

// secured returns the settings of a server with a certificate, and its authority.
func secured(t *testing.T) (server.TLS, *authority.Authority) {
	t.Helper()
	a, err := authority.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := a.Issue("server", "127.0.0.1", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return server.TLS{CertFile: cert, KeyFile: key, CAFile: a.File}, a
}

// over returns a client of HTTP that trusts the files' authority and shows their
// certificate, if there is one.
func over(t *testing.T, files certs.Files, protocols ...string) *http.Client {
	t.Helper()
	trust, err := certs.Open(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialTLSContext: trust.Dialer(protocols...), ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

// ready asks whether the server is, and returns the protocol of the answer.
func ready(t *testing.T, c *http.Client, s *server.Server) (proto, serial string, err error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+s.Addresses().HTTP+"/readyz", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(r)
	if err != nil {
		return "", "", err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body) // the status says it
	if resp.StatusCode != http.StatusOK {
		t.Errorf("GET /readyz = %s, want 200", resp.Status)
	}
	return resp.Proto, resp.TLS.PeerCertificates[0].SerialNumber.String(), nil
}

func TestHTTPOverTLS(t *testing.T) {
	conf, a := secured(t)
	s, _ := start(t, server.Config{TLS: conf})
	if st := s.Status(); !st.TLS {
		t.Error("the status does not say that there is TLS")
	}
	for protocol, want := range map[string]string{"h2": "HTTP/2.0", "http/1.1": "HTTP/1.1"} {
		if got, _, err := ready(t, over(t, certs.Files{CA: a.File}, protocol), s); err != nil || got != want {
			t.Errorf("over %s: %q, %v, want %s", protocol, got, err, want)
		}
	}
	// In plain there is nothing but a hint.
	if status, text := get(t, "http://"+s.Addresses().HTTP+"/readyz"); status != http.StatusBadRequest || !strings.Contains(text, "HTTPS") {
		t.Errorf("in plain: %d %q, want 400 and that this is HTTPS", status, text)
	}
}

// Who breaks the protocol of HTTP/2 writes no line of the log: he could fill the disk.
func TestBrokenProtocolIsNoNews(t *testing.T) {
	conf, a := secured(t)
	logged := new(journal)
	s, _ := start(t, server.Config{TLS: conf, Logger: slog.New(slog.NewTextHandler(logged, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	trust, err := certs.Open(certs.Files{CA: a.File}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, says := range []string{strings.Repeat("no preface ", 10), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + strings.Repeat("\x00", 64)} {
		conn, err := trust.Dialer("h2")(t.Context(), "tcp", s.Addresses().HTTP)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, says) // the server closes when it has seen enough
		_, _ = io.Copy(io.Discard, conn)
		conn.Close()
	}
	eventually(t, "it is told at debug", func() bool { return logged.count("level=DEBUG msg=\"a client broke the protocol\"") == 2 })
	if n := logged.count("level=WARN msg=http"); n > 0 {
		t.Errorf("%d lines warn of a client", n)
	}
}

// What a server is given later is in use without a restart.
func TestCertificateIsReadAgain(t *testing.T) {
	conf, a := secured(t)
	s, _ := start(t, server.Config{TLS: conf})
	_, first, err := ready(t, over(t, certs.Files{CA: a.File}), s)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.Issue("server", "127.0.0.1", time.Hour); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new certificate is shown", func() bool {
		_, serial, err := ready(t, over(t, certs.Files{CA: a.File}), s)
		return err == nil && serial != first
	})
}

func TestClientMustShowACertificate(t *testing.T) {
	conf, a := secured(t)
	conf.ClientCAFile, conf.ClientRequired = a.File, true
	s, _ := start(t, server.Config{TLS: conf})
	if _, _, err := ready(t, over(t, certs.Files{CA: a.File}), s); err == nil || !strings.Contains(err.Error(), "certificate required") {
		t.Errorf("without a certificate: %v, want that one is required", err)
	}
	if _, _, err := ready(t, over(t, certs.Files{Cert: conf.CertFile, Key: conf.KeyFile, CA: a.File}), s); err != nil {
		t.Errorf("with a certificate: %v", err)
	}
	eventually(t, "failed handshakes are counted", func() bool {
		metrics := metricsOf(t, over(t, certs.Files{Cert: conf.CertFile, Key: conf.KeyFile, CA: a.File}), s)
		return metrics["muster_tls_handshake_failures_total"] != "0" && metrics["muster_tls_files_failing"] == "0"
	})
}

// metricsOf returns the metrics of s that have no labels.
func metricsOf(t *testing.T, c *http.Client, s *server.Server) map[string]string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+s.Addresses().HTTP+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	all := map[string]string{}
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), " "); ok && name != "#" {
			all[name] = value
		}
	}
	return all
}

// Watches and their ends go over HTTP/2 as over HTTP/1.1.
func TestEventsOverTLS(t *testing.T) {
	conf, a := secured(t)
	s, _ := start(t, server.Config{TLS: conf})
	trust, err := certs.Open(certs.Files{CA: a.File}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New([]string{"https://" + s.Addresses().HTTP}, client.Config{DialTLS: trust.Dialer("h2", "http/1.1")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err = c.Watch(ctx, client.WatchAll, client.WatchFilter{}, func(e client.Event) error {
		if e.Kind == api.EventSynced {
			return io.EOF
		}
		return nil
	})
	if err != io.EOF { //nolint:errorlint // it is this very one
		t.Errorf("Watch() = %v, want that everything was told", err)
	}
}

// A stream over HTTP/2 that has nothing to tell for longer than its reader may take to
// read goes on.
func TestQuietEventsOverHTTP2(t *testing.T) {
	defer server.SetEvents(func(c *events.Config) { c.Within = 50 * time.Millisecond })()
	conf, a := secured(t)
	s, _ := start(t, server.Config{TLS: conf})
	c := over(t, certs.Files{CA: a.File}, "h2")
	c.Timeout = 0
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+s.Addresses().HTTP+api.PathEvents, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the stream ended with %v, want that it went on", err)
	}
}

func TestBeyondLoopback(t *testing.T) {
	secure := server.TLS{CertFile: "server.pem", KeyFile: "server-key.pem"}
	for name, tt := range map[string]struct {
		cfg  server.Config
		want string // of the error; empty: none
	}{
		"loopback":                    {server.Config{HTTP: "127.0.0.1:8848"}, ""},
		"beyond it":                   {server.Config{HTTP: "0.0.0.0:8848"}, "where there is no TLS; --insecure allows it"},
		"beyond it without logins":    {server.Config{HTTP: "0.0.0.0:8848", Auth: server.AuthOff}, "where nobody has to log in and there is no TLS; --insecure allows it"},
		"beyond it, allowed":          {server.Config{HTTP: "0.0.0.0:8848", Insecure: true}, ""},
		"beyond it with TLS":          {server.Config{HTTP: "0.0.0.0:8848", TLS: secure}, ""},
		"beyond it with TLS alone":    {server.Config{HTTP: "0.0.0.0:8848", TLS: secure, Auth: server.AuthOff}, "where nobody has to log in; --insecure allows it"},
		"beyond it with TLS, allowed": {server.Config{HTTP: "0.0.0.0:8848", TLS: secure, Auth: server.AuthOff, Insecure: true}, ""},
		"an unknown mode":             {server.Config{Auth: "maybe"}, "auth: \"maybe\" is not one of auto, on, off"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.cfg.Advertise = "192.0.2.1"
			_, err := tt.cfg.WithDefaults()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("WithDefaults() = %v, want %q", err, tt.want)
			}
		})
	}
}

// An etcd elsewhere that is asked in the clear is told of, and does not need to be allowed.
func TestEtcdInPlainIsToldOf(t *testing.T) {
	for url, want := range map[string]string{"http://192.0.2.1:2379": "etcd is asked without TLS", "https://192.0.2.1:2379": "", "http://127.0.0.1:2379": "", "http://localhost:2379": "", "192.0.2.1:2379": "etcd is asked without TLS", "etcd.example.org:2379": "etcd is asked without TLS", "127.0.0.1:2379": "", "localhost:2379": "", "[::1]:2379": ""} {
		cfg, err := server.Config{HTTP: "127.0.0.1:8848", Etcd: server.Etcd{URLs: []string{url}}}.WithDefaults()
		if err != nil {
			t.Errorf("WithDefaults() with %s = %v", url, err)
		}
		if got := strings.Join(server.Exposures(cfg), ", "); got != want {
			t.Errorf("with %s lies open: %q, want %q", url, got, want)
		}
	}
}

// What lies open is said by the status for as long as it does.
func TestStatusTellsWhatLiesOpen(t *testing.T) {
	s, _ := startAt(t, server.Config{HTTP: "0.0.0.0:0", Advertise: "127.0.0.1", Auth: server.AuthOff, Insecure: true})
	if got := strings.Join(s.Status().Insecure, ", "); got != "nobody has to log in, there is no TLS" {
		t.Errorf("insecure = %q, want both", got)
	}
	if got := running(t).Status().Insecure; got != nil {
		t.Errorf("insecure on loopback = %q, want nothing", got)
	}
}
