package update_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/update"
)

var bounds = update.LeaseBounds{Min: 30 * time.Second, Max: 2 * time.Hour}

const api = "public@@DEFAULT_GROUP@@order-api@@"

func TestRead(t *testing.T) {
	snap := fixture()
	for _, c := range []struct {
		name   string
		script []string
		want   []string
	}{
		{"nothing", nil, nil},
		{"an instance", []string{"add order-api.svc 60 SRV 0 3000 8080 ip-10-0-0-9.addr"},
			[]string{"+" + api + "10.0.0.9:8080 3 DEFAULT"}},
		{"in mixed case", []string{"add Order-API.SVC 60 SRV 0 3000 8080 IP-10-0-0-9.Addr"},
			[]string{"+" + api + "10.0.0.9:8080 3 DEFAULT"}},
		{"weight 0", []string{"add order-api.svc 60 SRV 0 0 8080 ip-10-0-0-9.addr"}, []string{"+" + api + "10.0.0.9:8080 0 DEFAULT"}},
		{"the largest weight", []string{"add order-api.svc 60 SRV 0 65535 1 ip-10-0-0-9.addr"},
			[]string{"+" + api + "10.0.0.9:1 65.535 DEFAULT"}},
		{"an IPv6 address", []string{"add order-api.svc 60 SRV 0 1000 80 ip6-2001-db8-0-0-0-0-0-9.addr"},
			[]string{"+" + api + "[2001:db8::9]:80 1 DEFAULT"}},
		{"a host name", []string{"add order-api.svc 60 SRV 0 1000 80 Web.Example.org."},
			[]string{"+" + api + "web.example.org:80 1 DEFAULT"}},
		{"a host name that stands in another spelling", []string{"add ext-db.svc 60 SRV 0 2000 5432 db.Example.net."},
			[]string{"+public@@DEFAULT_GROUP@@ext-db@@DB.example.net.:5432 2 DEFAULT"}},
		{"the same host at another port", []string{"add ext-db.svc 60 SRV 0 1000 5433 db.example.net."},
			[]string{"+public@@DEFAULT_GROUP@@ext-db@@db.example.net:5433 1 DEFAULT"}},
		{"an instance that stands is said anew", []string{"add order-api.svc 60 SRV 0 5000 8080 ip-10-0-0-1.addr"},
			[]string{"+" + api + "10.0.0.1:8080 5 DEFAULT"}},
		{"several", []string{"add order-api.svc 60 SRV 0 1000 80 ip-10-0-0-8.addr",
			"add v6only.svc 60 SRV 0 1000 80 ip-10-0-0-9.addr"},
			[]string{"+" + api + "10.0.0.8:80 1 DEFAULT", "+public@@DEFAULT_GROUP@@v6only@@10.0.0.9:80 1 DEFAULT"}},

		{"a new service", []string{"add new.svc 60 SRV 0 1000 80 ip-10-0-0-9.addr"},
			[]string{"+public@@DEFAULT_GROUP@@new@@10.0.0.9:80 1 DEFAULT"}},
		{"a new service of several labels", []string{"add com.example.New.svc 60 SRV 0 1000 80 ip-10-0-0-9.addr"},
			[]string{"+public@@DEFAULT_GROUP@@com.example.new@@10.0.0.9:80 1 DEFAULT"}},
		{"a new service of a group and a namespace", []string{"add new.svc.pay.grp.dev.ns 60 SRV 0 1000 80 ip-10-0-0-9.addr"},
			[]string{"+dev@@pay@@new@@10.0.0.9:80 1 DEFAULT"}},
		{"a service that is spelled otherwise", []string{"add order-api.svc.pay-v2.grp.dev.ns 60 SRV 0 1000 80 ip-10-0-0-9.addr"},
			[]string{"+dev@@PAY:V2@@Order_API@@10.0.0.9:80 1 DEFAULT"}},
		{"a service by its exact name", []string{"add h-694744168e.svc 60 SRV 0 1000 80 ip-10-0-0-9.addr"},
			[]string{"+public@@DEFAULT_GROUP@@com.foo.bar@@10.0.0.9:80 1 DEFAULT"}},
		{"the owner of a name that two would have", []string{"add com.foo.bar.svc 60 SRV 0 1000 80 ip-10-0-0-9.addr"},
			[]string{"+public@@DEFAULT_GROUP@@com.foo.Bar@@10.0.0.9:80 1 DEFAULT"}},

		{"a name that is kept for the same service", []string{"add gone.svc 60 SRV 0 1000 80 ip-10-0-0-9.addr"},
			[]string{"+public@@DEFAULT_GROUP@@gone@@10.0.0.9:80 1 DEFAULT"}},

		{"into a cluster", []string{"add order-api.svc.bj.cl 60 SRV 0 1000 80 ip-10-0-0-9.addr"},
			[]string{"+" + api + "10.0.0.9:80 1 bj"}},
		{"into a cluster in its spelling", []string{"add order-api.svc.sh-2.cl 60 SRV 0 1000 80 ip-10-0-0-9.addr"},
			[]string{"+" + api + "10.0.0.9:80 1 SH-2"}},
		{"into the default cluster", []string{"add order-api.svc.default.cl 60 SRV 0 1000 80 ip-10-0-0-9.addr"},
			[]string{"+" + api + "10.0.0.9:80 1 DEFAULT"}},
		{"into a new cluster", []string{"add order-api.svc.hz.cl 60 SRV 0 1000 80 ip-10-0-0-9.addr"},
			[]string{"+" + api + "10.0.0.9:80 1 hz"}},
		{"of a version", []string{"add order-api.svc.v3.ver 60 SRV 0 1000 80 ip-10-0-0-9.addr"},
			[]string{"+" + api + "10.0.0.9:80 1 DEFAULT map[version:v3]"}},
		{"of cluster, version, group and namespace",
			[]string{"add new.svc.bj.cl.v3.ver.pay.grp.dev.ns 60 SRV 0 1000 80 ip-10-0-0-9.addr"},
			[]string{"+dev@@pay@@new@@10.0.0.9:80 1 bj map[version:v3]"}},
		{"of a protocol", []string{"add _http._tcp.order-api.svc 60 SRV 0 1000 80 ip-10-0-0-9.addr"},
			[]string{"+" + api + "10.0.0.9:80 1 DEFAULT map[protocol:http]"}},
		{"of a protocol over UDP", []string{"add _dns._udp.order-api.svc 60 SRV 0 1000 53 ip-10-0-0-9.addr"},
			[]string{"+" + api + "10.0.0.9:53 1 DEFAULT map[protocol:dns/udp]"}},
		{"of the service as its own selector", []string{"add _order-api._tcp.svc 60 SRV 0 1000 80 ip-10-0-0-9.addr"},
			[]string{"+" + api + "10.0.0.9:80 1 DEFAULT"}},
		{"and of that over UDP", []string{"add _order-api._udp.svc 60 SRV 0 1000 80 ip-10-0-0-9.addr"},
			[]string{"+" + api + "10.0.0.9:80 1 DEFAULT map[protocol:udp]"}},
		{"one instance by two names", []string{"add order-api.svc.bj.cl 60 SRV 0 1000 80 ip-10-0-0-9.addr",
			"add _http._tcp.order-api.svc 60 SRV 0 1000 80 ip-10-0-0-9.addr"}, []string{"+" + api + "10.0.0.9:80 1 bj map[protocol:http]"}},

		{"metadata before and behind", []string{`add new.svc 60 TXT "a=1"`, "add new.svc 60 SRV 0 1000 80 ip-10-0-0-9.addr",
			`add NEW.svc 5 TXT "b=2" "c=3=3"`},
			[]string{"+public@@DEFAULT_GROUP@@new@@10.0.0.9:80 1 DEFAULT map[a:1 b:2 c:3=3]"}},
		{"metadata of each name", []string{`add a.svc 60 TXT "k=a"`, `add b.svc 60 TXT "k=b"`,
			"add a.svc 60 SRV 0 1000 80 ip-10-0-0-9.addr",
			"add b.svc 60 SRV 0 1000 80 ip-10-0-0-9.addr"}, []string{"+public@@DEFAULT_GROUP@@a@@10.0.0.9:80 1 DEFAULT map[k:a]",
			"+public@@DEFAULT_GROUP@@b@@10.0.0.9:80 1 DEFAULT map[k:b]"}},
		{"quoted, spaced, empty and foreign metadata",
			[]string{"add a.svc 60 TXT \" a key `== v \" \"\" \"e=\" \"ü=\\\"\\\\\" \"` `==x\"",
				"add a.svc 60 SRV 0 1000 80 ip-10-0-0-9.addr"},
			[]string{"+public@@DEFAULT_GROUP@@a@@10.0.0.9:80 1 DEFAULT map[ =:x a key =: v  e: ü:\"\\]"}},
		{"metadata that says what the name says", []string{`add _http._tcp.a.svc.v3.ver 60 TXT "protocol=HTTP" "version=V3"`,
			"add _http._tcp.a.svc.v3.ver 60 SRV 0 1000 80 ip-10-0-0-9.addr"},
			[]string{"+public@@DEFAULT_GROUP@@a@@10.0.0.9:80 1 DEFAULT map[protocol:HTTP version:V3]"}},

		{"delete a record, whatever its weight", []string{"delete order-api.svc SRV 0 7 8080 ip-10-0-0-2.addr"},
			[]string{"-" + api + "10.0.0.2:8080"}},
		{"delete a record of a host", []string{"delete ext-db.svc SRV 0 0 5432 db.example.net."},
			[]string{"-public@@DEFAULT_GROUP@@ext-db@@DB.example.net.:5432"}},
		{"delete a record of another port", []string{"delete order-api.svc SRV 0 3000 8081 ip-10-0-0-2.addr"}, nil},
		{"delete a record that its name does not admit",
			[]string{"delete order-api.svc.sh-2.cl SRV 0 3000 8080 ip-10-0-0-2.addr"}, nil},
		{"delete a set", []string{"delete sick.svc SRV"}, []string{"-public@@DEFAULT_GROUP@@sick@@10.0.9.1:80"}},
		{"delete a set, the sick too", []string{"delete order-api.svc SRV"},
			[]string{"-" + api + "10.0.0.1:8080", "-" + api + "10.0.0.2:8080", "-" + api + "10.0.0.3:8080", "-" + api + "10.0.0.4:8080"}},
		{"delete all of a cluster", []string{"delete order-api.svc.sh-2.cl"}, []string{"-" + api + "10.0.0.3:8080"}},
		{"delete all of a version", []string{"delete order-api.svc.v2.ver"}, []string{"-" + api + "10.0.0.3:8080"}},
		{"delete all of a protocol", []string{"delete _http._tcp.order-api.svc"},
			[]string{"-" + api + "10.0.0.1:8080", "-" + api + "10.0.0.3:8080"}},
		{"delete all of a protocol over UDP", []string{"delete _dns._udp.order-api.svc"}, []string{"-" + api + "10.0.0.4:8080"}},
		{"delete where nothing is", []string{"delete nope.svc", "delete empty.svc SRV",
			"delete nope.svc SRV 0 0 80 ip-10-0-0-9.addr"}, nil},
		{"delete by an exact name", []string{"delete h-694744168e.svc"}, []string{"-public@@DEFAULT_GROUP@@com.foo.bar@@10.0.4.2:80"}},
		{"replace a set", []string{"delete v6only.svc SRV", "add v6only.svc 60 SRV 0 1000 80 ip-10-0-0-9.addr"},
			[]string{"+public@@DEFAULT_GROUP@@v6only@@10.0.0.9:80 1 DEFAULT", "-public@@DEFAULT_GROUP@@v6only@@[2001:db8::1]:9000"}},
		{"delete and add again", []string{"delete v6only.svc", "add v6only.svc 60 SRV 0 2000 9000 ip6-2001-db8-0-0-0-0-0-1.addr"},
			[]string{"+public@@DEFAULT_GROUP@@v6only@@[2001:db8::1]:9000 2 DEFAULT"}},
		{"add and delete again", []string{"add v6only.svc 60 SRV 0 2000 9000 ip6-2001-db8-0-0-0-0-0-1.addr",
			"add new.svc 60 SRV 0 1 80 ip-10-0-0-9.addr",
			"delete v6only.svc", "delete new.svc SRV 0 1 80 ip-10-0-0-9.addr"},
			[]string{"-public@@DEFAULT_GROUP@@v6only@@[2001:db8::1]:9000"}},
		{"what was added is deleted by its name only", []string{"add order-api.svc.hz.cl 60 SRV 0 1000 80 ip-10-0-0-9.addr",
			"delete order-api.svc.sh-2.cl SRV", "delete v6only.svc"},
			[]string{"+" + api + "10.0.0.9:80 1 hz", "-" + api + "10.0.0.3:8080", "-public@@DEFAULT_GROUP@@v6only@@[2001:db8::1]:9000"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := update.Read(message(t, c.script...), zone, snap, bounds, nil)
			if err != nil || got.Lease != 0 || got.Option != nil {
				t.Fatalf("Read = %+v, %v, want no lease and no error", got, err)
			}
			if diff := cmp.Diff(c.want, lines(got)); diff != "" {
				t.Errorf("Read (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	snap := fixture()
	long := make([]string, 200)
	for i := range long {
		long[i] = "delete nope.svc"
	}
	heavy := []string{"add a.svc 60 SRV 0 1000 80 ip-10-0-0-9.addr"}
	for i := range 70 {
		heavy = append(heavy, fmt.Sprintf(`add a.svc 60 TXT "%d=%s"`, i, strings.Repeat("x", 240)))
	}
	const srv = " 60 SRV 0 1000 80 ip-10-0-0-9.addr"
	for _, c := range []struct {
		name   string
		script []string
		rcode  int
		text   string
	}{
		{"another zone", []string{"zone example.org."}, dns.RcodeNotAuth, "zone example.org."},
		{"a zone below ours", []string{"zone svc." + zone}, dns.RcodeNotAuth, "zone svc.muster.internal."},
		{"a zone of another class", []string{"class CH"}, dns.RcodeNotAuth, "CH"},
		{"a name outside of the zone", []string{"add a.example.org." + srv}, dns.RcodeNotZone, "a.example.org."},
		{"a name that only ends like the zone", []string{"add a.svc.xmuster.internal." + srv}, dns.RcodeNotZone, "xmuster.internal."},
		{"a name outside, though another one is refused", []string{"add a.svc 60 A 10.0.0.9", "delete a.example.org."},
			dns.RcodeNotZone, "a.example.org."},

		{"an address alone", []string{"add order-api.svc 60 A 10.0.0.9"},
			dns.RcodeRefused, "order-api.svc.muster.internal. A: the port is missing"},
		{"an IPv6 address alone", []string{"add order-api.svc 60 AAAA 2001:db8::9"}, dns.RcodeRefused, "AAAA: the port is missing"},
		{"an address beside", []string{"add order-api.svc" + srv, "add order-api.svc 60 A 10.0.0.9"},
			dns.RcodeRefused, "the port is missing"},
		{"metadata alone", []string{`add order-api.svc 60 TXT "a=1"`}, dns.RcodeRefused, "metadata goes with"},
		{"metadata of another name", []string{"add order-api.svc" + srv, `add order-api.svc.bj.cl 60 TXT "a=1"`},
			dns.RcodeRefused, "metadata goes with"},
		{"another type", []string{"add order-api.svc 60 CNAME a.example.org."}, dns.RcodeRefused, "CNAME: only SRV"},
		{"delete another type", []string{"delete order-api.svc A"}, dns.RcodeRefused, "A: only SRV"},
		{"delete metadata", []string{`delete order-api.svc TXT "a=1"`}, dns.RcodeRefused, "TXT: only SRV"},
		{"the apex", []string{"add @" + srv}, dns.RcodeRefused, "apex"},
		{"all of the apex", []string{"delete @"}, dns.RcodeRefused, "apex"},
		{"the name of an address", []string{"add ip-10-0-0-9.addr 60 A 10.0.0.9"}, dns.RcodeRefused, "only names of services"},
		{"the name of a server", []string{"add ns1 60 A 10.0.0.9"}, dns.RcodeRefused, "only names of services"},
		{"all services", []string{"delete svc"}, dns.RcodeRefused, "only names of services"},
		{"a wildcard", []string{"add *.svc" + srv}, dns.RcodeRefused, "only names of services"},
		{"a name that is not folded", []string{"add order_api.svc" + srv}, dns.RcodeRefused, "only names of services"},
		{"a name that needs a backslash", []string{`add _a\032b._tcp.order-api.svc` + srv},
			dns.RcodeRefused, "only names of services"},
		{"a group that is not folded", []string{"add new.svc.PAY_V2.grp" + srv},
			dns.RcodeRefused, "spelled new.svc.pay-v2.grp.muster.internal."},
		{"a cluster that is not folded", []string{"add new.svc.b_j.cl" + srv}, dns.RcodeRefused, "spelled new.svc.b-j.cl"},
		{"the default namespace spelled out", []string{"add new.svc.public.ns" + srv}, dns.RcodeRefused, "found as new.svc"},
		{"an exact name of nobody", []string{"add h-0123456789.svc" + srv}, dns.RcodeRefused, "no service has this name"},
		{"a service that has not its name", []string{"add nameless.svc" + srv}, dns.RcodeRefused, "found as h-"},
		{"a name that is kept for another service", []string{"add com.foo.gone.svc" + srv},
			dns.RcodeRefused, "kept for service public@@DEFAULT_GROUP@@com.foo.Gone"},

		{"priority", []string{"add order-api.svc 60 SRV 1 1000 80 ip-10-0-0-9.addr"}, dns.RcodeRefused, "priority 1"},
		{"port 0", []string{"add order-api.svc 60 SRV 0 1000 0 ip-10-0-0-9.addr"}, dns.RcodeRefused, "port 0"},
		{"no target", []string{"add order-api.svc 60 SRV 0 1000 80 ."}, dns.RcodeRefused, "no service"},
		{"a target in the zone that is no address", []string{"add order-api.svc 60 SRV 0 1000 80 web"},
			dns.RcodeRefused, "target web.muster.internal."},
		{"an address in another spelling", []string{"add order-api.svc 60 SRV 0 1000 80 ip-10-0-0-09.addr"},
			dns.RcodeRefused, "ip-192-0-2-1.addr"},
		{"an address in its mapped form", []string{"add order-api.svc 60 SRV 0 1000 80 ip6-0-0-0-0-0-ffff-a00-9.addr"},
			dns.RcodeRefused, "not the name"},
		{"an address as a target", []string{"add order-api.svc 60 SRV 0 1000 80 10.0.0.9."},
			dns.RcodeRefused, "ip-10-0-0-9.addr.muster.internal."},
		{"half an address as a target", []string{"add order-api.svc 60 SRV 0 1000 80 10.0.9."}, dns.RcodeRefused, "not a valid IP"},
		{"a target that is no host name", []string{`add order-api.svc 60 SRV 0 1000 80 a\032b.example.org.`},
			dns.RcodeRefused, "host name"},

		{"metadata without a value", []string{"add a.svc" + srv, `add a.svc 60 TXT "flag"`},
			dns.RcodeRefused, `"flag" is not of the form`},
		{"metadata without a key", []string{"add a.svc" + srv, `add a.svc 60 TXT " =x"`}, dns.RcodeRefused, "not of the form"},
		{"metadata that is not UTF-8", []string{"add a.svc" + srv, `add a.svc 60 TXT "a=\255"`}, dns.RcodeRefused, "UTF-8"},
		{"metadata said twice", []string{"add a.svc" + srv, `add a.svc 60 TXT "a=1" "a=2"`}, dns.RcodeRefused, "metadata a is"},
		{"metadata said twice in two records", []string{"add a.svc" + srv, `add a.svc 60 TXT "a=1"`, `add a.svc 60 TXT "a=2"`},
			dns.RcodeRefused, "metadata a is"},
		{"metadata of the lease", []string{"add a.svc" + srv, `add a.svc 60 TXT "preserved.ip.delete.timeout=1"`},
			dns.RcodeRefused, "RFC 9664"},
		{"metadata against the protocol", []string{"add _http._tcp.a.svc" + srv, `add _http._tcp.a.svc 60 TXT "protocol=grpc"`},
			dns.RcodeRefused, "asks for \"http\""},
		{"metadata against the version", []string{"add a.svc.v3.ver" + srv, `add a.svc.v3.ver 60 TXT "version=v4"`},
			dns.RcodeRefused, "asks for \"v3\""},
		{"one instance with two protocols", []string{"add _http._tcp.a.svc" + srv, "add _grpc._tcp.a.svc" + srv},
			dns.RcodeRefused, "metadata protocol"},
		{"one instance in two clusters", []string{"add a.svc.bj.cl" + srv, "add a.svc.sh.cl" + srv},
			dns.RcodeRefused, "another weight or cluster"},
		{"one instance with two weights", []string{"add a.svc" + srv, "add a.svc 60 SRV 0 2000 80 ip-10-0-0-9.addr"},
			dns.RcodeRefused, "another weight or cluster"},

		{"more instances than a message may change", []string{"delete many.svc"}, dns.RcodeRefused, fmt.Sprintf("more than %d instances", update.MaxChanges)},
		{"more records than a message may have", long, dns.RcodeRefused, "200 records"},
		{"more metadata than an instance may have", heavy, dns.RcodeRefused, "bytes of metadata, of at most 16384"},
		{"a lease of no time", []string{"lease 0 60", "add a.svc" + srv}, dns.RcodeRefused, "a lease of 0 s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := update.Read(message(t, c.script...), zone, snap, bounds, nil)
			wantError(t, got, err, c.rcode, c.text)
		})
	}
}

func wantError(t *testing.T, got update.Changes, err error, rcode int, text string) {
	t.Helper()
	e, ok := errors.AsType[*update.Error](err)
	if !ok || e.Rcode != rcode || !strings.Contains(e.Text, text) {
		t.Errorf("Read = %v, want %s: ... %s ...", err, dns.RcodeToString[rcode], text)
	}
	if diff := cmp.Diff(update.Changes{}, got); diff != "" {
		t.Errorf("Read with an error (-want +got):\n%s", diff)
	}
}

// What no client of the zone section's kind sends (RFC 2136, 3.1.1 and 3.4.1.3).
func TestReadKnowsMalformedMessages(t *testing.T) {
	const add = "add a.svc 60 SRV 0 1000 80 ip-10-0-0-9.addr"
	for _, c := range []struct {
		name   string
		script string
		edit   func(m *dns.Msg)
	}{
		{"no zone", add, func(m *dns.Msg) { m.Question = nil }},
		{"two zones", add, func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }},
		{"a zone that is not asked for by SOA", add, func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeANY }},
		{"a response", add, func(m *dns.Msg) { m.Response = true }},
		{"a query", add, func(m *dns.Msg) { m.Opcode = dns.OpcodeQuery }},
		{"add of another class", add, func(m *dns.Msg) { m.Ns[0].Header().Class = dns.ClassCHAOS }},
		{"add without data", add, func(m *dns.Msg) { m.Ns[0] = &dns.ANY{Hdr: *m.Ns[0].Header()} }},
		{"add of metadata without data", add, func(m *dns.Msg) {
			m.Ns = append(m.Ns, &dns.ANY{Hdr: dns.RR_Header{Name: m.Ns[0].Header().Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET}})
		}},
		{"add of all types",
			add, func(m *dns.Msg) { m.Ns[0] = &dns.ANY{Hdr: *m.Ns[0].Header()}; m.Ns[0].Header().Rrtype = dns.TypeANY }},
		{"add of a transfer",
			add, func(m *dns.Msg) { m.Ns[0] = &dns.ANY{Hdr: *m.Ns[0].Header()}; m.Ns[0].Header().Rrtype = dns.TypeAXFR }},
		{"delete of a set with data", add, func(m *dns.Msg) { m.Ns[0].Header().Class, m.Ns[0].Header().Ttl = dns.ClassANY, 0 }},
		{"delete of a set with a TTL", "delete a.svc SRV", func(m *dns.Msg) { m.Ns[0].Header().Ttl = 1 }},
		{"delete of a set of mail types", "delete a.svc SRV", func(m *dns.Msg) { m.Ns[0].Header().Rrtype = dns.TypeMAILB }},
		{"delete of a record with a TTL", "delete a.svc SRV 0 0 80 ip-10-0-0-9.addr", func(m *dns.Msg) { m.Ns[0].Header().Ttl = 1 }},
		{"delete of a record of all types", "delete a.svc", func(m *dns.Msg) { m.Ns[0].Header().Class = dns.ClassNONE }},
		{"delete of a record without data", "delete a.svc SRV", func(m *dns.Msg) { m.Ns[0].Header().Class = dns.ClassNONE }},
		{"prerequisite with a TTL", "yxdomain a.svc", func(m *dns.Msg) { m.Answer[0].Header().Ttl = 1 }},
		{"prerequisite of another class", "yxdomain a.svc", func(m *dns.Msg) { m.Answer[0].Header().Class = dns.ClassCHAOS }},
		{"prerequisite of a set with data", "yxrrset a.svc A 10.0.0.1",
			func(m *dns.Msg) { m.Answer[0].Header().Class = dns.ClassANY }},
		{"prerequisite of no set with data", "yxrrset a.svc A 10.0.0.1",
			func(m *dns.Msg) { m.Answer[0].Header().Class = dns.ClassNONE }},
		{"prerequisite of a record without data", "yxrrset a.svc A", func(m *dns.Msg) { m.Answer[0].Header().Class = dns.ClassINET }},
		{"prerequisite of a server without data", "yxrrset a.svc SRV",
			func(m *dns.Msg) { m.Answer[0].Header().Class = dns.ClassINET }},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := message(t, c.script)
			c.edit(m)
			got, err := update.Read(wired(t, m), zone, fixture(), bounds, nil)
			wantError(t, got, err, dns.RcodeFormatError, "")
		})
	}
}

func TestReadWithoutASnapshot(t *testing.T) {
	got, err := update.Read(message(t), zone, nil, bounds, nil)
	wantError(t, got, err, dns.RcodeServerFailure, zone)
}

func TestPrerequisites(t *testing.T) {
	snap := fixture()
	const (
		one   = "yxrrset order-api.svc.bj.cl SRV 0 1000 8080 ip-10-0-0-1.addr"
		two   = "yxrrset order-api.svc.bj.cl SRV 0 3000 8080 IP-10-0-0-2.addr"
		three = "yxrrset order-api.svc.bj.cl SRV 0 2000 8080 ip-10-0-0-3.addr"
	)
	for _, c := range []struct {
		name   string
		script []string
		rcode  int
	}{
		{"the name is in use", []string{"yxdomain order-api.svc"}, dns.RcodeSuccess},
		{"in mixed case", []string{"yxdomain ORDER-api.svc"}, dns.RcodeSuccess},
		{"by instances that are sick", []string{"yxdomain sick.svc", "yxrrset sick.svc SRV", "yxrrset sick.svc A"}, dns.RcodeSuccess},
		{"and must be free", []string{"nxdomain sick.svc"}, dns.RcodeYXDomain},
		{"the name is free", []string{"nxdomain nope.svc", "nxrrset nope.svc SRV"}, dns.RcodeSuccess},
		{"and must be in use", []string{"yxdomain nope.svc"}, dns.RcodeNameError},
		{"a service without instances is free", []string{"nxdomain empty.svc"}, dns.RcodeSuccess},
		{"a name that nobody can have is free", []string{"nxdomain *.svc", `nxdomain a\032b.svc`}, dns.RcodeSuccess},
		{"a name that only leads to others is free", []string{"nxdomain svc"}, dns.RcodeSuccess},
		{"a cluster is in use", []string{"yxdomain order-api.svc.sh-2.cl"}, dns.RcodeSuccess},
		{"a cluster is free", []string{"nxdomain order-api.svc.hz.cl"}, dns.RcodeSuccess},
		{"a version is in use", []string{"yxdomain order-api.svc.v2.ver"}, dns.RcodeSuccess},
		{"a selector is in use", []string{"yxrrset _http._tcp.order-api.svc SRV"}, dns.RcodeSuccess},
		{"a selector has no addresses", []string{"yxrrset _http._tcp.order-api.svc A"}, dns.RcodeNXRrset},
		{"a selector is free", []string{"nxdomain _ftp._tcp.order-api.svc"}, dns.RcodeSuccess},
		{"there are addresses", []string{"yxrrset order-api.svc A", "yxrrset v6only.svc AAAA"}, dns.RcodeSuccess},
		{"there are none of this family", []string{"nxrrset order-api.svc AAAA", "nxrrset v6only.svc A", "nxrrset ext-db.svc A"},
			dns.RcodeSuccess},
		{"but there must be", []string{"yxrrset v6only.svc A"}, dns.RcodeNXRrset},
		{"there is metadata", []string{"yxrrset order-api.svc TXT", "nxrrset v6only.svc TXT"}, dns.RcodeSuccess},
		{"there must be no metadata", []string{"nxrrset order-api.svc TXT"}, dns.RcodeYXRrset},
		{"there must be no server", []string{"nxrrset order-api.svc SRV"}, dns.RcodeYXRrset},
		{"there are no records of other types", []string{"nxrrset order-api.svc MX", "nxrrset order-api.svc TYPE65280"},
			dns.RcodeSuccess},
		{"there must be one of another type", []string{"yxrrset order-api.svc MX 10 a.example.org."}, dns.RcodeNXRrset},
		{"the records are these", []string{one, two}, dns.RcodeSuccess},
		{"the records are these, one said twice", []string{one, two, one}, dns.RcodeSuccess},
		{"the records are fewer", []string{one, two, three}, dns.RcodeNXRrset},
		{"the records are more", []string{one}, dns.RcodeNXRrset},
		{"a record has another weight", []string{one, "yxrrset order-api.svc.bj.cl SRV 0 3001 8080 ip-10-0-0-2.addr"},
			dns.RcodeNXRrset},
		{"the record of a host", []string{"yxrrset ext-db.svc SRV 0 1000 5432 db.example.NET."}, dns.RcodeSuccess},
		{"the addresses are these", []string{"yxrrset v6only.svc AAAA 2001:db8::1", "yxrrset sick.svc A 10.0.9.1"}, dns.RcodeSuccess},
		{"the addresses are others", []string{"yxrrset sick.svc A 10.0.9.2"}, dns.RcodeNXRrset},
		{"nobody has these addresses", []string{"yxrrset nope.svc A 10.0.9.2"}, dns.RcodeNXRrset},
		{"what metadata says", []string{`yxrrset order-api.svc TXT "a=1"`}, dns.RcodeRefused},
		{"the name of an address is in use", []string{"yxdomain ip-10-0-9-1.addr", "yxrrset ip-10-0-9-1.addr A 10.0.9.1"},
			dns.RcodeSuccess},
		{"the name of an address is free", []string{"nxdomain ip-10-9-9-9.addr", "nxrrset ip-10-0-9-1.addr AAAA"}, dns.RcodeSuccess},
		{"the apex is in use", []string{"yxdomain @", "yxrrset @ SOA", "yxrrset @ NS", "nxrrset @ A"}, dns.RcodeSuccess},
		{"what the apex says", []string{"yxrrset @ NS ns1"}, dns.RcodeRefused},
		{"the name of a server", []string{"nxdomain ns1"}, dns.RcodeRefused},
		{"a name outside of the zone", []string{"nxdomain a.example.org."}, dns.RcodeNotZone},
		{"the second one fails", []string{"yxdomain order-api.svc", "nxdomain v6only.svc"}, dns.RcodeYXDomain},
	} {
		t.Run(c.name, func(t *testing.T) {
			script := append([]string{"delete v6only.svc"}, c.script...)
			got, err := update.Read(message(t, script...), zone, snap, bounds, nil)
			if c.rcode != dns.RcodeSuccess {
				wantError(t, got, err, c.rcode, "prerequisite ")
			} else if err != nil || len(got.Deregister) != 1 {
				t.Errorf("Read = %v, %v, want one deregistered", lines(got), err)
			}
		})
	}
}

func TestLease(t *testing.T) {
	const add = "add a.svc 60 SRV 0 1000 80 ip-10-0-0-9.addr"
	long := 1000000 * time.Hour
	for _, c := range []struct {
		name             string
		lease            string
		bounds           update.LeaseBounds
		want             time.Duration
		key              uint32
		interval, silent string // of the instance, in milliseconds
	}{
		{"as asked for", "lease 3600", bounds, time.Hour, 0, "1800000", "3600000"},
		{"with a lease for keys", "lease 3600 7200", bounds, time.Hour, 7200, "1800000", "3600000"},
		{"with a lease for keys that is too long", "lease 3600 4000000000", bounds, time.Hour, 7200, "1800000", "3600000"},
		{"too short", "lease 1", bounds, 30 * time.Second, 0, "15000", "30000"},
		{"too long", "lease 4294967295", bounds, 2 * time.Hour, 0, "3600000", "7200000"},
		{"an odd number", "lease 31", bounds, 31 * time.Second, 0, "15500", "31000"},
		{"bounds that are no whole seconds", "lease 60", update.LeaseBounds{Max: 1500 * time.Millisecond},
			time.Second, 0, "500", "1000"},
		{"no bounds", "lease 4294967295", update.LeaseBounds{}, 2147483 * time.Second, 0, "1073741500", "2147483000"},
		{"no upper bound to speak of", "lease 4294967295", update.LeaseBounds{Max: long},
			2147483 * time.Second, 0, "1073741500", "2147483000"},
		{"bounds that cross", "lease 60", update.LeaseBounds{Min: long, Max: time.Minute}, time.Minute, 0, "30000", "60000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := update.Read(message(t, c.lease, add), zone, fixture(), c.bounds, nil)
			if err != nil {
				t.Fatal(err)
			}
			want := update.Changes{
				Lease: c.want, Option: &dns.EDNS0_UL{Code: dns.EDNS0UL, Lease: uint32(c.want / time.Second), KeyLease: c.key},
				Changes: registry.Changes{Register: []registry.Registration{{
					Key: registry.InstanceKey{
						Service:  registry.ServiceKey{Namespace: "public", Group: "DEFAULT_GROUP", Name: "a"},
						Endpoint: registry.Endpoint{Host: "10.0.0.9", Port: 80},
					},
					Cluster: "DEFAULT", Weight: 1, Enabled: true, Healthy: true, Witness: registry.WitnessHTTP,
					Metadata: registry.MetadataOf(map[string]string{
						registry.MetaBeatInterval: c.interval, registry.MetaBeatTimeout: c.silent, registry.MetaDeleteAfter: c.silent,
					}),
				}}},
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Read (-want +got):\n%s", diff)
			}
		})
	}
}
