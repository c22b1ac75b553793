package answer_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/musterhq/muster/answer"
	"github.com/musterhq/muster/registry"
)

// plain is a roll with a service of each kind.
func plain() *registry.Snapshot {
	var r roll
	fill(&r)
	return r.snapshot()
}

func fill(r *roll) {
	api := r.service("order-api", 0)
	r.instance(api, "10.0.0.1", 8080, 1, in("bj"), meta("protocol", "HTTP", "version", "v1"))
	r.instance(api, "10.0.0.2", 8080, 3, in("bj"))
	r.instance(api, "10.0.0.3", 8080, 2, in("sh"))
	r.instance(api, "10.0.0.4", 8080, 1, sick)
	r.instance(api, "10.0.0.5", 8080, 0)
	r.instance(api, "10.0.0.6", 8080, 1, disabled)
	r.instance(api, "10.0.0.7", 8080, 1, sick, in("gz"))
	dual := r.service("dual", 0)
	r.instance(dual, "10.0.1.1", 80, 1)
	r.instance(dual, "2001:db8::2", 80, 1)
	ext := r.service("ext-db", 0)
	r.instance(ext, "db.example.net", 5432, 1)
	mixed := r.service("mixed", 0)
	r.instance(mixed, "db.example.net", 5432, 1)
	r.instance(mixed, "10.0.3.1", 5432, 1)
	two := r.service("twoports", 0)
	r.instance(two, "10.0.2.1", 443, 1)
	r.instance(two, "10.0.2.1", 80, 1)
	none := r.service("sick", 0)
	r.instance(none, "10.0.9.1", 80, 1, sick)
	shaky := r.service("shaky", 0.5)
	r.instance(shaky, "10.0.10.1", 80, 1)
	r.instance(shaky, "10.0.10.2", 80, 1, sick)
	r.service("empty", 0)
	bar := r.service("com.foo.Bar", 0)
	r.instance(bar, "10.0.4.1", 80, 1)
	shadowed := registry.ServiceKey{Namespace: "public", Group: "DEFAULT_GROUP", Name: "com.foo.bar"}
	r.put(&registry.ServiceRecord{Key: shadowed, Shadowed: true})
	r.instance(shadowed, "10.0.4.2", 80, 1, in("bj"))
	demo := r.service("providers:com.foo.DemoService:1.0:", 0)
	r.instance(demo, "10.0.5.1", 20880, 1, meta("protocol", "dubbo"))
	dev := registry.ServiceKey{Namespace: "dev", Group: "PAY:V2", Name: "Order_API"}
	r.add(dev, 0)
	r.instance(dev, "10.0.6.1", 8080, 1, meta("protocol", "grpc"))
	told := registry.ServiceKey{Namespace: "public", Group: "DEFAULT_GROUP", Name: "told"}
	r.put(&registry.ServiceRecord{Key: told, Metadata: map[string]string{"team": "a"}})
	r.put(&registry.Claim{Folded: "told.svc", Service: told})
	r.instance(told, "10.0.11.1", 443, 1, meta("alpn", "h2,http/1.1"))
	r.instance(told, "10.0.11.2", 80, 1)
	r.instance(r.service("un.told", 0), "10.0.11.3", 80, 1, in("hz"))
	udp := r.service("syslog", 0)
	r.instance(udp, "10.0.7.1", 514, 1, meta("protocol", "udp"))
	r.instance(udp, "10.0.7.2", 514, 1, meta("protocol", "relp/udp"))
}

var (
	noData = answer.Answer{Status: answer.NoData}
	noName = answer.Answer{Status: answer.NoName}
	found  = answer.Answer{}

	emptyText = answer.Answer{Listed: true, Metadata: []map[string]string{nil}}
)

func addrs(list ...string) answer.Answer {
	var a answer.Answer
	for _, s := range list {
		a.Addrs = append(a.Addrs, netip.MustParseAddr(s))
	}
	return a
}

func servers(list ...answer.Server) answer.Answer { return answer.Answer{Servers: list} }

func at(addr string, port, weight uint16) answer.Server {
	return answer.Server{Addr: netip.MustParseAddr(addr), Port: port, Weight: weight}
}

func because(r answer.Reason, a answer.Answer) answer.Answer {
	a.Reason = r
	return a
}

func TestResolve(t *testing.T) {
	bj := []answer.Server{at("10.0.0.1", 8080, 1000), at("10.0.0.2", 8080, 3000), at("10.0.0.3", 8080, 2000)}
	db := answer.Server{Host: "db.example.net", Port: 5432, Weight: 1000}
	tests := []struct {
		about string
		name  string
		typ   answer.Type
		want  answer.Answer
	}{
		{"healthy and enabled ones with weight", "order-api.svc", answer.A, addrs("10.0.0.1", "10.0.0.2", "10.0.0.3")},
		{"case does not matter", "Order-API.SVC", answer.A, addrs("10.0.0.1", "10.0.0.2", "10.0.0.3")},
		{"raw bytes of the identity", `order_api.svc`, answer.A, addrs("10.0.0.1", "10.0.0.2", "10.0.0.3")},
		{"no address of the family", "order-api.svc", answer.AAAA, noData},
		{"no record of the type", "order-api.svc", answer.Other, noData},
		{"something of any type", "order-api.svc", answer.Any, found},
		{"servers", "order-api.svc", answer.SRV, servers(bj...)},
		{"one family of two: A", "dual.svc", answer.A, addrs("10.0.1.1")},
		{"one family of two: AAAA", "dual.svc", answer.AAAA, addrs("2001:db8::2")},
		{"a host name stands for addresses", "ext-db.svc", answer.A, answer.Answer{Alias: "db.example.net"}},
		{"a host name stands for IPv6 too", "ext-db.svc", answer.AAAA, answer.Answer{Alias: "db.example.net"}},
		{"the alias itself", "ext-db.svc", answer.CNAME, answer.Answer{Alias: "db.example.net"}},
		{"a host name as a server", "ext-db.svc", answer.SRV, servers(db)},
		{"addresses win over host names", "mixed.svc", answer.A, addrs("10.0.3.1")},
		{"of the other family too", "mixed.svc", answer.AAAA, noData},
		{"no alias beside addresses", "mixed.svc", answer.CNAME, noData},
		{"two ports share an address", "twoports.svc", answer.A, addrs("10.0.2.1")},
		{"two ports are two servers", "twoports.svc", answer.SRV, sharing(servers(at("10.0.2.1", 80, 1000), at("10.0.2.1", 443, 1000)))},
		{"none healthy", "sick.svc", answer.A, because(answer.NoneHealthy, noData)},
		{"none healthy, but the type is missing anyway", "sick.svc", answer.Other, noData},
		{"protected", "shaky.svc", answer.A, because(answer.Protected, addrs("10.0.10.1", "10.0.10.2"))},
		{"protected servers", "shaky.svc", answer.SRV,
			because(answer.Protected, servers(at("10.0.10.1", 80, 1000), at("10.0.10.2", 80, 1000)))},
		{"no instance at all", "empty.svc", answer.A, noData},
		{"a name that holds nothing else has an empty text", "empty.svc", answer.TXT, emptyText},
		{"so has one with none healthy", "sick.svc", answer.TXT, emptyText},
		{"no text without metadata", "dual.svc", answer.TXT, noData},
		{"a text is something", "empty.svc", answer.Any, found},
		{"unknown", "nope.svc", answer.A, noName},
		{"unknown above a service", "x.order-api.svc", answer.A, noName},
		{"no wildcards", "*.svc", answer.A, noName},
		{"no wildcards above a service", "*.order-api.svc", answer.A, noName},
		{"empty non-terminal of the kind", "svc", answer.A, noData},
		{"empty non-terminal: not what its child holds", "bar.svc", answer.A, noData},
		{"unknown kind", "order-api.foo", answer.A, noName},
		{"the apex", "", answer.A, noData},

		{"cluster", "order-api.svc.sh.cl", answer.A, addrs("10.0.0.3")},
		{"cluster without a healthy one", "order-api.svc.gz.cl", answer.A, because(answer.NoneHealthy, noData)},
		{"unknown cluster", "order-api.svc.xx.cl", answer.A, noName},
		{"version", "order-api.svc.v1.ver", answer.A, addrs("10.0.0.1")},
		{"cluster and version", "order-api.svc.bj.cl.v1.ver", answer.A, addrs("10.0.0.1")},
		{"cluster and a version of another", "order-api.svc.sh.cl.v1.ver", answer.A, noName},
		{"scopes in the wrong order", "order-api.svc.v1.ver.bj.cl", answer.A, noName},
		{"cluster of a service below alone", "told.svc.hz.cl", answer.A, noData},
		{"above selectors of nothing", "_tcp.cl", answer.A, noName},
		{"empty non-terminal of a cluster", "svc.bj.cl", answer.A, noData},
		{"group and namespace", "order-api.svc.pay-v2.grp.dev.ns", answer.A, addrs("10.0.6.1")},
		{"raw group", `Order_API.svc.PAY\:V2.grp.dev.ns`, answer.A, addrs("10.0.6.1")},
		{"namespace without the group", "order-api.svc.dev.ns", answer.A, noName},
		{"empty non-terminal of a namespace", "grp.dev.ns", answer.A, noData},

		{"folded name of who came first", "com.foo.bar.svc", answer.A, addrs("10.0.4.1")},
		{"its exact name", "h-9d646e628b.svc", answer.A, addrs("10.0.4.1")},
		{"exact name of the shadowed one", "H-694744168E.svc", answer.A, addrs("10.0.4.2")},
		{"exact names carry no scope", "h-694744168e.svc.bj.cl", answer.A, noName},
		{"raw name with separators", "providers:com.foo.DemoService:1.0:.svc", answer.A, addrs("10.0.5.1")},
		{"folded name with separators", "providers.com.foo.demoservice.1.0.svc", answer.A, addrs("10.0.5.1")},
		{"raw name escaped", `providers\058com\.foo.DemoService\0581\.0\058.svc`, answer.A, addrs("10.0.5.1")},

		{"selector by protocol", "_http._tcp.order-api.svc", answer.SRV, servers(at("10.0.0.1", 8080, 1000))},
		{"selector in a cluster", "_http._tcp.order-api.svc.bj.cl", answer.SRV, servers(at("10.0.0.1", 8080, 1000))},
		{"selector in a cluster without it", "_http._tcp.order-api.svc.sh.cl", answer.SRV, noName},
		{"selector nobody speaks", "_ftp._tcp.order-api.svc", answer.SRV, noName},
		{"selector holds no addresses", "_http._tcp.order-api.svc", answer.A, noData},
		{"selector holds something", "_http._tcp.order-api.svc", answer.Any, found},
		{"selector of a single label", "_Order-API._TCP.svc", answer.SRV, servers(bj...)},
		{"selector of several labels", "_dubbo._tcp.providers.com.foo.demoservice.1.0.svc", answer.SRV,
			servers(at("10.0.5.1", 20880, 1000))},
		{"selector of an unknown service", "_http._tcp.nope.svc", answer.SRV, noName},
		{"selector of an empty non-terminal", "_http._tcp.bar.svc", answer.SRV, noName},
		{"selector without an app", "_._tcp.order-api.svc", answer.SRV, noName},
		{"udp that nobody says", "_order-api._udp.svc", answer.SRV, noName},
		{"udp that one says", "_syslog._udp.svc", answer.SRV, servers(at("10.0.7.1", 514, 1000))},
		{"app over udp", "_relp._udp.syslog.svc", answer.SRV, servers(at("10.0.7.2", 514, 1000))},
		{"above selectors", "_tcp.order-api.svc", answer.A, noData},
		{"above selectors of single labels", "_tcp.svc", answer.SRV, noData},
		{"above selectors of an unknown service", "_tcp.nope.svc", answer.A, noName},
		{"above selectors that no instance makes", "_udp.order-api.svc", answer.A, noName},
		{"above selectors of a cluster", "_tcp.order-api.svc.bj.cl", answer.A, noData},
		{"above selectors of another cluster", "_tcp.order-api.svc.sh.cl", answer.A, noName},

		{"above selectors, spelled raw", "_tcp.ORDER_API.svc", answer.A, noData},
		{"above selectors of an exact name", "_tcp.h-c94e40b095.svc", answer.A, noData},
		{"a cluster that nobody is in", "order-api.svc.r17.cl", answer.A, noName},
		{"a selector that nobody speaks, of a cluster", "_ftp._tcp.order-api.svc.bj.cl", answer.SRV, noName},

		{"an instance", "ip-10-0-0-1.order-api.inst", answer.A, addrs("10.0.0.1")},
		{"an instance in capitals", "IP-10-0-0-1.Order-API.INST", answer.A, addrs("10.0.0.1")},
		{"an instance of the other family", "ip-10-0-0-1.order-api.inst", answer.AAAA, noData},
		{"an unhealthy instance", "ip-10-0-0-4.order-api.inst", answer.A, addrs("10.0.0.4")},
		{"an instance without weight", "ip-10-0-0-5.order-api.inst", answer.SRV, servers(at("10.0.0.5", 8080, 1))},
		{"an instance of another service", "ip-10-0-0-1.dual.inst", answer.A, noName},
		{"an instance that is not there", "ip-10-9-9-9.order-api.inst", answer.A, noName},
		{"an instance in its cluster", "ip-10-0-0-1.order-api.inst.bj.cl", answer.A, addrs("10.0.0.1")},
		{"an instance in another cluster", "ip-10-0-0-1.order-api.inst.sh.cl", answer.A, noName},
		{"an instance of IPv6", "ip6-2001-db8-0-0-0-0-0-2.dual.inst", answer.AAAA, addrs("2001:db8::2")},
		{"an instance by exact name", "ip-10-0-4-2.h-694744168e.inst", answer.A, addrs("10.0.4.2")},
		{"an instance of scopes", "ip-10-0-6-1.order-api.inst.pay-v2.grp.dev.ns", answer.A, addrs("10.0.6.1")},
		{"an instance with two ports", "ip-10-0-2-1.twoports.inst", answer.SRV, sharing(servers(at("10.0.2.1", 80, 1000), at("10.0.2.1", 443, 1000)))},
		{"what an instance says", "ip-10-0-0-1.order-api.inst", answer.TXT,
			answer.Answer{Metadata: []map[string]string{{"protocol": "HTTP", "version": "v1"}}}},
		{"what an instance does not say", "ip-10-0-0-2.order-api.inst", answer.TXT, noData},
		{"no address of an instance", "x.order-api.inst", answer.A, noName},
		{"a host name is no instance name", "db.example.net.ext-db.inst", answer.A, noName},
		{"above instances", "order-api.inst", answer.A, noData},
		{"above instances of a cluster", "order-api.inst.bj.cl", answer.A, noData},
		{"above no instance with an address", "ext-db.inst", answer.A, noName},
		{"above all instances", "inst", answer.A, noData},

		{"what a service says", "told.svc", answer.TXT, answer.Answer{Metadata: []map[string]string{{"team": "a"}}}},
		{"what a service does not say", "order-api.svc", answer.TXT, noData},
		{"endpoints with ALPN", "told.svc", answer.SVCB, servers(
			answer.Server{Addr: netip.MustParseAddr("10.0.11.1"), Port: 443, Weight: 1000, ALPN: "h2,http/1.1"})},
		{"endpoints without ALPN", "order-api.svc", answer.SVCB, noData},

		{"services that speak http", "_http._tcp", answer.PTR, answer.Answer{Names: []string{"order-api._http._tcp"}}},
		{"in capitals", "_HTTP._TCP", answer.PTR, answer.Answer{Names: []string{"order-api._http._tcp"}}},
		{"services that speak dubbo, names with dots", "_dubbo._tcp", answer.PTR,
			answer.Answer{Names: []string{`providers\.com\.foo\.demoservice\.1\.0._dubbo._tcp`}}},
		{"what nobody speaks", "_ftp._tcp", answer.PTR, noName},
		{"a list is nothing but PTR", "_http._tcp", answer.SRV, noData},
		{"all that is spoken", "_services._dns-sd._udp", answer.PTR, answer.Answer{Names: []string{
			"_dubbo._tcp", "_http._tcp", "_relp._udp", "_syslog._udp"}}},
		{"all that is spoken in a namespace", "_services._dns-sd._udp.dev.ns", answer.PTR, answer.Answer{Names: []string{"_grpc._tcp.dev.ns"}}},
		{"where to browse", "b._dns-sd._udp", answer.PTR, answer.Answer{Names: []string{"", "dev.ns"}}},
		{"where to browse from a namespace", "lb._dns-sd._udp.dev.ns", answer.PTR, answer.Answer{Names: []string{"dev.ns"}}},
		{"services of a group in a namespace", "_grpc._tcp.dev.ns", answer.PTR, answer.Answer{Names: []string{`order-api\@pay-v2._grpc._tcp.dev.ns`}}},
		{"lists of no namespace", "_http._tcp.prod.ns", answer.PTR, noName},
		{"a service found by browsing", "order-api._http._tcp", answer.SRV, servers(at("10.0.0.1", 8080, 1000))},
		{"a service found by browsing, in a namespace", `order-api\@pay-v2._grpc._tcp.dev.ns`, answer.SRV, servers(at("10.0.6.1", 8080, 1000))},
		{"what it says, were it nothing", "order-api._http._tcp", answer.TXT, answer.Answer{Listed: true, Metadata: []map[string]string{nil}}},
		{"a service found by browsing has no address", "order-api._http._tcp", answer.A, noData},
		{"a service that does not speak it", "dual._http._tcp", answer.SRV, noName},
		{"above lists", "_tcp", answer.A, noData},
		{"above enumeration", "_dns-sd._udp", answer.A, noData},
		{"above lists of a namespace", "_tcp.dev.ns", answer.A, noData},
		{"above lists of no namespace", "_tcp.prod.ns", answer.A, noName},
		{"enumeration of something else", "x._dns-sd._udp", answer.PTR, noName},

		{"address", "ip-10-0-0-1.addr", answer.A, addrs("10.0.0.1")},
		{"address in capitals", "IP6-2001-DB8-0-0-0-0-0-2.ADDR", answer.AAAA, addrs("2001:db8::2")},
		{"address of an unhealthy instance", "ip-10-0-9-1.addr", answer.A, addrs("10.0.9.1")},
		{"address of the other family", "ip-10-0-0-1.addr", answer.AAAA, noData},
		{"something at an address", "ip-10-0-0-1.addr", answer.Any, addrs("10.0.0.1")},
		{"address without an instance", "ip-10-9-9-9.addr", answer.A, noName},
		{"address with leading zeros", "ip-10-0-0-01.addr", answer.A, noName},
		{"address shortened", "ip6-2001-db8--2.addr", answer.AAAA, noName},
		{"address in raw form", "ip_10_0_0_1.addr", answer.A, noName},
		{"address in a namespace", "ip-10-0-0-1.addr.dev.ns", answer.A, noName},
		{"address in a group of a namespace", "ip-10-0-0-1.addr.pay-v2.grp.dev.ns", answer.A, noName},
		{"address with a scope", "ip-10-0-0-1.addr.bj.cl", answer.A, noName},
		{"no address", "order-api.addr", answer.A, noName},
		{"empty non-terminal of addresses", "addr", answer.A, noData},
	}
	snap := plain()
	sorted := cmp.Options{
		cmpopts.SortSlices(func(a, b netip.Addr) bool { return a.Less(b) }),
		cmpopts.SortSlices(func(a, b answer.Server) bool { return a.Addr.Less(b.Addr) || a.Addr == b.Addr && a.Port < b.Port }),
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmpopts.SortSlices(func(a, b string) bool { return a < b }),
		cmpopts.IgnoreFields(answer.Answer{}, "Service", "Usual"),
	}
	for _, tt := range tests {
		t.Run(tt.about, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, ask(t, snap, tt.name, tt.typ), sorted); diff != "" {
				t.Errorf("Resolve(%q, %v), want -, got +:\n%s", tt.name, tt.typ, diff)
			}
		})
	}
}

// sharing marks an answer of servers that may share addresses.
func sharing(a answer.Answer) answer.Answer {
	a.Shared = true
	return a
}

func TestRawNamesOff(t *testing.T) {
	var r answer.Resolver
	snap := plain()
	tests := map[string]answer.Status{
		"order-api.svc":                          answer.Found,
		"Order-Api.svc":                          answer.Found,
		"order_api.svc":                          answer.NoName,
		"providers:com.foo.DemoService:1.0:.svc": answer.NoName,
	}
	for name, want := range tests {
		if got := r.Resolve(snap, answer.Question{Name: name, Type: answer.A}, random(1)).Status; got != want {
			t.Errorf("Resolve(%q) without raw names = %v, want %v", name, got, want)
		}
	}
}

func TestSRVWeight(t *testing.T) {
	tests := []struct {
		w, heaviest float64
		want        uint16
	}{
		{1, 1, 1000}, {2, 3, 2000}, {0.5, 10, 500}, {65.535, 65.535, 65535}, {1, 100, 100}, {655.35, 655.35, 65535},
		{1, 6553.5, 10}, {1, 10000, 1}, {10000, 10000, 10000}, {0.0001, 1, 1}, {0.04, 10000, 1},
	}
	for _, tt := range tests {
		if got := answer.SRVWeight(tt.w, tt.heaviest); got != tt.want {
			t.Errorf("SRVWeight(%v, %v) = %d, want %d", tt.w, tt.heaviest, got, tt.want)
		}
	}
}

func TestAddressNames(t *testing.T) {
	for addr, want := range map[string]string{
		"10.0.0.1":    "ip-10-0-0-1.addr",
		"2001:db8::1": "ip6-2001-db8-0-0-0-0-0-1.addr",
		"::":          "ip6-0-0-0-0-0-0-0-0.addr",
	} {
		a := netip.MustParseAddr(addr)
		got := string(answer.AppendAddress(nil, a))
		if got != want {
			t.Errorf("AppendAddress(%s) = %s, want %s", addr, got, want)
		}
		label, _, _ := strings.Cut(got, ".")
		if back, ok := answer.ParseAddress(label); !ok || back != a {
			t.Errorf("ParseAddress(%q) = %v, %v, want %s", label, back, ok, addr)
		}
	}
	for _, label := range []string{"", "ip-", "ip6-", "ip-1-2-3", "ip-1-2-3-4-5", "ip-1-2-3-256", "ip6-1-2-3-4", "ip6-0-0-0-0-0-0-0-00", "ip-1.2.3.4"} {
		if a, ok := answer.ParseAddress(label); ok {
			t.Errorf("ParseAddress(%q) = %v, want none", label, a)
		}
	}
}

func FuzzResolve(f *testing.F) {
	snap := plain()
	for _, s := range []string{"order-api.svc", `a\.b\000.svc`, "_http._tcp.x.svc.a.cl.b.ver", "ip-1-2-3-4.addr", `\`, "..", `a\25`, "_tcp._tcp", "a._http._tcp.dev.ns",
		"_services._dns-sd._udp", "ip-10-0-0-1.order-api.inst"} {
		for typ := range answer.Any + 1 {
			f.Add(s, uint8(typ), true)
		}
	}
	f.Fuzz(func(t *testing.T, name string, typ uint8, raw bool) {
		var r answer.Resolver
		q := answer.Question{Name: name, Type: answer.Type(typ) % (answer.Any + 1), Raw: raw, Max: 8}
		a := r.Resolve(snap, q, random(1))
		if len(a.Addrs) > 0 && a.Alias != "" {
			t.Errorf("Resolve(%q) = addresses and the alias %q", name, a.Alias)
		}
		if a.Status != answer.Found && (len(a.Addrs)+len(a.Servers)+len(a.Names)+len(a.Metadata) > 0 || a.Alias != "") {
			t.Errorf("Resolve(%q) = %+v: records of a name without any", name, a)
		}
		if slices.ContainsFunc(a.Addrs, func(a netip.Addr) bool { return !a.IsValid() }) {
			t.Errorf("Resolve(%q) = %v: not an address", name, a.Addrs)
		}
	})
}

// FuzzParseAddress holds that a label is read as an address if that has this name, and
// only then.
func FuzzParseAddress(f *testing.F) {
	for i := range 256 {
		f.Add("ip-" + strings.ReplaceAll(netip.AddrFrom4([4]byte{byte(i), 255 - byte(i), byte(i / 2), 0}).String(), ".", "-"))
	}
	for _, label := range []string{"", "ip6-", "ip-1-2-3-04", "ip-1-2-3-256", "ip-1-2-3-", "ip6-0-0-0-0-0-ffff-102-304", "ip6-1-2-3-4-5-6-7-10000", "ip6-A-0-0-0-0-0-0-0"} {
		f.Add(label)
	}
	f.Fuzz(func(t *testing.T, label string) {
		text, _ := strings.CutPrefix(label, "ip")
		for old, new := range map[string]string{"-": ".", "6-": ":"} {
			text, ok := strings.CutPrefix(text, old)
			want, err := netip.ParseAddr(strings.ReplaceAll(text, "-", new))
			if !ok || err != nil || want.Zone() != "" || string(answer.AppendAddress(nil, want)) != label+".addr" {
				continue
			}
			if got, ok := answer.ParseAddress(label); !ok || got != want {
				t.Fatalf("ParseAddress(%q) = %v, %v, want %v", label, got, ok, want)
			}
			return
		}
		if got, ok := answer.ParseAddress(label); ok {
			t.Fatalf("ParseAddress(%q) = %v, want none", label, got)
		}
	})
}
