package zone_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/zone"
)

// roll collects changes of the records of a snapshot.
type roll []registry.Change

func (r *roll) put(rec registry.Record) {
	*r = append(*r, registry.Change{Key: rec.RecordKey(), Record: rec, Revision: 1})
}

// snapshot returns the one that follows was, and begins anew.
func (r *roll) snapshot(was *registry.Snapshot) *registry.Snapshot {
	revision := int64(1)
	if was != nil {
		revision = was.Revision() + 1
	}
	is := was.Apply(revision, *r)
	*r = nil
	return is
}

// service adds a service that owns its name, changed by edit if there is one.
func (r *roll) service(k registry.ServiceKey, edit ...func(*registry.ServiceRecord)) registry.ServiceKey {
	s := &registry.ServiceRecord{Key: k}
	for _, f := range edit {
		f(s)
	}
	r.put(s)
	if folded, ok := k.Folded(); ok && !s.Shadowed {
		r.put(&registry.Claim{Folded: folded, Service: k})
	}
	return k
}

// instance adds a healthy instance, changed by edit if there is one.
func (r *roll) instance(k registry.ServiceKey, host string, port uint16, edit ...func(*registry.Registration)) {
	reg := registry.Registration{
		Key:     registry.InstanceKey{Service: k, Endpoint: registry.Endpoint{Host: host, Port: port}},
		Cluster: registry.DefaultCluster, Weight: 1, Enabled: true, Healthy: true,
	}
	for _, f := range edit {
		f(&reg)
	}
	r.put(&reg)
}

func key(name string) registry.ServiceKey {
	return registry.ServiceKey{Namespace: registry.DefaultNamespace, Group: registry.DefaultGroup, Name: name}
}

func sick(r *registry.Registration)     { r.Healthy = false }
func disabled(r *registry.Registration) { r.Enabled = false }

func weight(w float64) func(*registry.Registration) {
	return func(r *registry.Registration) { r.Weight = w }
}

func in(cluster string) func(*registry.Registration) {
	return func(r *registry.Registration) { r.Cluster = cluster }
}

func meta(pairs ...string) func(*registry.Registration) {
	return func(r *registry.Registration) { r.Metadata = registry.MetadataOf(pairsOf(pairs)) }
}

func pairsOf(pairs []string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

func threshold(t float64) func(*registry.ServiceRecord) {
	return func(s *registry.ServiceRecord) { s.ProtectThreshold = t }
}

func told(pairs ...string) func(*registry.ServiceRecord) {
	return func(s *registry.ServiceRecord) { s.Metadata = pairsOf(pairs) }
}

func options(o registry.DNSOptions) func(*registry.ServiceRecord) {
	return func(s *registry.ServiceRecord) { s.DNS = o }
}

func shadowed(s *registry.ServiceRecord) { s.Shadowed = true }

// rich is a roll with one of everything.
func rich() *registry.Snapshot {
	var r roll
	api, ttl := r.service(key("order-api"), told("owner", "shop", "a=b", `c\d "e"`)), uint32(77)
	r.instance(api, "10.0.0.1", 8080, in("bj"), meta("protocol", "http", "version", "v1", "alpn", "h2,http/1.1"))
	r.instance(api, "10.0.0.2", 8080, in("bj"), weight(3), meta("version", "v1"))
	r.instance(api, "10.0.0.3", 8080, in("sh"), weight(2))
	r.instance(api, "10.0.0.4", 8080, sick, meta("protocol", "grpc"))
	r.instance(api, "10.0.0.5", 8080, weight(0))
	r.instance(api, "10.0.0.6", 8080, disabled, meta("version", "v2"))
	r.instance(r.service(key("v6only")), "2001:db8::1", 9000)
	dual := r.service(key("dual"), options(registry.DNSOptions{TTL: &ttl}))
	r.instance(dual, "10.0.1.1", 80, weight(100))
	r.instance(dual, "2001:db8::2", 80, weight(200))
	r.instance(r.service(key("ext-db"), told("kind", "database")), "db.example.net", 5432, meta("protocol", "postgres"))
	hosts := r.service(key("hosts"))
	r.instance(hosts, "a.example.net", 80)
	r.instance(hosts, "b.example.net", 80, weight(5))
	r.instance(hosts, "B.example.net.", 80, weight(2))
	mixed := r.service(key("mixed"))
	r.instance(mixed, "db.example.net", 5432)
	r.instance(mixed, "db.example.net.", 5432)
	r.instance(mixed, "10.0.3.1", 5432)
	big := r.service(key("big"))
	for i := range 60 {
		r.instance(big, fmt.Sprintf("10.1.0.%d", i+10), 8080, meta("protocol", []string{"http", "relp/udp"}[i%2]), in(fmt.Sprint("c", i%3)))
	}
	two := r.service(key("twoports"))
	r.instance(two, "10.0.2.1", 80, weight(100))
	r.instance(two, "10.0.2.1", 443, weight(300), meta("alpn", "h2"))
	none := r.service(key("sick"))
	r.instance(none, "10.0.9.1", 80, sick, meta("protocol", "http"), in("bj"))
	r.instance(none, "10.0.9.2", 80, sick)
	shaky := r.service(key("shaky"), threshold(0.5))
	r.instance(shaky, "10.0.10.1", 80)
	for i := 2; i <= 4; i++ {
		r.instance(shaky, fmt.Sprintf("10.0.10.%d", i), 80, sick)
	}
	r.service(key("empty"))
	r.service(key("nameless"), told("", "no key"))
	r.instance(r.service(key("com.foo.Bar")), "10.0.4.1", 80, meta("protocol", "dubbo"))
	r.instance(r.service(key("com.foo.bar"), shadowed), "10.0.4.2", 80, meta("protocol", "dubbo"))
	r.instance(r.service(key("providers:com.foo.DemoService:1.0:")), "10.0.5.1", 20880, meta("protocol", "dubbo"))
	pay := registry.ServiceKey{Namespace: "dev", Group: "PAY:V2", Name: "Order_API"}
	r.instance(r.service(pay), "10.0.6.1", 8080, meta("protocol", "http"))
	r.instance(r.service(registry.ServiceKey{Namespace: "dev", Group: registry.DefaultGroup, Name: "order-api"}), "10.0.8.1", 8080)
	r.instance(r.service(key("syslog")), "10.0.7.1", 514, meta("protocol", "udp"))
	r.instance(r.service(key(strings.Repeat("x", 63))), "10.0.7.2", 80)
	r.instance(r.service(key(strings.Repeat("x", 80))), "10.0.7.3", 80, meta("protocol", "http"))
	r.instance(r.service(key("loop")), "loop.svc.muster.internal", 80)
	r.instance(r.service(key("alias")), "order-api.svc.muster.internal", 80)
	r.instance(r.service(key("ns1")), "10.0.7.4", 80)
	single := r.service(key("single"), options(registry.DNSOptions{Mode: registry.ModeSingle, Topology: registry.TopologyPin}))
	r.instance(single, "10.0.11.1", 80, meta("zone", "a"))
	r.instance(single, "10.0.11.2", 80, weight(9), meta("zone", "b"))
	return r.snapshot(nil)
}

// random returns a roll that follows was, changed by chance: services, instances
// and what is said of them come from small sets, so that names meet.
func random(r *rand.Rand, was *registry.Snapshot, changes int) *registry.Snapshot {
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	var roll roll
	for range changes {
		k := registry.ServiceKey{
			Namespace: pick("public", "public", "dev", "Dev", "__"), Group: pick(registry.DefaultGroup, registry.DefaultGroup, "pay"),
			Name: pick("a", "A", "b", "b.a", "svc", "tcp", "addr", "a.svc", "ip-10-0-0-1.a", "http", "ns1", "a@b", strings.Repeat("y", 70), "udp"),
		}
		if r.IntN(10) == 0 {
			roll = append(roll, registry.Change{Key: (&registry.ServiceRecord{Key: k}).RecordKey(), Revision: 1})
			continue
		}
		if r.IntN(3) == 0 {
			roll.service(k, threshold([]float64{0, 0.5}[r.IntN(2)]), func(s *registry.ServiceRecord) {
				if s.Shadowed = r.IntN(4) == 0; r.IntN(3) == 0 {
					s.Metadata = map[string]string{pick("", "k", "l"): pick("v", `\"`, strings.Repeat("w", 300))}
				}
			})
			continue
		}
		at := registry.Endpoint{Host: pick("10.0.0.1", "10.0.0.2", "10.0.1.1", "2001:db8::1", "h.example.net", "H.example.net."), Port: uint16(80 + r.IntN(2))}
		reg := registry.Registration{Key: registry.InstanceKey{Service: k, Endpoint: at}}
		if r.IntN(3) == 0 {
			roll = append(roll, registry.Change{Key: reg.RecordKey(), Revision: 1})
			continue
		}
		roll.instance(k, at.Host, at.Port, in(pick("", "bj", "b_j", "sh")), weight(float64(r.IntN(4)*r.IntN(60))), func(reg *registry.Registration) {
			reg.Healthy, reg.Enabled = r.IntN(3) > 0, r.IntN(5) > 0
			reg.Metadata = registry.MetadataOf(map[string]string{"protocol": pick("", "http", "udp", "a/udp", "tcp", "x/udp"), "version": pick("", "v1"), "alpn": pick("", "h2")})
		})
	}
	return roll.snapshot(was)
}

// zones are the zones of the tests: two that lie in each other, and reverse ones
// that do so too.
func zones(t testing.TB) *zone.Zones {
	t.Helper()
	zs, err := zone.New(zone.Config{
		Names: []string{"muster.internal", "dev.ns.muster.internal", "10.in-addr.arpa", "1.0.10.in-addr.arpa", "8.b.d.0.1.0.0.2.ip6.arpa"},
		Servers: []zone.NameServer{
			{Name: "ns1.muster.internal.", Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.53")}},
			{Name: "ns1.svc.dev.ns.muster.internal.", Addrs: []netip.Addr{netip.MustParseAddr("2001:db8::53")}},
			{Name: "ns.example.net."},
		},
		TTL: 5, NegativeTTL: 5, Answers: 1000, Raw: false,
	})
	if err != nil {
		t.Fatal(err)
	}
	return zs
}

// records returns a zone as a set of lines.
func records(t testing.TB, zs *zone.Zones, st zone.State, z *zone.Zone) []string {
	t.Helper()
	var all []string
	for part := range zs.Whole(st, z) {
		all = append(all, lines(part)...)
	}
	if len(all) < 3 || all[0] != all[len(all)-1] || !strings.Contains(all[0], "SOA") {
		t.Fatalf("zone %s begins with %q and ends with %q, want its SOA twice", z.Name, all[0], all[len(all)-1])
	}
	all = all[1:]
	slices.Sort(all)
	return all
}

func lines(records []dns.RR) (all []string) {
	for _, rr := range records {
		all = append(all, rr.String())
	}
	return all
}
