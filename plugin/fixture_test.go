package plugin_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"

	muster "github.com/musterhq/muster/plugin"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/registry/registrytest"
)

// source is a roll in memory, whose state a test can change.
type source struct {
	*registry.Registry
	epoch   atomic.Uint32
	age     atomic.Int64
	unready atomic.Bool
}

func newSource() *source {
	return &source{Registry: registry.New(registrytest.NewStore(), &registrytest.Roll{})}
}

func (s *source) Epoch() uint32 { return s.epoch.Load() }

func (s *source) Stale() (time.Duration, bool) {
	age := time.Duration(s.age.Load())
	return age, age > 3*time.Second
}

func (s *source) Snapshot() *registry.Snapshot {
	if s.unready.Load() {
		return nil
	}
	return s.Registry.Snapshot()
}

func key(name string) registry.ServiceKey {
	return registry.ServiceKey{Namespace: registry.DefaultNamespace, Group: registry.DefaultGroup, Name: name}
}

// register adds an instance that is healthy and of weight 1 unless edit says otherwise.
func (s *source) register(tb testing.TB, k registry.ServiceKey, host string, port uint16, edit ...func(*registry.Registration)) {
	tb.Helper()
	r := registry.Registration{
		Key:    registry.InstanceKey{Service: k, Endpoint: registry.Endpoint{Host: host, Port: port}},
		Weight: 1, Enabled: true, Healthy: true,
	}
	for _, f := range edit {
		f(&r)
	}
	if _, err := s.Register(tb.Context(), r); err != nil {
		tb.Fatalf("register %s: %v", r.Key, err)
	}
}

func sick(r *registry.Registration)     { r.Healthy = false }
func disabled(r *registry.Registration) { r.Enabled = false }

func weight(w float64) func(*registry.Registration) {
	return func(r *registry.Registration) { r.Weight = w }
}

func in(cluster string) func(*registry.Registration) {
	return func(r *registry.Registration) { r.Cluster = cluster }
}

func meta(key, value string) func(*registry.Registration) {
	return func(r *registry.Registration) { r.Metadata = r.Metadata.Over(map[string]string{key: value}) }
}

// fixture is the roll that the acceptance cases are about.
func fixture(tb testing.TB) *source {
	tb.Helper()
	s := newSource()
	declare := func(k registry.ServiceKey, threshold float64) registry.ServiceKey {
		if _, err := s.CreateService(tb.Context(), k, registry.ServiceSpec{ProtectThreshold: threshold}); err != nil {
			tb.Fatalf("create %s: %v", k, err)
		}
		return k
	}
	api := key("order-api")
	s.register(tb, api, "10.0.0.1", 8080, in("bj"), meta("protocol", "http"), meta("version", "v1"))
	s.register(tb, api, "10.0.0.2", 8080, in("bj"), weight(3))
	s.register(tb, api, "10.0.0.3", 8080, in("sh"), weight(2))
	s.register(tb, api, "10.0.0.4", 8080, sick)
	s.register(tb, api, "10.0.0.5", 8080, weight(0))
	s.register(tb, api, "10.0.0.6", 8080, disabled)
	s.register(tb, key("v6only"), "2001:db8::1", 9000)
	s.register(tb, key("dual"), "10.0.1.1", 80)
	s.register(tb, key("dual"), "2001:db8::2", 80)
	s.register(tb, key("ext-db"), "db.example.net", 5432)
	s.register(tb, key("mixed"), "db.example.net", 5432)
	s.register(tb, key("mixed"), "10.0.3.1", 5432)
	for i := range 300 {
		// Addresses of one length: a random choice of them then always fits alike.
		s.register(tb, key("big"), fmt.Sprintf("10.1.%d.%d", i/90, i%90+10), 8080)
	}
	s.register(tb, key("twoports"), "10.0.2.1", 80)
	s.register(tb, key("twoports"), "10.0.2.1", 443)
	none := declare(key("sick"), 0)
	s.register(tb, none, "10.0.9.1", 80, sick)
	s.register(tb, none, "10.0.9.2", 80, sick)
	shaky := declare(key("shaky"), 0.5)
	s.register(tb, shaky, "10.0.10.1", 80)
	for i := 2; i <= 4; i++ {
		s.register(tb, shaky, fmt.Sprintf("10.0.10.%d", i), 80, sick)
	}
	declare(key("empty"), 0)
	s.register(tb, key("com.foo.Bar"), "10.0.4.1", 80)
	s.register(tb, key("com.foo.bar"), "10.0.4.2", 80)
	s.register(tb, key("providers:com.foo.DemoService:1.0:"), "10.0.5.1", 20880, meta("protocol", "dubbo"))
	s.register(tb, registry.ServiceKey{Namespace: "dev", Group: "PAY:V2", Name: "Order_API"}, "10.0.6.1", 8080)
	s.register(tb, registry.ServiceKey{Namespace: "dev", Group: registry.DefaultGroup, Name: "order-api"}, "10.0.8.1", 8080)
	if _, err := s.CreateService(tb.Context(), key("web"), registry.ServiceSpec{
		Metadata: map[string]string{"team": "a=b", "a=key": `c:\dir`, "long": strings.Repeat("x", 300), "": "no key"},
		DNS:      &registry.DNSOptions{TTL: new(uint32(60)), Topology: registry.TopologyPrefer},
	}); err != nil {
		tb.Fatal(err)
	}
	s.register(tb, key("web"), "10.0.12.1", 443, meta("alpn", "h2, http/1.1,"), meta("protocol", "https"), meta("zone", "eu-1"), meta("region", "eu"))
	s.register(tb, key("web"), "2001:db8::12", 8443, meta("alpn", "h3"), meta("zone", "us-1"), meta("region", "us"))
	s.register(tb, key("web"), "10.0.12.2", 80, meta("zone", "eu-2"), meta("region", "eu"))
	s.register(tb, key("alias"), "order-api.svc.muster.internal", 80)
	s.register(tb, key("loop"), "loop.svc.muster.internal", 80)
	s.register(tb, key("astray"), "nope.svc.muster.internal", 80)
	return s
}

const block = `muster muster.internal 10.in-addr.arpa 8.b.d.0.1.0.0.2.ip6.arpa {
	ns ns1.muster.internal 192.0.2.53
	locate 10.240.0.0/16 eu-1 eu
	locate 198.51.100.0/24 us-1 us
	locate 198.51.0.0/16 us-2 us
	trust_subnet 10.240.0.1 2001:db8:53::/48
}`

// load sets up the plugin as the server does. The configuration has it alone,
// for every zone.
func load(tb testing.TB, text string, s muster.Source) (*dnsserver.Config, error) {
	tb.Helper()
	setup, err := caddy.DirectiveAction("dns", "muster")
	if err != nil {
		tb.Fatal(err)
	}
	c := caddy.NewTestController("dns", text)
	if s != nil {
		c.Set(muster.StorageKey, s)
	}
	if err := setup(c); err != nil {
		return nil, err
	}
	cfg := dnsserver.GetConfig(c)
	cfg.Zone = "."
	return cfg, nil
}

// serve returns a CoreDNS server with the plugin. It listens nowhere: what it
// does to messages before and after the plugin is what counts.
func serve(tb testing.TB, text string, s muster.Source) *dnsserver.Server {
	tb.Helper()
	cfg, err := load(tb, text, s)
	if err != nil {
		tb.Fatal(err)
	}
	server, err := dnsserver.NewServer("dns://127.0.0.1:0", []*dnsserver.Config{cfg})
	if err != nil {
		tb.Fatal(err)
	}
	return server
}

// writer keeps the reply as it goes over the wire.
type writer struct {
	test.ResponseWriter
	wire []byte
	err  error
}

func (w *writer) WriteMsg(m *dns.Msg) error {
	w.wire, w.err = m.Pack()
	return w.err
}

// exchange asks the server, through the wire form both ways. It returns the
// reply and its size.
func exchange(tb testing.TB, server *dnsserver.Server, m *dns.Msg, tcp bool) (*dns.Msg, int) {
	tb.Helper()
	asked, reply := wired(tb, m), new(dns.Msg)
	ctx := context.WithValue(tb.Context(), dnsserver.Key{}, server)
	w := &writer{ResponseWriter: test.ResponseWriter{TCP: tcp}}
	server.ServeDNS(ctx, w, asked)
	if w.err != nil || w.wire == nil {
		tb.Fatalf("reply to %v: %d bytes, %v", m.Question, len(w.wire), w.err)
	}
	if err := reply.Unpack(w.wire); err != nil {
		tb.Fatalf("reply to %v: %v", m.Question, err)
	}
	return reply, len(w.wire)
}

// wired returns m as it comes out of the wire.
func wired(tb testing.TB, m *dns.Msg) *dns.Msg {
	tb.Helper()
	wire, err := m.Pack()
	if err != nil {
		tb.Fatal(err)
	}
	got := new(dns.Msg)
	if err := got.Unpack(wire); err != nil {
		tb.Fatal(err)
	}
	return got
}

// ask asks for one name of the zone, or one with a dot at the end.
func ask(name, qtype string) *dns.Msg {
	if !dns.IsFqdn(name) {
		name += ".muster.internal."
	}
	t, ok := dns.StringToType[qtype]
	if !ok {
		t = parseType(qtype)
	}
	return new(dns.Msg).SetQuestion(name, t)
}

func parseType(s string) (t uint16) {
	if _, err := fmt.Sscanf(s, "TYPE%d", &t); err != nil {
		panic("unknown type " + s)
	}
	return t
}
