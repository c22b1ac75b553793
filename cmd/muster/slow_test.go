package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/musterhq/muster/test/binary"
)

// slowCaller is somebody who opens connections and does as little as possible.
type slowCaller struct {
	name   string
	begins string        // what is said at the begin of each connection
	every  time.Duration // another byte follows so often; 0: nothing does
	within time.Duration // of the begin it is closed at the latest
	greets bool          // over TLS the handshake is done before
}

const (
	// files is how many the server may have open, of which seven in eight are for
	// connections.
	files = 512
	// slowCallers is how many connections there are of each kind: more than there is
	// room for.
	slowCallers = 600
	// slowMemory is what the server may take more than before.
	slowMemory = 128 << 20
)

var slowly = []slowCaller{
	{"says nothing", "", 0, 10 * time.Second, false},
	{"half a handshake", "\x16\x03\x01\x02\x00\x01", 0, 10 * time.Second, false},
	{"half a header", "GET /livez HTTP/1.1\r\nHost: localhost\r\nX-A: ", 2 * time.Second, 10 * time.Second, true},
	{"half a body", "POST /nacos/v1/ns/instance HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\n", 2 * time.Second, 12 * time.Second, true},
	{"half a large body", "POST /nacos/v1/cs/configs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1073741824\r\n\r\na", 10 * time.Second, 2*time.Minute + 10*time.Second, true},
}

// Who is slow, says nothing, or never comes to an end holds a connection for some
// seconds and nobody else up, in the clear and over TLS, and costs little memory.
func TestSlowCallers(t *testing.T) {
	t.Parallel()
	program, err := binary.Build(t.Context(), "../..", t.TempDir()) // as it is used: its memory is judged
	if err != nil {
		t.Fatal(err)
	}
	a := newAuthority(t)
	cert, key := a.issue(t, "server")
	for _, tt := range []struct {
		name string
		args []string
	}{
		{"in the clear", nil},
		{"over TLS", []string{"--tls-cert", cert, "--tls-key", key}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := limited(newServer(t, t.TempDir(), tt.args...), program)
			s.start()
			t.Cleanup(s.stop)
			before := s.resident()
			secure := len(tt.args) > 0
			var callers []*slowConns
			for _, kind := range slowly {
				if kind.begins == slowly[1].begins && !secure {
					continue
				}
				callers = append(callers, kind.call(t, s.http, secure))
				s.servesAnew(t, kind.name)
			}
			if took := s.resident() - before; took > slowMemory {
				t.Errorf("the server took %d MiB more for them, want at most %d", took>>20, slowMemory>>20)
			}
			for _, c := range callers {
				if c.kind.within < time.Minute || os.Getenv("MUSTER_LONG") != "" {
					c.ended(t)
				}
			}
			s.servesAnew(t, "the end of all of them")
		})
	}
}

// limited has a server run a program with few files.
func limited(s *serverProcess, program string) *serverProcess {
	s.args = append([]string{"-c", fmt.Sprintf(`ulimit -n %d; exec "$0" "$@"`, files), program}, s.args...)
	s.program = "sh"
	return s
}

// servesAnew asks over new connections, as honest clients that come now do.
func (s *serverProcess) servesAnew(t *testing.T, beside string) {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // the caller is tested, not the server
	c := &http.Client{Transport: transport, Timeout: time.Minute}
	for range 5 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url()+"/v1/services", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Do(r)
		if err != nil {
			t.Errorf("an honest client beside %s: %v", beside, err)
			return
		}
		_, _ = io.Copy(io.Discard, resp.Body) // the status says it
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("an honest client beside %s: %s", beside, resp.Status)
		}
	}
}

// slowConns are the connections of slow callers of one kind.
type slowConns struct {
	kind  slowCaller
	began time.Time
	all   sync.WaitGroup
	stay  sync.Map // those that were not closed in time
}

// call opens the connections and keeps them going.
func (k slowCaller) call(t *testing.T, address string, secure bool) *slowConns {
	t.Helper()
	all := &slowConns{kind: k, began: time.Now()}
	for i := range slowCallers {
		c, err := k.dial(t, address, secure)
		if err != nil {
			continue // it was displaced at once
		}
		all.all.Go(func() {
			defer c.Close()
			if k.stays(c) {
				all.stay.Store(i, true)
			}
		})
	}
	return all
}

func (k slowCaller) dial(t *testing.T, address string, secure bool) (net.Conn, error) {
	t.Helper()
	d := &net.Dialer{Timeout: 10 * time.Second}
	c, err := d.DialContext(t.Context(), "tcp", address)
	if err == nil && secure && k.greets {
		over := tls.Client(c, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the caller is tested, not the server
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))          // a fresh connection takes one
		err = over.HandshakeContext(t.Context())
		_ = c.SetDeadline(time.Time{})
		c = over
	}
	if err == nil {
		_, err = io.WriteString(c, k.begins)
	}
	return c, err
}

// patience is what a busy machine is given on top of every bound.
const slowPatience = 30 * time.Second

// stays reports whether the connection is open when it has had its time.
func (k slowCaller) stays(c net.Conn) bool {
	end := time.Now().Add(k.within + slowPatience)
	step := k.every
	if step == 0 {
		step = k.within + slowPatience
	}
	b := make([]byte, 512)
	for time.Now().Before(end) {
		_ = c.SetReadDeadline(time.Now().Add(step)) // an open connection takes one
		_, err := c.Read(b)
		switch {
		case err == nil:
			continue // it is told why, and then closed
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return false
		case k.every == 0:
			continue
		}
		if _, err := io.WriteString(c, "a"); err != nil {
			return false
		}
	}
	return true
}

// ended waits until the connections are closed, and demands that all are in time.
func (s *slowConns) ended(t *testing.T) {
	t.Helper()
	s.all.Wait()
	left := 0
	s.stay.Range(func(any, any) bool { left++; return true })
	if left > 0 {
		t.Errorf("%d connections of who %s stay open, want none", left, s.kind.name)
	}
	t.Logf("%s: over after %v", s.kind.name, time.Since(s.began).Round(time.Second))
}
