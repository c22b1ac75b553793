package localdns_test

import (
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/musterhq/muster/agent/localdns"
)

func TestAnswersOfAServer(t *testing.T) {
	t.Parallel()
	f := startFake(t,
		"order.svc.muster.internal. 5 IN A 192.0.2.1",
		"order.svc.muster.internal. 5 IN SRV 0 1000 80 ip-192-0-2-1.addr.muster.internal.",
		"order.svc.muster.internal. 5 IN TXT \"a=b\"",
		"one.muster.internal. 5 IN CNAME order.svc.muster.internal.")
	l := start(t, localdns.Config{Servers: []string{f.addr}})
	for _, c := range []struct {
		name  string
		qtype uint16
		want  string
	}{
		{"order.svc.muster.internal.", dns.TypeA, "NOERROR 192.0.2.1"},
		{"OrdeR.svc.Muster.internal.", dns.TypeA, "NOERROR 192.0.2.1"},
		{"order.svc.muster.internal.", dns.TypeAAAA, "NOERROR"},
		{"order.svc.muster.internal.", dns.TypeSRV, "NOERROR 0 1000 80 ip-192-0-2-1.addr.muster.internal."},
		{"order.svc.muster.internal.", dns.TypeTXT, `NOERROR "a=b"`},
		{"one.muster.internal.", dns.TypeA, "NOERROR 192.0.2.1 order.svc.muster.internal."},
		{"nope.svc.muster.internal.", dns.TypeA, "NXDOMAIN"},
		{"muster.internal.", dns.TypeAXFR, "REFUSED ede=18"},
		{"localhost.", dns.TypeA, "NOERROR 127.0.0.1"},
		{"a.localhost.", dns.TypeAAAA, "NOERROR ::1"},
		{"localhost.", dns.TypeMX, "NOERROR"},
		{"1.0.0.127.in-addr.arpa.", dns.TypePTR, "NOERROR localhost."},
		{"2.0.0.127.in-addr.arpa.", dns.TypePTR, "NXDOMAIN"},
		{"0.127.in-addr.arpa.", dns.TypePTR, "NOERROR"},
		{"a.invalid.", dns.TypeA, "NXDOMAIN"},
		{"_dns.resolver.arpa.", dns.TypeSVCB, "NXDOMAIN"},
		{"example.org.", dns.TypeA, "SERVFAIL ede=22"},
	} {
		for _, network := range []string{"udp", "tcp"} {
			m := l.over(network, c.name, c.qtype)
			if got := brief(m); got != c.want {
				t.Errorf("%s %s over %s = %s, want %s", c.name, dns.TypeToString[c.qtype], network, got, c.want)
			}
			if m.Question[0].Name != c.name || len(m.Answer) > 0 && m.Answer[len(m.Answer)-1].Header().Name == "" {
				t.Errorf("%s is answered for %s", c.name, m.Question[0].Name)
			}
		}
	}
	if n := f.count("order.svc.muster.internal. A"); n != 1 {
		t.Errorf("the server was asked %d times for what it had said, want 1", n)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewPedanticRegistry()
	f := startFake(t, orderA)
	up := startFake(t)
	l := start(t, localdns.Config{Servers: []string{f.addr}, Upstreams: []string{up.addr}, Registerer: registry})
	for range 3 {
		_ = l.ask(order, dns.TypeTXT)
	}
	_ = l.ask("localhost.", dns.TypeA)
	_ = l.ask("www.example.org.", dns.TypeA)
	want := `# HELP muster_agent_dns_queries_total Queries, by how they were answered: kept, asked (of a server), stale, failed, special (answered here) or forwarded.
# TYPE muster_agent_dns_queries_total counter
muster_agent_dns_queries_total{answer="asked"} 1
muster_agent_dns_queries_total{answer="failed"} 0
muster_agent_dns_queries_total{answer="forwarded"} 1
muster_agent_dns_queries_total{answer="kept"} 2
muster_agent_dns_queries_total{answer="special"} 1
muster_agent_dns_queries_total{answer="stale"} 0
# HELP muster_agent_dns_servers_up DNS servers that answer.
# TYPE muster_agent_dns_servers_up gauge
muster_agent_dns_servers_up 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "muster_agent_dns_queries_total", "muster_agent_dns_servers_up"); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("names of metrics: %v, %v", problems, err)
	}
	if _, err := localdns.Open(localdns.Config{Listen: "127.0.0.1:0", Registerer: registry}); err == nil {
		t.Error("Open with metrics of another = nil, want an error")
	}
	l.stop()
	if all, err := registry.Gather(); err != nil || len(all) > 0 {
		t.Errorf("metrics after the end = %v, %v, want none", all, err)
	}
}

// A server that refuses names of a zone that it does not have is well.
func TestHealthIsAskedInAZoneOfTheServers(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	answer := zone(t, "prod.example. 5 IN SOA ns1.prod.example. host.prod.example. 1 60 60 60 5")
	f.set(func(r *dns.Msg) *dns.Msg {
		if !strings.HasSuffix(r.Question[0].Name, "prod.example.") {
			return refusing(dns.RcodeRefused)(r)
		}
		return answer(r)
	})
	l := start(t, localdns.Config{})
	l.Learn([]string{f.addr}, []string{"prod.example"})
	eventually(t, "a check of the server", func() bool { s := l.Status().Servers; return !s[0].Up || !s[0].Heard.IsZero() })
	if s := l.Status(); !s.Servers[0].Up || !s.StaleSince.IsZero() {
		t.Errorf("a server without %s = %+v, want it up", localdns.DefaultZone, s.Servers[0])
	}
}

// What comes to the socket and is no answer is passed over: somebody else may have
// sent it.
func TestForgedAnswersAreNoAnswer(t *testing.T) {
	t.Parallel()
	pc, l := listen(t)
	l.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			q := new(dns.Msg)
			if err := q.Unpack(buf[:n]); err != nil {
				t.Errorf("question: %v", err)
				continue
			}
			reply := func(change func(*dns.Msg)) []byte {
				m := new(dns.Msg).SetReply(q)
				m.Answer = []dns.RR{rr(t, q.Question[0].Name+" 60 IN A 198.51.100.66")}
				change(m)
				wire, err := m.Pack()
				if err != nil {
					t.Error(err)
				}
				return wire
			}
			for _, wire := range [][]byte{
				{},
				{1, 2, 3},
				reply(func(m *dns.Msg) { m.Id++ }),
				reply(func(m *dns.Msg) { m.Response = false }),
				reply(func(m *dns.Msg) { m.Question[0].Name = "other.muster.internal." }),
				reply(func(m *dns.Msg) { m.Question[0].Qtype++ }),
				reply(func(m *dns.Msg) { m.Question = nil }),
				reply(func(*dns.Msg) {})[:30],
				reply(func(m *dns.Msg) { m.Answer = []dns.RR{rr(t, q.Question[0].Name+" 60 IN A 192.0.2.1")} }),
			} {
				if _, err := pc.WriteTo(wire, from); err != nil {
					return
				}
			}
		}
	}()
	t.Cleanup(func() { pc.Close(); <-done })
	r := start(t, localdns.Config{Servers: []string{pc.LocalAddr().String()}})
	if got := brief(r.ask(order, dns.TypeA)); got != "NOERROR 192.0.2.1" {
		t.Errorf("answer = %s, want that of the server", got)
	}
	if s := r.Status().Servers[0]; !s.Up {
		t.Errorf("server = %+v, want it up", s)
	}
}

func TestServerThatIsThisAgentIsPassedOver(t *testing.T) {
	t.Parallel()
	l := start(t, localdns.Config{})
	l.Learn([]string{l.Address(), "192.0.2.53"}, nil)
	if s := l.Status().Servers; len(s) != 1 || s[0].Address != "192.0.2.53:53" {
		t.Errorf("servers = %+v, want the other one alone", s)
	}
}
