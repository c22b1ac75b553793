package server_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server"
)

func TestChecksSettings(t *testing.T) {
	for want, c := range map[string]server.Checks{
		"in_flight: -1":       {InFlight: -1},
		"in_flight: 20000":    {InFlight: 20000},
		`allow: "everything"`: {Allow: []string{"everything"}},
		`deny: "10.0.0.1:"`:   {Deny: []string{"10.0.0.1:"}},
	} {
		if _, err := (server.Config{Checks: c}).WithDefaults(); err == nil || !strings.Contains(err.Error(), "checks: "+want) {
			t.Errorf("%+v: %v, want an error with %q", c, err, want)
		}
	}
	if _, err := (server.Config{Checks: server.Checks{Allow: []string{"10.0.0.0/8", "2001:db8::1"}, Deny: []string{"10.1.0.0/16", "[::1]:22"}}}).WithDefaults(); err != nil {
		t.Error(err)
	}
}

// What is taken for a check can be tried: one that cannot would keep its instances
// unhealthy whatever they do.
func TestChecksThatAreTakenCanBeTried(t *testing.T) {
	header := func(name, value string) registry.HealthCheck {
		return registry.HealthCheck{Kind: registry.CheckHTTP, Headers: map[string]string{name: value}}
	}
	path := func(p string) registry.HealthCheck { return registry.HealthCheck{Kind: registry.CheckHTTP, Path: p} }
	for _, c := range []registry.HealthCheck{
		header("X-A~!", "b\tc ä"), header("A b", "c"), header("A", "\x00"), header("A", "b\x7f"), header("A:", "b"), header("ä", "b"), header("", "b"),
		path("/a?b=c#d"), path("/a b"), path("/%zz"), path("/a\nb"), path("/\x7f"), path("//b@c:d/"), path("/\u00e4"),
		{Kind: registry.CheckMySQL, Command: strings.Repeat("c", 1024)}, {Kind: registry.CheckMySQL, Command: strings.Repeat("c", 1025)},
		{Kind: registry.CheckGRPC, Service: "s", TLS: true}, {Kind: registry.CheckRedis, User: "u", Password: "p", TLS: true},
		{Kind: registry.CheckTCP, Port: 1, Interval: time.Hour, Timeout: time.Hour, Rise: 100, Fall: 100},
	} {
		for _, host := range []string{"192.0.2.1", "2001:db8::1", "db.example.net"} {
			taken, tried := c.Validate(), server.CanTry(registry.Endpoint{Host: host, Port: 80}, c)
			if (taken == nil) != (tried == nil) {
				t.Errorf("%+v at %s: Validate() = %v, and it is tried with %v", c, host, taken, tried)
			}
		}
	}
}

// A persistent instance registered the Nacos way is checked by TCP, and flips
// when its port closes.
func TestPersistentInstancesAreChecked(t *testing.T) {
	t.Parallel()
	s, _ := start(t, server.Config{})
	up, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	at := up.Addr().(*net.TCPAddr).AddrPort()
	k := registry.ServiceKey{Namespace: "public", Group: "DEFAULT_GROUP", Name: "db"}
	register(t, s, k, at, registry.HealthCheck{Kind: registry.CheckTCP, Interval: time.Second, Rise: 2, Fall: 2})
	wait(t, s, k, at, "healthy while it listens", func(i *registry.Instance) bool { return i.Healthy && !i.Failing })
	up.Close()
	wait(t, s, k, at, "failing after it closed", func(i *registry.Instance) bool { return !i.Healthy && i.Failing })
}

// Whoever registers an instance does not get the server to call its own API, or
// what gives a cloud's secrets away.
func TestChecksDoNotReachWhatTheyShouldNot(t *testing.T) {
	t.Parallel()
	probed := make(chan string, 10)
	denied := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { probed <- r.URL.Path }))
	defer denied.Close()
	s, _ := start(t, server.Config{Checks: server.Checks{Deny: []string{denied.Listener.Addr().String()}}})
	k := registry.ServiceKey{Namespace: "public", Group: "DEFAULT_GROUP", Name: "spy"}
	for _, to := range []string{s.Addresses().HTTP, denied.Listener.Addr().String(), "169.254.169.254:80"} {
		at := netip.MustParseAddrPort(to)
		register(t, s, k, at, registry.HealthCheck{Kind: registry.CheckHTTP, Path: "/v1/status", Interval: time.Second, Rise: 1, Fall: 1})
		wait(t, s, k, at, "failing", func(i *registry.Instance) bool { return i.Failing })
	}
	select {
	case path := <-probed:
		t.Errorf("what is denied was asked for %s", path)
	default:
	}
}

// register registers a persistent instance in a cluster with a check.
func register(t *testing.T, s *server.Server, k registry.ServiceKey, at netip.AddrPort, check registry.HealthCheck) {
	t.Helper()
	c := dial(t, s)
	if _, err := c.Register(t.Context(), client.Name{Name: k.Name}, api.Instance{Address: at.Addr().String(), Port: at.Port()}); err != nil {
		t.Fatal(err)
	}
	if err := server.SetCheck(t.Context(), s, k, check); err != nil {
		t.Fatal(err)
	}
}

// wait waits until an instance is as it should be.
func wait(t *testing.T, s *server.Server, k registry.ServiceKey, at netip.AddrPort, what string, ok func(*registry.Instance) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	key := registry.InstanceKey{Service: k, Endpoint: registry.Endpoint{Host: at.Addr().String(), Port: at.Port()}}
	if !s.Await(ctx, func(snap *registry.Snapshot) bool { i := snap.Instance(key); return i != nil && ok(i) }) {
		t.Errorf("%s is not %s", key, what)
	}
}
