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
