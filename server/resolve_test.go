package server_test

import (
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/musterhq/muster/answer"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server"
)

func TestDNSOptionsOfAService(t *testing.T) {
	s := running(t)
	c := dial(t, s)
	n := client.Name{Name: "order-api"}
	want := &api.ServiceDNS{TTL: new(uint32(0)), Mode: "sampled", Topology: "pin"}
	got, err := c.PutService(t.Context(), n, api.ServiceSpec{DNS: want})
	if diff := cmp.Diff(want, got.DNS); err != nil || diff != "" {
		t.Errorf("PutService: %v, -want +got\n%s", err, diff)
	}
	if got, err = c.PutService(t.Context(), n, api.ServiceSpec{ProtectThreshold: 0.5}); err != nil || got.DNS != nil {
		t.Errorf("PutService without options = %+v, %v, want none left", got.DNS, err)
	}
	for _, body := range []string{`{"dns":{"ttl":-1}}`, `{"dns":{"ttl":4294967296}}`, `{"dns":{"ttl":"5"}}`, `{"dns":{"tll":5}}`} {
		status, _, answer := call(t, http.MethodPut, base(s)+"/v1/services/public/DEFAULT_GROUP/order-api", "application/json", strings.NewReader(body))
		if status != http.StatusUnprocessableEntity && status != http.StatusBadRequest || !strings.Contains(answer, "dns.t") {
			t.Errorf("PUT %s = %d %s, want 400 or 422 that names the field", body, status, answer)
		}
	}
}

func TestClaimName(t *testing.T) {
	c := dial(t, running(t))
	first, second, none := client.Name{Name: "com.foo.Bar"}, client.Name{Name: "com.foo.bar"}, client.Name{Name: "héllo"}
	for _, n := range []client.Name{first, second, none} {
		if _, err := c.Register(t.Context(), n, api.Instance{Address: "192.0.2.1", Port: 80}); err != nil {
			t.Fatal(err)
		}
	}
	shadowed, err := c.Service(t.Context(), second)
	holder := &api.DNSHolder{ServiceRef: api.ServiceRef{Namespace: "public", Group: "DEFAULT_GROUP", Name: "com.foo.Bar"}}
	if diff := cmp.Diff(holder, shadowed.DNSHolder); err != nil || diff != "" || !shadowed.DNSShadowed || shadowed.DNSFolded != "com.foo.bar.svc" {
		t.Errorf("Service(shadowed) = %+v, %v, want the holder (-want +got)\n%s", shadowed, err, diff)
	}
	list, err := c.Instances(t.Context(), second, client.InstanceQuery{})
	if err != nil || len(list.Instances) != 1 || list.Instances[0].DNSName != "ip-192-0-2-1.h-694744168e.inst" {
		t.Errorf("Instances(shadowed) = %+v, %v, want one with its exact name", list.Instances, err)
	}
	got, err := c.ClaimName(t.Context(), second)
	if err != nil || got.DNSName != "com.foo.bar.svc" || got.DNSShadowed || got.DNSHolder != nil {
		t.Errorf("ClaimName = %+v, %v, want the service with its folded name", got, err)
	}
	if lost, err := c.Service(t.Context(), first); err != nil || lost.DNSName != "" || !lost.DNSShadowed {
		t.Errorf("Service(who held it) = %+v, %v, want it shadowed", lost, err)
	}
	if _, err := c.ClaimName(t.Context(), client.Name{Name: "nothing"}); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("ClaimName(unknown) = %v, want not found", err)
	}
	if _, err := c.ClaimName(t.Context(), none); !errors.Is(err, client.ErrConflict) {
		t.Errorf("ClaimName(without a folded name) = %v, want a conflict", err)
	}
}

func TestExplainOverHTTP(t *testing.T) {
	s, _ := start(t, server.Config{Zones: []string{"example.org", "dc.example.org", "2.0.192.in-addr.arpa"}})
	c := dial(t, s)
	n := client.Name{Name: "order-api"}
	if _, err := c.PutService(t.Context(), n, api.ServiceSpec{DNS: &api.ServiceDNS{Topology: "pin"}}); err != nil {
		t.Fatal(err)
	}
	for ip, zone := range map[string]string{"192.0.2.1": "a", "192.0.2.2": "b"} {
		if _, err := c.Register(t.Context(), n, api.Instance{Address: ip, Port: 80, Metadata: map[string]string{"zone": zone}}); err != nil {
			t.Fatal(err)
		}
	}
	s.Source().Rules("DC.example.org.", func(from netip.Addr) answer.Rule {
		if from != netip.MustParseAddr("192.0.2.200") {
			t.Errorf("the rules are asked for somebody at %s", from)
		}
		ttl := func(s *registry.Service) uint32 {
			if s.Key.Name != "order-api" {
				t.Errorf("the rules are asked for %s", s.Key)
			}
			return 7
		}
		return answer.Rule{TTL: ttl, Mode: "single", From: answer.Place{Zone: "b"}}
	})
	for _, tc := range []struct {
		name string
		q    client.ResolveQuery
		zone string
		is   string
		want string // status, then who is answered
	}{
		{"below the first zone", client.ResolveQuery{Name: "order-api.svc"}, "example.org.", "service", "found 192.0.2.1 192.0.2.2"},
		{"whole, in a zone below another", client.ResolveQuery{Name: "Order-API.svc.dc.example.org", Type: "a", From: "::ffff:192.0.2.200"}, "dc.example.org.", "service", "found 192.0.2.2"},
		{"whole, in no zone", client.ResolveQuery{Name: "order-api.svc.example.net."}, "", "outside", "refused"},
		{"the zone itself", client.ResolveQuery{Name: "example.org", Type: "A"}, "example.org.", "zone", "nodata"},
		{"the zone itself, what it has", client.ResolveQuery{Name: "Example.ORG", Type: "SOA"}, "example.org.", "zone", "found"},
		{"a name server", client.ResolveQuery{Name: "ns1.example.org", Type: "A"}, "example.org.", "nameserver", "found"},
		{"a name server, what it has not", client.ResolveQuery{Name: "ns1.example.org", Type: "AAAA"}, "example.org.", "nameserver", "nodata"},
		{"reverse", client.ResolveQuery{Name: "1.2.0.192.in-addr.arpa", Type: "PTR"}, "2.0.192.in-addr.arpa.", "reverse", "found 192.0.2.1"},
		{"reverse of an address that is not registered", client.ResolveQuery{Name: "9.2.0.192.in-addr.arpa", Type: "PTR"}, "2.0.192.in-addr.arpa.", "reverse", "nxdomain"},
		{"reverse, another type", client.ResolveQuery{Name: "1.2.0.192.in-addr.arpa", Type: "A"}, "2.0.192.in-addr.arpa.", "reverse", "nodata"},
		{"above reverse names", client.ResolveQuery{Name: "2.0.192.in-addr.arpa", Type: "PTR"}, "2.0.192.in-addr.arpa.", "above", "nodata"},
		{"reverse in no zone", client.ResolveQuery{Name: "1.0.0.10.in-addr.arpa", Type: "PTR"}, "", "reverse", "refused"},
		{"unknown", client.ResolveQuery{Name: "order-ap.svc"}, "example.org.", "unknown", "nxdomain"},
	} {
		e, err := c.Explain(t.Context(), tc.q)
		got := e.Status
		for _, i := range e.Instances {
			if i.Answered {
				got += " " + i.Address
			}
		}
		if err != nil || e.Zone != tc.zone || e.Is != tc.is || got != tc.want {
			t.Errorf("%s: Explain(%+v) = zone %q, %s, %s, %v; want zone %q, %s, %s", tc.name, tc.q, e.Zone, e.Is, got, err, tc.zone, tc.is, tc.want)
		}
		if tc.zone == "dc.example.org." {
			want := &api.AnswerRules{Mode: "single", TTL: new(uint32(7)), Topology: "pin", Zone: "b"}
			if diff := cmp.Diff(want, e.Rules); diff != "" {
				t.Errorf("%s: rules -want +got\n%s", tc.name, diff)
			}
		}
		if tc.is == "unknown" && !slices.Equal(e.Near, []string{"order-api.svc"}) {
			t.Errorf("%s: near = %q, want order-api.svc", tc.name, e.Near)
		}
	}
}

// Letters that are longer or shorter in lower case leave a name as long as it is.
func TestExplainNamesThatAreNotASCII(t *testing.T) {
	c := dial(t, running(t))
	for _, name := range []string{strings.Repeat("\u023a", 25), strings.Repeat("\u212a", 20), strings.Repeat("a\xff", 25), "\u023a.svc"} {
		e, err := c.Explain(t.Context(), client.ResolveQuery{Name: name + ".Muster.internal."})
		if err != nil || e.Status != "nxdomain" || e.Name != strings.ToValidUTF8(name, "�") {
			t.Errorf("Explain(%q) = %s %q, %v, want nxdomain of what stands before the zone", name, e.Status, e.Name, err)
		}
	}
}

// What is explained of a reverse name is what DNS says of it.
func TestExplainReverseAgreesWithDNS(t *testing.T) {
	s, _ := start(t, server.Config{Zones: []string{"example.org", "in-addr.arpa", "9.9.10.in-addr.arpa", "ip6.arpa"}})
	c := dial(t, s)
	for _, ip := range []string{"192.0.2.1", "2001:db8::1"} {
		if _, err := c.Register(t.Context(), client.Name{Name: "order-api"}, api.Instance{Address: ip, Port: 80}); err != nil {
			t.Fatal(err)
		}
	}
	const six = "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa."
	for _, name := range []string{
		"in-addr.arpa.", "192.in-addr.arpa.", "0.192.in-addr.arpa.", "2.0.192.in-addr.arpa.", "1.2.0.192.in-addr.arpa.",
		"2.2.0.192.in-addr.arpa.", "0.1.2.0.192.in-addr.arpa.", "3.0.192.in-addr.arpa.", "1.192.in-addr.arpa.", "11.in-addr.arpa.",
		"10.in-addr.arpa.", "9.10.in-addr.arpa.", "9.9.10.in-addr.arpa.", "1.9.9.10.in-addr.arpa.", "8.9.10.in-addr.arpa.",
		"foo.in-addr.arpa.", "0192.in-addr.arpa.", "256.in-addr.arpa.", "*.192.in-addr.arpa.", "x.2.0.192.in-addr.arpa.",
		"ip6.arpa.", "2.ip6.arpa.", "3.ip6.arpa.", "g.ip6.arpa.", "20.ip6.arpa.", six, "1." + six, "2." + six, "0.1." + six,
	} {
		for _, qtype := range []uint16{dns.TypePTR, dns.TypeA} {
			reply, err := dns.Exchange(new(dns.Msg).SetQuestion(name, qtype), s.Addresses().DNS)
			if err != nil {
				t.Fatal(err)
			}
			want := strings.ToLower(dns.RcodeToString[reply.Rcode])
			switch {
			case len(reply.Answer) > 0:
				want = "found"
			case reply.Rcode == dns.RcodeSuccess:
				want = "nodata"
			}
			e, err := c.Explain(t.Context(), client.ResolveQuery{Name: strings.ToUpper(name), Type: dns.TypeToString[qtype]})
			if err != nil || e.Status != want {
				t.Errorf("Explain(%s %s) = %s, %v, want %s as DNS says", name, dns.Type(qtype), e.Status, err, want)
			}
		}
	}
}

func TestSourceOfThePlugin(t *testing.T) {
	s := running(t)
	if got := s.Hold(); got != 5*time.Second {
		t.Errorf("a name is kept for %v before anybody told, want 5s", got)
	}
	for _, d := range []time.Duration{time.Second, 40 * time.Second, 3 * time.Second} { // a zone, another one, a reload
		s.Source().Kept(d)
	}
	if got := s.Hold(); got != 40*time.Second {
		t.Errorf("a name is kept for %v, want the longest time that was told, 40s", got)
	}
	changed := s.Source().Changed()
	before := s.Source().Snapshot().Revision()
	if _, err := dial(t, s).PutService(t.Context(), client.Name{Name: "s"}, api.ServiceSpec{}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
	default:
		t.Errorf("Changed() is open at revision %d, want it closed after %d", s.Source().Snapshot().Revision(), before)
	}
}

// An agent is told how long answers are kept by the Corefile that is in force.
func TestBeatsFollowTheTimesToLive(t *testing.T) {
	s := running(t)
	c := dial(t, s)
	set := []api.AgentInstance{{Service: "app", Address: "10.0.0.1", Port: 80, Health: api.HealthPassing}}
	if _, err := c.PutAgent(t.Context(), "web-1", api.AgentSet{Incarnation: "1", Host: "web-1", Instances: set}); err != nil {
		t.Fatal(err)
	}
	digest, health := api.Digest(set)
	hold := func() int64 {
		t.Helper()
		answer, err := c.BeatAgent(t.Context(), "web-1", api.AgentBeat{Incarnation: "1", Sequence: 1, Digest: digest, Health: health})
		if err != nil {
			t.Fatal(err)
		}
		return answer.Hold
	}
	for _, ttl := range []uint32{60, 7} {
		hold() // it is known by now
		s.Source().Rules("muster.internal.", func(netip.Addr) answer.Rule {
			return answer.Rule{TTL: func(*registry.Service) uint32 { return ttl }}
		})
		if got := hold(); got != int64(ttl)*1000 {
			t.Errorf("hold = %d ms with a time to live of %d s", got, ttl)
		}
	}
}

// The name of a service that is gone is kept for as long as the plugin's answers
// are, and then it is free for whom an operator gives it to.
func TestNameIsKeptAndFreed(t *testing.T) {
	for _, tc := range []struct {
		name string
		kept time.Duration
		held bool
	}{
		{"answers are kept for an hour", time.Hour, true},
		{"answers are not kept", time.Nanosecond, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := running(t)
			s.Source().Kept(tc.kept)
			c := dial(t, s)
			gone, comes := client.Name{Name: "Order_API"}, client.Name{Name: "order-api"}
			for _, n := range []client.Name{gone, comes} {
				if _, err := c.PutService(t.Context(), n, api.ServiceSpec{}); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.DeleteService(t.Context(), gone); err != nil {
				t.Fatal(err)
			}
			var got api.Service
			eventually(t, "who holds the name is told", func() bool {
				var err error
				got, err = c.Service(t.Context(), comes)
				return err == nil && (got.DNSHolder != nil && got.DNSHolder.Kept) == tc.held && (got.DNSHolder != nil) == tc.held
			})
			if !got.DNSShadowed || got.DNSName != "" {
				t.Errorf("Service = %+v, want it shadowed still: nobody else takes the name by itself", got)
			}
			e, err := c.Explain(t.Context(), client.ResolveQuery{Name: "order-api.svc"})
			if err != nil || e.Status != "nxdomain" || e.Claim == nil || (e.Claim.Holder != nil) != tc.held || len(e.Claim.Shadowed) != 1 {
				t.Errorf("Explain = %+v, %v, want no such name, held %t and wanted by one", e, err, tc.held)
			}
			if got, err = c.ClaimName(t.Context(), comes); err != nil || got.DNSName != "order-api.svc" {
				t.Errorf("ClaimName = %+v, %v, want the name", got, err)
			}
		})
	}
}
