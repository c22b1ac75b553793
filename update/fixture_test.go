package update_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/update"
)

const zone = "muster.internal."

// roll collects the records of a snapshot.
type roll []registry.Change

func (r *roll) put(rec registry.Record) {
	*r = append(*r, registry.Change{Key: rec.RecordKey(), Record: rec, Revision: 1})
}

// service adds a service, with its name unless another one has it.
func (r *roll) service(namespace, group, name string, shadowed bool) registry.ServiceKey {
	k := registry.ServiceKey{Namespace: namespace, Group: group, Name: name}
	r.put(&registry.ServiceRecord{Key: k, Shadowed: shadowed})
	if folded, ok := k.Folded(); ok && !shadowed {
		r.put(&registry.Claim{Folded: folded, Service: k})
	}
	return k
}

// kept adds the name of a service that is gone.
func (r *roll) kept(name string) {
	k := registry.ServiceKey{Namespace: "public", Group: "DEFAULT_GROUP", Name: name}
	folded, _ := k.Folded()
	r.put(&registry.Claim{Folded: folded, Service: k, Released: true})
}

// instance adds an instance; weights below 0 stand for one that is sick.
func (r *roll) instance(k registry.ServiceKey, endpoint string, weight float64, cluster string, pairs ...string) {
	host, port, _ := strings.Cut(endpoint, " ")
	n, _ := strconv.ParseUint(port, 10, 16)
	reg := &registry.Registration{
		Key:     registry.InstanceKey{Service: k, Endpoint: registry.Endpoint{Host: host, Port: uint16(n)}},
		Cluster: cluster, Weight: max(weight, -weight), Enabled: true, Healthy: weight >= 0,
	}
	for i := 0; i < len(pairs); i += 2 {
		reg.Metadata = reg.Metadata.Over(map[string]string{pairs[i]: pairs[i+1]})
	}
	r.put(reg)
}

func fixture() *registry.Snapshot {
	var r roll
	api := r.service("public", "DEFAULT_GROUP", "order-api", false)
	r.instance(api, "10.0.0.1 8080", 1, "bj", "protocol", "http", "version", "v1")
	r.instance(api, "10.0.0.2 8080", 3, "bj")
	r.instance(api, "10.0.0.3 8080", 2, "SH-2", "protocol", "Http", "version", "V2")
	r.instance(api, "10.0.0.4 8080", -1, "DEFAULT", "protocol", "dns/udp")
	v6 := r.service("public", "DEFAULT_GROUP", "v6only", false)
	r.instance(v6, "2001:db8::1 9000", 1, "DEFAULT")
	db := r.service("public", "DEFAULT_GROUP", "ext-db", false)
	r.instance(db, "DB.example.net. 5432", 1, "DEFAULT")
	sick := r.service("public", "DEFAULT_GROUP", "sick", false)
	r.instance(sick, "10.0.9.1 80", -1, "DEFAULT")
	pay := r.service("dev", "PAY:V2", "Order_API", false)
	r.instance(pay, "10.0.6.1 8080", 1, "DEFAULT")
	r.service("public", "DEFAULT_GROUP", "com.foo.Bar", false)
	shadow := r.service("public", "DEFAULT_GROUP", "com.foo.bar", true)
	r.instance(shadow, "10.0.4.2 80", 1, "DEFAULT")
	r.service("public", "DEFAULT_GROUP", "nameless", true)
	r.service("public", "DEFAULT_GROUP", "empty", false)
	r.kept("com.foo.Gone")
	r.kept("gone")
	many := r.service("public", "DEFAULT_GROUP", "many", false)
	for i := range update.MaxChanges + 1 {
		r.instance(many, fmt.Sprintf("10.0.7.%d 80", i), 1, "DEFAULT")
	}
	return (*registry.Snapshot)(nil).Apply(1, r)
}

// message returns what nsupdate sends for a script, with names below the zone.
// It goes through the wire, as what a server reads does.
func message(tb testing.TB, script ...string) *dns.Msg {
	tb.Helper()
	m := new(dns.Msg).SetUpdate(zone)
	for _, line := range script {
		command, rest, _ := strings.Cut(line, " ")
		switch command {
		case "zone":
			m.Question[0].Name = rest
		case "class":
			m.Question[0].Qclass = dns.StringToClass[rest]
		case "lease":
			o := &dns.EDNS0_UL{Code: dns.EDNS0UL}
			if _, err := fmt.Sscan(rest+" 0", &o.Lease, &o.KeyLease); err != nil {
				tb.Fatal(err)
			}
			m.SetEdns0(1232, false)
			m.IsEdns0().Option = append(m.IsEdns0().Option, o)
		case "add":
			m.Insert([]dns.RR{record(tb, rest)})
		case "delete":
			m.Ns = append(m.Ns, condition(tb, dns.ClassANY, dns.ClassNONE, rest))
		case "nxdomain", "nxrrset":
			m.Answer = append(m.Answer, condition(tb, dns.ClassNONE, dns.ClassNONE, rest))
		case "yxdomain", "yxrrset":
			m.Answer = append(m.Answer, condition(tb, dns.ClassANY, dns.ClassINET, rest))
		default:
			tb.Fatalf("unknown command %q", line)
		}
	}
	return wired(tb, m)
}

// wired returns a message as it is read at the other end.
func wired(tb testing.TB, m *dns.Msg) *dns.Msg {
	tb.Helper()
	wire, err := m.Pack()
	if err != nil {
		tb.Fatal(err)
	}
	read := new(dns.Msg)
	if err := read.Unpack(wire); err != nil {
		tb.Fatal(err)
	}
	return read
}

// condition returns NAME [TYPE [DATA]] as a record of one class, or of the other
// when it has data.
func condition(tb testing.TB, bare, full uint16, text string) dns.RR {
	tb.Helper()
	words := strings.SplitN(text, " ", 3)
	h := dns.RR_Header{Name: name(words[0]), Rrtype: dns.TypeANY, Class: bare}
	switch len(words) {
	case 2:
		h.Rrtype = dns.StringToType[words[1]]
	case 3:
		rr := record(tb, words[0]+" 0 "+words[1]+" "+words[2])
		rr.Header().Class = full
		return rr
	}
	return &dns.ANY{Hdr: h}
}

func record(tb testing.TB, text string) dns.RR {
	tb.Helper()
	owner, rest, _ := strings.Cut(text, " ")
	rr, ok := dns.NewZoneParser(strings.NewReader(name(owner)+" "+rest+"\n"), zone, "").Next()
	if !ok {
		tb.Fatalf("not a record: %q", text)
	}
	return rr
}

// name makes a name absolute; @ is the zone.
func name(s string) string {
	switch {
	case s == "@":
		return zone
	case dns.IsFqdn(s):
		return s
	}
	return s + "." + zone
}

// lines tells changes in a form that is read at a glance.
func lines(c update.Changes) []string {
	var out []string
	for _, r := range c.Register {
		line := fmt.Sprintf("+%s %v %s", r.Key, r.Weight, r.Cluster)
		if r.Metadata.Len() > 0 {
			line += fmt.Sprintf(" %v", r.Metadata)
		}
		if r.Witness != "" {
			line += " " + string(r.Witness)
		}
		if !r.Enabled || !r.Healthy {
			line += " out of order"
		}
		out = append(out, line)
	}
	for _, k := range c.Deregister {
		out = append(out, "-"+k.String())
	}
	return out
}
