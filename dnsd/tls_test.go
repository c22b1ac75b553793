package dnsd_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coredns/coredns/pb"
	"github.com/miekg/dns"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/musterhq/muster/dnsd"
	"github.com/musterhq/muster/internal/authority"
)

// secured is a CoreDNS server of a scheme with a certificate of its own authority.
type secured struct {
	authority *authority.Authority
	cert, key string // files
	server    *dnsd.Server
	corefile  []byte
	addr      string
}

func openSecured(t *testing.T, scheme, tail string, cfg dnsd.Config) *secured {
	t.Helper()
	a, err := authority.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := &secured{authority: a, addr: "127.0.0.1:" + freePort(t)}
	s.issue(t)
	_, port, _ := net.SplitHostPort(s.addr)
	s.corefile = []byte(scheme + "://.:" + port + " {\n bind 127.0.0.1\n tls " + s.cert + " " + s.key + "\n" + tail + "\n}")
	cfg.Corefile = s.corefile
	if s.server, err = dnsd.Open(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.server.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	})
	return s
}

// issue puts a new certificate in the place of the one before.
func (s *secured) issue(t *testing.T) {
	t.Helper()
	var err error
	if s.cert, s.key, err = s.authority.Issue("dns", "127.0.0.1", time.Hour); err != nil {
		t.Fatal(err)
	}
}

// serial is the number of the certificate in the file.
func (s *secured) serial(t *testing.T) string {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(s.cert, s.key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return leaf.SerialNumber.String()
}

// client trusts the authority. It notes the serial of the certificate it is shown.
func (s *secured) client(t *testing.T, seen *string, protocols ...string) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(s.authority.File)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return &tls.Config{
		RootCAs: roots, ServerName: "127.0.0.1", NextProtos: protocols,
		VerifyConnection: func(state tls.ConnectionState) error {
			if seen != nil {
				*seen = state.PeerCertificates[0].SerialNumber.String()
			}
			return nil
		},
	}
}

// transport asks one question over a new connection, and returns the answer with the
// serial of the server's certificate.
type transport struct {
	name, scheme, network string
	ask                   func(t *testing.T, s *secured, query []byte) (answer []byte, serial string)
}

var transports = []transport{
	{"DoT", "tls", "tcp", askTLS},
	{"DoH by POST", "https", "tcp", func(t *testing.T, s *secured, query []byte) ([]byte, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+s.addr+"/dns-query", bytes.NewReader(query))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/dns-message")
		return askHTTPS(t, s, req)
	}},
	{"DoH by GET", "https", "tcp", func(t *testing.T, s *secured, query []byte) ([]byte, string) {
		t.Helper()
		url := "https://" + s.addr + "/dns-query?dns=" + base64.RawURLEncoding.EncodeToString(query)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		return askHTTPS(t, s, req)
	}},
	{"DoQ", "quic", "udp", askQUIC},
	{"gRPC", "grpc", "tcp", askGRPC},
}

func askTLS(t *testing.T, s *secured, query []byte) (answer []byte, serial string) {
	t.Helper()
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: time.Minute}, Config: s.client(t, &serial)}
	conn, err := d.DialContext(t.Context(), "tcp", s.addr)
	if err != nil {
		t.Fatalf("dial = %v", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return exchangeFramed(t, conn, query), serial
}

// exchangeFramed sends a query behind its length and reads an answer like that.
func exchangeFramed(t *testing.T, conn io.ReadWriter, query []byte) []byte {
	t.Helper()
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...)); err != nil {
		t.Fatalf("send = %v", err)
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		t.Fatalf("read the length of the answer = %v", err)
	}
	answer := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, answer); err != nil {
		t.Fatalf("read the answer = %v", err)
	}
	return answer
}

func askHTTPS(t *testing.T, s *secured, req *http.Request) (answer []byte, serial string) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: s.client(t, &serial), ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	c := &http.Client{Transport: transport, Timeout: time.Minute}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatalf("%s = %v", req.Method, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 || resp.Header.Get("Content-Type") != "application/dns-message" {
		t.Errorf("%s = %s %s of %s, want 200 over HTTP/2", req.Method, resp.Proto, resp.Status, resp.Header.Get("Content-Type"))
	}
	if answer, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	return answer, serial
}

func askHTTP3(t *testing.T, s *secured, query []byte) (answer []byte, serial string) {
	t.Helper()
	transport := &http3.Transport{TLSClientConfig: s.client(t, &serial)}
	defer transport.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+s.addr+"/dns-query", bytes.NewReader(query))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/dns-message")
	resp, err := (&http.Client{Transport: transport, Timeout: time.Minute}).Do(req)
	if err != nil {
		t.Fatalf("POST = %v", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 3 {
		t.Errorf("POST = %s %s, want 200 over HTTP/3", resp.Proto, resp.Status)
	}
	if answer, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	return answer, serial
}

func askQUIC(t *testing.T, s *secured, query []byte) (answer []byte, serial string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, err := quic.DialAddr(ctx, s.addr, s.client(t, &serial, "doq"), nil)
	if err != nil {
		t.Fatalf("dial = %v", err)
	}
	defer func() { _ = conn.CloseWithError(0, "") }()
	str, err := conn.OpenStreamSync(ctx)
	if err != nil {
		t.Fatalf("open a stream = %v", err)
	}
	if err := str.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	query = bytes.Clone(query)
	query[0], query[1] = 0, 0 // RFC 9250 4.2.1
	answer = exchangeFramed(t, str, query)
	return answer, serial
}

func askGRPC(t *testing.T, s *secured, query []byte) (answer []byte, serial string) {
	t.Helper()
	conn, err := grpc.NewClient(s.addr, grpc.WithTransportCredentials(credentials.NewTLS(s.client(t, &serial))))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	packet, err := pb.NewDnsServiceClient(conn).Query(ctx, &pb.DnsPacket{Msg: query})
	if err != nil {
		t.Fatalf("query = %v", err)
	}
	return packet.GetMsg(), serial
}

// rcode is that of an answer that can be read.
func rcode(t *testing.T, answer []byte) string {
	t.Helper()
	var m dns.Msg
	if err := m.Unpack(answer); err != nil || !m.Response {
		t.Fatalf("answer = %x, %v", answer, err)
	}
	return dns.RcodeToString[m.Rcode]
}

func TestCertificateChangesAtReload(t *testing.T) {
	query, err := question("a.", dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			leavesNothing(t)
			// A QUIC connection whose end got lost at the reload is there until it is idle.
			s := openSecured(t, tr.scheme, " timeouts {\n idle 1s\n }\n whoami", dnsd.Config{})
			answer, first := tr.ask(t, s, query)
			if got := rcode(t, answer); got != "NOERROR" {
				t.Errorf("answer = %s", got)
			}
			if want := s.serial(t); first != want {
				t.Errorf("certificate = %s, want %s", first, want)
			}
			s.issue(t)
			if _, got := tr.ask(t, s, query); got != first {
				t.Errorf("certificate before the reload = %s, want still %s", got, first)
			}
			if err := s.server.Reload(s.corefile); err != nil {
				t.Fatalf("Reload() = %v", err)
			}
			if _, got := tr.ask(t, s, query); got != s.serial(t) {
				t.Errorf("certificate after the reload = %s, want %s", got, s.serial(t))
			}
			if _, err := dnsd.Open(dnsd.Config{Corefile: s.corefile}); err == nil || !strings.Contains(err.Error(), "already in use ("+tr.network+")") {
				t.Errorf("second Open() = %v, want the address in use", err)
			}
			// A key that does not fit, and a file that is none, change nothing.
			want := s.serial(t)
			for _, content := range []string{"", "no key"} {
				if err := os.WriteFile(s.key, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := s.server.Reload(s.corefile); err == nil || !strings.Contains(err.Error(), "plugin/tls") {
					t.Errorf("Reload() with key %q = %v, want an error of plugin/tls", content, err)
				}
				if _, got := tr.ask(t, s, query); got != want {
					t.Errorf("certificate = %s, want the old one %s", got, want)
				}
			}
			if got := s.server.Addrs(); len(got) != 0 {
				t.Errorf("Addrs() = %v, want none for %s://", got, tr.scheme)
			}
		})
	}
}

// What comes over a stream is answered whole, also where the stream is one of QUIC, and
// also to who does not tell how large a datagram may be.
func TestSecuredAnswersAreWhole(t *testing.T) {
	query, err := question("a.", dns.TypeTXT).Pack()
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat(" "+strings.Repeat("x", 200), 10)
	for _, tr := range append(slices.Clone(transports), transport{"DoH over HTTP/3", "https3", "udp", askHTTP3}) {
		t.Run(tr.name, func(t *testing.T) {
			s := openSecured(t, tr.scheme, " template IN TXT {\n answer \"{{ .Name }} 5 IN TXT"+text+"\"\n }", dnsd.Config{})
			answer, _ := tr.ask(t, s, query)
			var m dns.Msg
			if err := m.Unpack(answer); err != nil || m.Truncated || len(m.Answer) != 1 {
				t.Errorf("answer of %d octets: %v, TC %t, %d records, want one that is whole", len(answer), err, m.Truncated, len(m.Answer))
			}
		})
	}
}

func TestSecuredSocketsRefuseNobodyDuringReloads(t *testing.T) {
	for _, scheme := range []string{"tls", "https", "grpc"} {
		t.Run(scheme, func(t *testing.T) {
			s := openSecured(t, scheme, " whoami", dnsd.Config{})
			done, stopped := make(chan struct{}), make(chan int)
			go func() {
				dials := 0
				defer func() { stopped <- dials }()
				for {
					select {
					case <-done:
						return
					default:
					}
					conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.addr)
					if err != nil {
						t.Errorf("dial during a reload = %v", err)
						return
					}
					conn.Close()
					dials++
				}
			}()
			for range 5 {
				if err := s.server.Reload(s.corefile); err != nil {
					t.Errorf("Reload() = %v", err)
				}
			}
			close(done)
			t.Logf("%d connections during 5 reloads", <-stopped)
		})
	}
}

func TestCloseCutsSecuredConnectionsAfterTheBound(t *testing.T) {
	leavesNothing(t)
	h := &hold{arrived: make(chan struct{}), release: make(chan struct{})}
	s := openSecured(t, "tls", " muster", dnsd.Config{Drain: 50 * time.Millisecond, Storage: map[any]any{holdKey{}: h}})
	d := tls.Dialer{Config: s.client(t, nil)}
	conn, err := d.DialContext(t.Context(), "tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := (&dns.Conn{Conn: conn}).WriteMsg(question("held.", dns.TypeTXT)); err != nil {
		t.Fatal(err)
	}
	<-h.arrived
	if err := s.server.Close(); err != nil {
		t.Errorf("Close() = %v", err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read after Close() = %v, want the end of the connection", err)
	}
	close(h.release)
}

// TestHandlersHearOfBadSignatures is about what CoreDNS does at its own servers: a
// handler that takes a nil status for a good signature must never see one for a
// bad signature, whatever the transport.
func TestHandlersHearOfBadSignatures(t *testing.T) {
	signed := func(key, secret string, at time.Time) []byte {
		m := question("a.", dns.TypeTXT).SetTsig(key, dns.HmacSHA256, 300, at.Unix())
		m.Id = 0 // as DoQ wants it
		wire, _, err := dns.TsigGenerate(m, secret, "", false)
		if err != nil {
			t.Fatal(err)
		}
		return wire
	}
	now := time.Now()
	tampered := signed("key.", secret, now)
	tampered[13] ^= 1 // a letter of the question
	unverified := signed("key.", secret, now)
	unverified = append(unverified[:len(unverified)-6-32], unverified[len(unverified)-6:]...) // no MAC left
	binary.BigEndian.PutUint16(unverified[len(unverified)-8:], 0)
	shorten(unverified, 32)
	type query struct {
		wire []byte
		good bool
	}
	queries := map[string]query{
		"right":       {signed("key.", secret, now), true},
		"wrong key":   {signed("key.", wrong, now), false},
		"unknown key": {signed("other.", secret, now), false},
		"too old":     {signed("key.", secret, now.Add(-time.Hour)), false},
		"tampered":    {tampered, false},
		"without MAC": {unverified, false},
	}
	check := func(t *testing.T, queries map[string]query, statuses <-chan error, ask func(query []byte)) {
		t.Helper()
		for name, q := range queries {
			ask(q.wire)
			select {
			case status := <-statuses:
				if (status == nil) != q.good {
					t.Errorf("%s signature: status = %v", name, status)
				}
			default:
				t.Errorf("%s signature: the handler was not asked", name)
			}
		}
	}
	for name, tail := range map[string]string{"with the secret": " muster secret\n", "without secrets": " muster\n"} {
		queries := maps.Clone(queries)
		if name == "without secrets" {
			queries["right"] = query{queries["right"].wire, false} // nobody can tell
		}
		t.Run(name, func(t *testing.T) {
			for _, tr := range transports {
				t.Run(tr.name, func(t *testing.T) {
					statuses := make(chan error, 1)
					s := openSecured(t, tr.scheme, tail, dnsd.Config{Storage: map[any]any{signedKey{}: statuses}})
					check(t, queries, statuses, func(query []byte) { tr.ask(t, s, query) })
				})
			}
			for _, network := range []string{"udp", "tcp"} {
				t.Run(network, func(t *testing.T) {
					statuses := make(chan error, 1)
					_, addr := open(t, ".:PORT {\n bind 127.0.0.1\n"+tail+"}", dnsd.Config{Storage: map[any]any{signedKey{}: statuses}})
					check(t, queries, statuses, func(query []byte) { askPlain(t, network, addr, query) })
				})
			}
		})
	}
}

// shorten takes n off the length of the data of the last record, a TSIG of a key
// with a name of three letters.
func shorten(wire []byte, n uint16) {
	at := bytes.LastIndex(wire, []byte("\x03key\x00\x00\xfa\x00\xff")) + len("\x03key\x00\x00\xfa\x00\xff") + 4
	binary.BigEndian.PutUint16(wire[at:], binary.BigEndian.Uint16(wire[at:])-n)
}

// askPlain asks a dns:// address.
func askPlain(t *testing.T, network, addr string, query []byte) {
	t.Helper()
	conn, err := dial(t, network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if network == "tcp" {
		exchangeFramed(t, conn, query)
		return
	}
	if _, err := conn.Write(query); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1500)); err != nil {
		t.Fatal(fmt.Errorf("answer: %w", err))
	}
}
