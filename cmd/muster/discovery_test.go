package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/musterhq/muster/internal/freeport"
	"github.com/musterhq/muster/internal/peer"
)

// app is an application with a health check.
type app struct {
	*httptest.Server
	addr    netip.AddrPort
	passing atomic.Bool
	once    sync.Once
	passed  chan time.Time // when a check passed for the first time
}

func startApp(t *testing.T) *app {
	t.Helper()
	a := &app{passed: make(chan time.Time, 1)}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !a.passing.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		a.once.Do(func() { a.passed <- time.Now() })
	}))
	t.Cleanup(a.kill)
	a.addr = netip.MustParseAddrPort(a.Listener.Addr().String())
	return a
}

// kill closes the app's connections and address at once, as its end would.
func (a *app) kill() {
	a.Listener.Close()
	a.CloseClientConnections()
	a.Close()
}

// The timeouts of the app's instance, short ones that the tests can wait for.
const (
	checkInterval  = time.Second
	unhealthyAfter = 6 * time.Second
	removedAfter   = 9 * time.Second
	beatInterval   = time.Second
	// tolerance is how late a verdict may be seen, if the machine has nothing else to do.
	tolerance = 2 * time.Second
)

const orderAPI = `services:
  - name: order-api
    address: %[1]s
    port: %[2]d
    weight: 3
    metadata:
      protocol: http
      preserved.heart.beat.interval: "1000"
      preserved.heart.beat.timeout: "6000"
      preserved.ip.delete.timeout: "9000"
    checks:
      - http: http://%[1]s:%[2]d/healthz
        interval: 1s
        timeout: 10s
        fall: 1
`

// field is a server, an agent and an app that the agent registers.
type field struct {
	*serverProcess
	agent *agentProcess
	app   *app
	want  string // of the app in an SRV answer
}

// newField returns a field whose app does not pass its check yet.
func newField(t *testing.T) *field {
	t.Helper()
	f := &field{serverProcess: newServer(t, t.TempDir()), app: startApp(t)}
	f.want = "0 3000 " + f.app.addr.String()
	f.start()
	t.Cleanup(f.stop)
	f.agent = newAgent(t, t.TempDir(), f.url())
	f.agent.define("order-api.yaml", fmt.Sprintf(orderAPI, f.app.addr.Addr(), f.app.addr.Port()))
	f.agent.start()
	t.Cleanup(f.agent.stop)
	eventually(t, time.Minute, "the app is registered, unhealthy", func() bool {
		hosts := f.hosts("order-api")
		return len(hosts) == 1 && !hosts[0].Healthy
	})
	return f
}

// pass lets the app pass its checks and waits until DNS answers it.
func (f *field) pass(t *testing.T) {
	t.Helper()
	if at, err := located(f.dns, "order-api"); err != nil || len(at) > 0 {
		t.Fatalf("SRV before the first passing check = %q, %v, want none", at, err)
	}
	f.app.passing.Store(true)
	first := <-f.app.passed
	eventually(t, promptly(time.Second), "the app is in DNS", func() bool { return isLocated(f.dns, "order-api", f.want) })
	t.Logf("in DNS %v after the first passing check", time.Since(first))
	if took, most := time.Since(first), promptly(time.Second); took > most {
		t.Errorf("in DNS %v after the first passing check, want at most %v", took, most)
	}
}

func TestServiceOfAgentIsResolved(t *testing.T) {
	f := newField(t)
	f.pass(t)
	const name = "order-api" + zone
	host, port, err := net.SplitHostPort(f.dns)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("a DNS message", func(t *testing.T) {
		for _, network := range []string{"udp", "tcp"} {
			m := new(dns.Msg).SetQuestion(name, dns.TypeA)
			reply, _, err := (&dns.Client{Net: network}).ExchangeContext(t.Context(), m, f.dns)
			if err != nil || !reply.Authoritative || !slices.Equal(addressesIn(reply), []string{"127.0.0.1"}) {
				t.Errorf("A over %s = %v, %v, want 127.0.0.1 with authority", network, reply, err)
			}
		}
	})
	t.Run("dig", func(t *testing.T) {
		for qtype, want := range map[string]string{
			"A": "127.0.0.1", "SRV": fmt.Sprintf("0 3000 %d ip-127-0-0-1.addr.muster.internal.", f.app.addr.Port()),
		} {
			out, err := exec.CommandContext(t.Context(), peer.Path(t, "dig"), "@"+host, "-p", port, qtype, name, "+short").CombinedOutput()
			if err != nil || string(out) != want+"\n" {
				t.Errorf("dig %s = %q, %v, want %q", qtype, out, err, want)
			}
		}
	})
	t.Run("Go's resolver", func(t *testing.T) { resolveWithGo(t, f, f.dns) })
	t.Run("unbound with a stub zone", func(t *testing.T) { resolveWithGo(t, f, startUnbound(t, f.dns)) })
}

// resolveWithGo asks the DNS server at addr as Go programs do.
func resolveWithGo(t *testing.T, f *field, addr string) {
	t.Helper()
	const name = "order-api" + zone
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}}
	want := []*net.SRV{{Target: "ip-127-0-0-1.addr.muster.internal.", Port: f.app.addr.Port(), Weight: 3000}}
	for _, c := range []struct{ service, proto, name string }{
		{name: name},
		{"order-api", "tcp", "svc.muster.internal."},
		{"http", "tcp", name},
	} {
		_, got, err := r.LookupSRV(t.Context(), c.service, c.proto, c.name)
		if err != nil {
			t.Errorf("LookupSRV(%q, %q, %q): %v", c.service, c.proto, c.name, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("LookupSRV(%q, %q, %q) (-want +got):\n%s", c.service, c.proto, c.name, diff)
		}
	}
	for _, name := range []string{name, want[0].Target} {
		got, err := r.LookupNetIP(t.Context(), "ip4", name)
		if err != nil || len(got) != 1 || got[0].Unmap() != f.app.addr.Addr() {
			t.Errorf("LookupNetIP(%s) = %v, %v, want %v", name, got, err, f.app.addr.Addr())
		}
	}
	if got, err := r.LookupNetIP(t.Context(), "ip", "nobody"+zone); !isNotFound(err) {
		t.Errorf("LookupNetIP of an unknown service = %v, %v, want not found", got, err)
	}
}

func isNotFound(err error) bool {
	e, ok := err.(*net.DNSError) //nolint:errorlint // the resolver returns it as it is
	return ok && e.IsNotFound
}

// unboundConf makes a resolver of the zone out of unbound, as docs tell to,
// without the rights and folders of a system service.
const unboundConf = `server:
  interface: 127.0.0.1
  port: %[1]s
  directory: "%[2]s"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  logfile: ""
  do-not-query-localhost: no
  module-config: "iterator"
  root-hints: ""
remote-control:
  control-enable: no
stub-zone:
  name: "muster.internal."
  stub-addr: %[3]s
`

// startUnbound starts a resolver that asks the DNS server at addr for its
// zone, and returns its address.
func startUnbound(t *testing.T, addr string) string {
	t.Helper()
	program := peer.Path(t, "unbound")
	port, err := freeport.Keep("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	conf := fmt.Sprintf(unboundConf, fmt.Sprint(port), dir, strings.Replace(addr, ":", "@", 1))
	path := filepath.Join(dir, "unbound.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	p := process{t: t, program: program, args: []string{"-d", "-c", path}}
	p.start()
	t.Cleanup(p.stop)
	at := net.JoinHostPort("127.0.0.1", fmt.Sprint(port))
	p.await("answer", func() bool {
		reply, err := exchange(at, "muster.internal.", dns.TypeSOA)
		return err == nil && reply.Rcode == dns.RcodeSuccess
	})
	return at
}

func TestKilledAppLeavesDNS(t *testing.T) {
	f := newField(t)
	f.pass(t)
	f.app.kill()
	killed := time.Now()
	eventually(t, promptly(checkInterval+time.Second), "the app is gone from DNS", func() bool { return isLocated(f.dns, "order-api") })
	t.Logf("gone from DNS %v after its end", time.Since(killed))
	if hosts := f.hosts("order-api"); len(hosts) != 1 || hosts[0].Healthy {
		t.Errorf("list after the app's end = %+v, want it unhealthy", hosts)
	}
}

// What of an agent that ends: its instances are unhealthy and then removed at
// the times their metadata says.
func TestKilledAgentIsJudged(t *testing.T) {
	f := newField(t)
	f.pass(t)
	beat := f.agent.awaitBeat(t) // the last one, or the last but one
	f.agent.kill()
	// It was heard a moment before the agent knew of it.
	gone := during(t, beat, unhealthyAfter-beatInterval, unhealthyAfter+beatInterval, "gone from DNS", func() bool {
		return isLocated(f.dns, "order-api")
	})
	if hosts := f.hosts("order-api"); len(hosts) != 1 || hosts[0].Healthy {
		t.Errorf("list %v after the agent's end = %+v, want one unhealthy", gone, hosts)
	}
	during(t, beat, removedAfter-beatInterval, removedAfter+beatInterval, "removed", func() bool { return len(f.hosts("order-api")) == 0 })
}

// awaitBeat waits for a beat of the agent and returns when it was answered.
func (a *agentProcess) awaitBeat(t *testing.T) (at time.Time) {
	t.Helper()
	from := time.Now()
	eventually(t, time.Minute, "another beat", func() bool {
		s, err := askAgent(t.Context(), a.http)
		at = s.Server.Reached
		return err == nil && at.After(from)
	})
	return at
}

// during waits until ok is true, which must be from earliest to latest after
// began, with tolerance.
func during(t *testing.T, began time.Time, earliest, latest time.Duration, what string, ok func() bool) (took time.Duration) {
	t.Helper()
	eventually(t, time.Until(began.Add(latest))+promptly(tolerance), what, ok)
	took = time.Since(began)
	t.Logf("%s after %v", what, took)
	if took < earliest-100*time.Millisecond {
		t.Errorf("%s after %v, want no sooner than %v", what, took, earliest)
	}
	return took
}

// An agent that is back within its instances' timeouts was never away.
func TestRestartedAgentGoesUnnoticed(t *testing.T) {
	f := newField(t)
	f.pass(t)
	f.agent.kill()
	killed := time.Now()
	back := false
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	asked := 0
	for now := range tick.C {
		asked++
		if at, err := located(f.dns, "order-api"); err != nil || !slices.Equal(at, []string{f.want}) {
			t.Fatalf("SRV %v after the agent's end = %q, %v, want %q as before", time.Since(killed), at, err, f.want)
		}
		if reply, err := exchange(f.dns, "order-api"+zone, dns.TypeA); err != nil || !slices.Equal(addressesIn(reply), []string{"127.0.0.1"}) {
			t.Fatalf("A %v after the agent's end = %v, %v, want as before", time.Since(killed), reply, err)
		}
		if since := now.Sub(killed); since > time.Second && !back {
			back = true
			f.agent.process.start() // waits for nothing: the questions go on
		} else if since > removedAfter+tolerance {
			break
		}
	}
	t.Logf("%d times the same answer", asked)
}
