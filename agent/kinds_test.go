package agent_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/musterhq/muster/api"
)

// listen returns a listener that ends with the test.
func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// cache answers AUTH and PING as a Redis server does that knows one password.
func cache(t *testing.T) (address string) {
	t.Helper()
	l := listen(t)
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			go func() {
				defer c.Close()
				b := make([]byte, 1024)
				n, _ := c.Read(b)
				if !bytes.Contains(b[:n], []byte("hunter2")) {
					_, _ = io.WriteString(c, "-NOAUTH Authentication required.\r\n")
					return
				}
				_, _ = io.WriteString(c, "+OK\r\n")
				_, _ = c.Read(b)
				_, _ = io.WriteString(c, "+PONG\r\n")
			}()
		}
	}()
	return l.Addr().String()
}

// record is a log that a test reads.
type record struct {
	mu sync.Mutex
	b  bytes.Buffer // under mu
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.String()
}

func TestChecksOfOtherKinds(t *testing.T) {
	h := newHost(t)
	log := &record{}
	h.cfg.Logger = slog.New(slog.NewJSONHandler(log, nil))
	l := listen(t)
	up, s := health.NewServer(), grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(s, up)
	go func() { _ = s.Serve(l) }()
	defer s.Stop()
	nobody := listen(t)
	nobody.Close()

	h.define("a.yaml", fmt.Sprintf(`
services:
  - {name: cached, port: 1, checks: [{redis: '%[1]s', password: hunter2, interval: 20ms, timeout: 10s}]}
  - {name: called, port: 2, checks: [{grpc: '%[2]s', interval: 20ms, timeout: 10s}]}
  - {name: locked, port: 3, checks: [{redis: '%[1]s', interval: 20ms, timeout: 10s}]}
  - {name: stored, port: 4, checks: [{mysql: '%[3]s', user: probe, password: hunter2, interval: 20ms, timeout: 10s}]}
`, cache(t), l.Addr(), nobody.Addr()))
	a := h.start()
	h.holds("cached:1=passing", "called:2=passing", "locked:3=critical", "stored:4=critical")
	up.Shutdown()
	h.holds("cached:1=passing", "called:2=critical", "locked:3=critical", "stored:4=critical")
	for _, i := range a.Status().Instances {
		want := map[string]string{"called": "wrong answer: NOT_SERVING", "locked": "wrong password: NOAUTH Authentication required.", "stored": "refused: "}[i.Service]
		if got := i.Checks[0].Error; !strings.HasPrefix(got, want) || (want == "") != (i.Health == api.HealthPassing) {
			t.Errorf("%s is %s because of %q, want %q", i.Service, i.Health, got, want)
		}
	}
	if shown := fmt.Sprintf("%s %+v", log, a.Status()); strings.Contains(shown, "hunter2") {
		t.Errorf("log and status show a password:\n%s", shown)
	}
}
