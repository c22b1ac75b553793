package answer_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/musterhq/muster/answer"
	"github.com/musterhq/muster/registry"
)

// rich is plain with what else may become of an instance.
func rich() *registry.Snapshot {
	var r roll
	fill(&r)
	judged := r.service("judged", 0)
	r.instance(judged, "10.0.12.1", 80, 1)
	r.instance(judged, "10.0.12.2", 80, 1, func(reg *registry.Registration) { reg.Witness = registry.WitnessAgent("web-1") })
	r.put(&registry.AgentRecord{ID: "web-1", Incarnation: "one"})
	r.put(&registry.Verdict{Key: registry.VerdictKey{Witness: "agent/web-1", Class: "15000-30000"}, Incarnation: "one"})
	placed := func(name string, o registry.DNSOptions) {
		k := registry.ServiceKey{Namespace: "public", Group: "DEFAULT_GROUP", Name: name}
		r.put(&registry.ServiceRecord{Key: k, DNS: o})
		r.put(&registry.Claim{Folded: name + ".svc", Service: k})
		r.instance(k, "10.0.13.1", 80, 3, meta("zone", "a", "region", "r"))
		r.instance(k, "10.0.13.1", 81, 1, meta("zone", "a", "region", "r", "alpn", "h2"))
		r.instance(k, "2001:db8::13:2", 80, 2, meta("zone", "b", "region", "r"))
		r.instance(k, "10.0.13.3", 80, 700, meta("region", "s", "alpn", "h2"))
		r.instance(k, "db.example.net", 80, 1, meta("zone", "b", "region", "r"))
	}
	for _, mode := range []string{"", "ordered", "sampled", "single"} {
		for _, topology := range []string{"", "prefer", "pin"} {
			placed("placed"+mode+topology, registry.DNSOptions{Mode: mode, Topology: topology})
		}
	}
	hosts := registry.ServiceKey{Namespace: "public", Group: "DEFAULT_GROUP", Name: "hosts"}
	r.put(&registry.ServiceRecord{Key: hosts, DNS: registry.DNSOptions{Topology: "prefer"}})
	r.put(&registry.Claim{Folded: "hosts.svc", Service: hosts})
	r.instance(hosts, "a.example.net", 80, 1, meta("zone", "a"))
	r.instance(hosts, "b.example.net", 80, 3, meta("zone", "a"))
	r.instance(hosts, "c.example.net", 80, 1, meta("zone", "b"))
	many := r.service("many", 0)
	for i := range 20 {
		r.instance(many, fmt.Sprintf("10.1.0.%d", i), 80, float64(i%4))
	}
	r.put(&registry.Claim{Folded: "gone.svc", Service: registry.ServiceKey{Namespace: "public", Group: "DEFAULT_GROUP", Name: "Gone"}, Released: true})
	return r.snapshot()
}

func TestExplain(t *testing.T) {
	snap := rich()
	in := func(zone, region string) answer.Place { return answer.Place{Zone: zone, Region: region} }
	for _, c := range []struct {
		name string
		ask  answer.Question
		want string // as tell has it
	}{
		{"each reason", answer.Question{Name: "order-api.svc", Type: answer.A},
			"service folded; 10.0.0.1 17% 1000; 10.0.0.2 50% 3000; 10.0.0.3 33% 2000; 10.0.0.4 unhealthy; 10.0.0.5 weight 0; 10.0.0.6 disabled; 10.0.0.7 unhealthy"},
		{"a cluster", answer.Question{Name: "order-api.svc.bj.cl", Type: answer.SRV},
			"service folded cluster; 10.0.0.1 25% 1000; 10.0.0.2 75% 3000; 10.0.0.3 other cluster; 10.0.0.4 other cluster; 10.0.0.5 other cluster; 10.0.0.6 other cluster; 10.0.0.7 other cluster"},
		{"a version and a selector", answer.Question{Name: "_http._tcp.order-api.svc.v1.ver", Type: answer.SRV},
			"service folded version selector; 10.0.0.1 100% 1000; 10.0.0.2 other version; 10.0.0.3 other version; 10.0.0.4 other version; 10.0.0.5 other version; 10.0.0.6 other version; 10.0.0.7 other version"},
		{"a selector with another type", answer.Question{Name: "_dubbo._tcp.providers.com.foo.demoservice.1.0.svc", Type: answer.A},
			"service folded selector nodata; 10.0.5.1 not of this type"},
		{"a cluster that there is not", answer.Question{Name: "shaky.svc.bj.cl", Type: answer.A},
			"service folded cluster noname; 10.0.10.1 other cluster; 10.0.10.2 other cluster; near shaky.svc shaky.svc.default.cl"},
		{"a protocol that nobody speaks", answer.Question{Name: "_ftp._tcp.order-api.svc", Type: answer.SRV},
			"service folded selector noname; 10.0.0.1 other protocol; 10.0.0.2 other protocol; 10.0.0.3 other protocol; " +
				"10.0.0.4 other protocol; 10.0.0.5 other protocol; 10.0.0.6 other protocol; 10.0.0.7 other protocol; near _http._tcp.order-api.svc"},
		{"silent", answer.Question{Name: "judged.svc", Type: answer.A}, "service folded; 10.0.12.1 100% 1000; 10.0.12.2 silent"},
		{"protected", answer.Question{Name: "shaky.svc", Type: answer.A}, "service folded protected; 10.0.10.1 50% 1000; 10.0.10.2 50% 1000"},
		{"none healthy", answer.Question{Name: "sick.svc", Type: answer.A}, "service folded nodata none healthy; 10.0.9.1 unhealthy"},
		{"the other family", answer.Question{Name: "dual.svc", Type: answer.AAAA}, "service folded; 10.0.1.1 no address of this family; 2001:db8::2 100% 1000"},
		{"a host name for want of addresses", answer.Question{Name: "ext-db.svc", Type: answer.A}, "service folded; db.example.net 100% 1000"},
		{"a host name beside addresses", answer.Question{Name: "mixed.svc", Type: answer.A}, "service folded; 10.0.3.1 100% 1000; db.example.net host name"},
		{"ALPN", answer.Question{Name: "told.svc", Type: answer.SVCB}, "service folded; 10.0.11.1 100% 1000; 10.0.11.2 no alpn"},
		{"metadata", answer.Question{Name: "told.svc", Type: answer.TXT}, "service folded; 10.0.11.1 not of this type; 10.0.11.2 not of this type"},
		{"near first", answer.Question{Name: "placedprefer.svc", Type: answer.SRV, From: in("b", "r")},
			"service folded; 10.0.13.1 0% 30; 10.0.13.1 0% 10; 10.0.13.3 0% 7000; 2001:db8::13:2 67% 20; db.example.net 33% 10"},
		{"near alone", answer.Question{Name: "placedpin.svc", Type: answer.A, From: in("a", "")},
			"service folded; 10.0.13.1 75% 3000; 10.0.13.1 25% 1000; 10.0.13.3 further away; 2001:db8::13:2 further away; db.example.net further away"},
		{"near alone, sampled", answer.Question{Name: "placedsampledprefer.svc", Type: answer.A, From: in("a", "")},
			"service folded; 10.0.13.1 75% 30; 10.0.13.1 25% 10; 10.0.13.3 further away; 2001:db8::13:2 no address of this family; db.example.net host name"},
		{"its exact name, shadowed", answer.Question{Name: "h-694744168e.svc", Type: answer.A},
			"service exact; 10.0.4.2 100% 1000; com.foo.bar.svc of com.foo.Bar not com.foo.bar"},
		{"a name that shadows", answer.Question{Name: "com.foo.bar.svc", Type: answer.A},
			"service folded; 10.0.4.1 100% 1000; com.foo.bar.svc of com.foo.Bar not com.foo.bar"},
		{"a name that is kept", answer.Question{Name: "gone.svc", Type: answer.A}, "unknown noname; gone.svc kept for Gone"},
		{"an instance", answer.Question{Name: "ip-10-0-0-6.order-api.inst", Type: answer.A}, "instance inst folded; 10.0.0.6 100% 1000"},
		{"metadata of an instance", answer.Question{Name: "ip-10-0-0-1.order-api.inst", Type: answer.TXT}, "instance inst folded; 10.0.0.1 0% 1000"},
		{"an address", answer.Question{Name: "ip-10-0-13-1.addr", Type: answer.A}, "address; 10.0.13.1 0% 0"},
		{"a list", answer.Question{Name: "_dubbo._tcp", Type: answer.PTR}, "list"},
		{"browsed", answer.Question{Name: `providers\.com\.foo\.demoservice\.1\.0._dubbo._tcp`, Type: answer.SRV}, "service browse; 10.0.5.1 100% 1000"},
		{"above names", answer.Question{Name: "svc", Type: answer.A}, "above nodata"},
		{"a letter wrong", answer.Question{Name: "order-ap.svc", Type: answer.A}, "unknown noname; near order-api.svc order-api.svc.pay-v2.grp.dev.ns"},
		{"the wrong namespace", answer.Question{Name: "order-api.svc.prod.ns", Type: answer.A},
			"unknown noname; near order-api.svc order-api.svc.pay-v2.grp.dev.ns"},
		{"like nothing", answer.Question{Name: "nothing-of-the-kind.svc", Type: answer.A}, "unknown noname"},
	} {
		if diff := cmp.Diff(c.want, tell(answer.Explain(snap, c.ask))); diff != "" {
			t.Errorf("%s: Explain(%+v): -want +got\n%s", c.name, c.ask, diff)
		}
	}
}

// sites are the labels of clients by address.
type sites map[netip.Addr]map[string]string

func (s sites) Of(a netip.Addr) map[string]string                 { return s[a] }
func (s sites) OfNetwork(p netip.Prefix) (map[string]string, int) { return s[p.Addr()], p.Bits() }
func (s sites) Generation() uint64                                { return 1 }

// What is counted healthy is among what is counted at all: a selector leaves the
// others out of both.
func TestExplainASelector(t *testing.T) {
	near, far, nowhere := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.3")
	known := sites{near: {"site": "a"}, far: {"site": "b"}, nowhere: {"site": "c"}}
	var r roll
	k := registry.ServiceKey{Namespace: registry.DefaultNamespace, Group: registry.DefaultGroup, Name: "shop"}
	r.put(&registry.ServiceRecord{Key: k, Selector: registry.Selector{Labels: "CONSUMER.label.site = PROVIDER.label.site"}})
	r.put(&registry.Claim{Folded: "shop.svc", Service: k})
	r.instance(k, "10.0.0.1", 80, 1, meta("site", "a"))
	r.instance(k, "10.0.0.2", 80, 1, meta("site", "a"), sick)
	r.instance(k, "10.0.0.3", 80, 1, meta("site", "b"))
	r.instance(k, "10.0.0.4", 80, 1, meta("site", "b"))
	r.instance(k, "10.0.0.5", 80, 1, meta("site", "c"), sick)
	snap := registry.Empty(registry.Policy{Labels: known}).Apply(1, r)
	for _, c := range []struct {
		from         netip.Addr
		healthy, all int
		want         string
	}{
		{near, 1, 2, "service folded; 10.0.0.1 100% 1000; 10.0.0.2 unhealthy; 10.0.0.3 other labels; 10.0.0.4 other labels; 10.0.0.5 unhealthy"},
		{far, 2, 2, "service folded; 10.0.0.1 other labels; 10.0.0.2 unhealthy; 10.0.0.3 50% 1000; 10.0.0.4 50% 1000; 10.0.0.5 unhealthy"},
		{nowhere, 3, 5, "service folded; 10.0.0.1 33% 1000; 10.0.0.2 unhealthy; 10.0.0.3 33% 1000; 10.0.0.4 33% 1000; 10.0.0.5 unhealthy"},
	} {
		from := answer.Place{Network: netip.PrefixFrom(c.from, c.from.BitLen())}
		e := answer.Explain(snap, answer.Question{Name: "shop.svc", Type: answer.SRV, From: from})
		if got := tell(e); got != c.want || e.Healthy != c.healthy || e.All != c.all {
			t.Errorf("Explain from %s = %q, %d/%d healthy, want %q, %d/%d", c.from, got, e.Healthy, e.All, c.want, c.healthy, c.all)
		}
	}
}

// tell writes an explanation down; instances of one address once for each port.
func tell(e answer.Explanation) string {
	head := string(e.Is)
	for _, p := range e.By {
		head += " " + string(p)
	}
	head += map[answer.Status]string{answer.Found: "", answer.NoData: " nodata", answer.NoName: " noname"}[e.Answer.Status]
	head += map[answer.Reason]string{answer.NoneHealthy: " none healthy", answer.Protected: " protected"}[e.Answer.Reason]
	parts := []string{head}
	listed := map[string]bool{}
	for _, c := range e.Instances {
		host := c.Key.Endpoint.Host
		if e.Is == answer.NameOfAddress && listed[host] {
			continue
		}
		listed[host] = true
		if c.Why != "" {
			parts = append(parts, host+" "+string(c.Why))
		} else {
			parts = append(parts, fmt.Sprintf("%s %.0f%% %d", host, 100*c.Share, c.SRVWeight))
		}
	}
	if c := e.Claim; c != nil && (c.Kept || len(c.Shadowed) > 0) {
		text := c.Name + " of " + c.Holder.Name
		if c.Kept {
			text = c.Name + " kept for " + c.Holder.Name
		}
		for _, k := range c.Shadowed {
			text += " not " + k.Name
		}
		parts = append(parts, text)
	}
	if len(e.Near) > 0 {
		parts = append(parts, "near "+strings.Join(e.Near, " "))
	}
	return strings.Join(parts, "; ")
}

func TestExplainReverse(t *testing.T) {
	snap := rich()
	e := answer.ExplainReverse(snap, netip.MustParseAddr("10.0.0.1"))
	if len(e.Instances) != 1 || e.Instances[0].Key.Service.Name != "order-api" || !slices.Equal(e.Answer.Names, []string{"ip-10-0-0-1.addr"}) {
		t.Errorf("ExplainReverse(10.0.0.1) = %+v, want one instance of order-api", e)
	}
	if e = answer.ExplainReverse(snap, netip.MustParseAddr("10.9.9.9")); e.Answer.Status != answer.NoName {
		t.Errorf("ExplainReverse(10.9.9.9) = %+v, want no such name", e)
	}
}

// What is explained as answered is what is answered, and nothing else.
func TestExplanationsAgreeWithAnswers(t *testing.T) {
	snap := rich()
	var names []string
	for _, s := range snap.Services() {
		for n := range s.Names() {
			names = append(names, n.String(), "_http._tcp."+n.String(), "_dubbo._tcp."+n.String(), "_syslog._udp."+n.String())
			for i := range s.Instances.All() {
				if i.Addr.IsValid() {
					label, _, _ := strings.Cut(string(answer.AppendAddress(nil, i.Addr)), ".")
					names = append(names, label+"."+n.Instances(), label+".addr")
				}
			}
		}
	}
	for list, of := range answer.Lists(snap) {
		names = append(names, list)
		names = slices.AppendSeq(names, of)
	}
	names = append(names, "", "svc", "nope.svc", "order-api.svc.gz.cl", "x.order-api.svc")
	var r answer.Resolver
	places := []answer.Place{{}, {Zone: "a", Region: "r"}, {Zone: "b"}, {Region: "s"}, {Zone: "nowhere"}}
	for _, name := range names {
		for _, typ := range []answer.Type{answer.Other, answer.A, answer.AAAA, answer.SRV, answer.CNAME, answer.TXT, answer.PTR, answer.SVCB, answer.Any} {
			q := answer.Question{Name: name, Type: typ, Raw: true}
			agree(t, &r, snap, q)
			q.Mode = registry.ModeSampled
			agree(t, &r, snap, q)
			if s := answer.Explain(snap, q).Service; s == nil || s.DNS.Topology == "" {
				continue
			}
			for _, q.From = range places {
				agree(t, &r, snap, q)
			}
		}
	}
}

func agree(t *testing.T, r *answer.Resolver, snap *registry.Snapshot, q answer.Question) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(1, 2))
	e := answer.Explain(snap, q)
	a := r.Resolve(snap, q, rnd)
	sorted := cmpopts.SortSlices(strings.Compare)
	if a.Status != e.Answer.Status || a.Reason != e.Answer.Reason || a.Placed != e.Answer.Placed || !cmp.Equal(a.Names, e.Answer.Names, sorted, cmpopts.EquateEmpty()) {
		t.Fatalf("Explain(%+v).Answer = %+v, but Resolve = %+v", q, e.Answer, a)
	}
	want := map[string]bool{}
	total := 0.0
	for _, c := range e.Instances {
		total += c.Share
		switch {
		case c.Why != "" || q.Type == answer.TXT:
		case q.Type == answer.SRV:
			want[fmt.Sprintf("%s %d %d", c.Key.Endpoint, c.SRVWeight, c.Priority)] = true
		case q.Type == answer.SVCB:
			want[c.Key.Endpoint.String()] = true
		default:
			want[c.Key.Endpoint.Host] = true
		}
		if c.Why != "" && c.Share != 0 {
			t.Fatalf("Explain(%+v): %s is not answered (%s) and has a share", q, c.Key, c.Why)
		}
	}
	if len(want) > 0 && e.Is != answer.NameOfAddress && (total < 0.999 || total > 1.001) && !weightless(e) {
		t.Fatalf("Explain(%+v): shares add up to %v, want 1", q, total)
	}
	// One draw may be a part of what is answered: then many are all of it.
	draws := 5
	if len(want) > 0 && (a.Alias != "" || q.Type == answer.SVCB || e.Mode != "" && e.Mode != registry.ModeOrdered) {
		draws = 10000
	}
	got := map[string]bool{}
	for n := 0; n < draws && (len(got) < len(want) || n < 5); n++ {
		a := r.Resolve(snap, q, rnd)
		if q.Type == answer.Any {
			a.Addrs = nil // it says only that there is something
		}
		for _, one := range answered(a) {
			got[one] = true
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("Explain(%+v): -explained +answered\n%s", q, diff)
	}
}

func weightless(e answer.Explanation) bool {
	return !slices.ContainsFunc(e.Instances, func(c answer.Candidate) bool { return c.Why == "" && c.Weight > 0 })
}

// answered returns what an answer holds of instances.
func answered(a answer.Answer) (all []string) {
	for _, addr := range a.Addrs {
		all = append(all, addr.String())
	}
	for _, s := range a.Servers {
		host := s.Host
		if host == "" {
			host = s.Addr.String()
		}
		e := registry.Endpoint{Host: host, Port: s.Port}.String()
		if s.ALPN == "" {
			e += fmt.Sprintf(" %d %d", s.Weight, s.Priority)
		}
		all = append(all, e)
	}
	if a.Alias != "" {
		all = append(all, a.Alias)
	}
	return all
}
