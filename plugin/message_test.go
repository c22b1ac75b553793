package plugin_test

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/whoami"
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
)

// How many records fit is what the choice of names and of compression makes it.
func TestFit(t *testing.T) {
	tests := []struct {
		qtype         string
		n             int
		answers, glue int
		truncated     bool
	}{
		{"SRV", 17, 17, 17, false},
		{"SRV", 18, 18, 14, false}, // addresses are dropped first, and silently
		{"SRV", 22, 22, 0, false},
		{"SRV", 23, 22, 0, true},
		{"A", 73, 73, 0, false},
		{"A", 74, 73, 0, true},
	}
	for _, tt := range tests {
		s := newSource()
		for i := range tt.n {
			s.register(t, key("big"), fmt.Sprintf("10.1.0.%d", 10+i), 8080)
		}
		server := serve(t, "muster muster.internal {\nanswers 100\n}", s)
		m := ask("big.svc", tt.qtype).SetEdns0(1232, false)
		reply, size := exchange(t, server, m, false)
		glue := len(reply.Extra) - 1
		if len(reply.Answer) != tt.answers || glue != tt.glue || reply.Truncated != tt.truncated || size > 1232 {
			t.Errorf("%d %s: %d answers, %d addresses, tc %v in %d octets, want %d, %d, %v", tt.n, tt.qtype,
				len(reply.Answer), glue, reply.Truncated, size, tt.answers, tt.glue, tt.truncated)
		}
		if reply, _ := exchange(t, server, m, true); len(reply.Answer) != tt.n || reply.Truncated {
			t.Errorf("%d %s over TCP: %d answers, tc %v", tt.n, tt.qtype, len(reply.Answer), reply.Truncated)
		}
	}
}

func TestNoReplyIsLargerThanTheClientTakes(t *testing.T) {
	s := newSource()
	for i := range 100 {
		s.register(t, key("big"), fmt.Sprintf("10.1.0.%d", i), 8080)
	}
	server := serve(t, block, s)
	for _, size := range []uint16{0, 100, 512, 600, 1000, 1232, 4096} {
		m := ask("big.svc", "SRV").SetEdns0(size, false)
		reply, got := exchange(t, server, m, false)
		if want := min(max(int(size), 512), 1232); got > want || !reply.Truncated || len(reply.Answer) == 0 {
			t.Errorf("a client that takes %d gets %d octets with %d answers, tc %v, want %d at the most, some and tc",
				size, got, len(reply.Answer), reply.Truncated, want)
		}
	}
}

// A resolver that meets TC over TCP can only fail.
func TestWhatExceedsTCPIsAFairChoice(t *testing.T) {
	s := newSource()
	for i := range 2000 {
		s.register(t, key("huge"), fmt.Sprintf("10.1.%d.%d", i>>8, i&255), 8080)
	}
	reply, size := exchange(t, serve(t, block, s), ask("huge.svc", "SRV"), true)
	if reply.Truncated || len(reply.Answer) < 1000 || size > 65535 {
		t.Errorf("2000 SRV over TCP: %d answers in %d octets, tc %v, want 1000 or more without tc", len(reply.Answer), size, reply.Truncated)
	}
}

// What does not fit is left out without regard to weight: who picks by weight among
// the rest (RFC 2782) must not count it twice.
func TestServersThatFitAreAFairChoice(t *testing.T) {
	s := newSource()
	for i := range 2400 {
		s.register(t, key("huge"), fmt.Sprintf("10.1.%d.%d", i>>8, i&255), 8080, weight(float64(1+i%2*8)))
	}
	server := serve(t, block, s)
	heavy, all := 0, 0
	for range 20 {
		reply, _ := exchange(t, server, ask("huge.svc", "SRV"), true)
		for _, rr := range reply.Answer {
			all++
			if rr.(*dns.SRV).Weight > 1000 {
				heavy++
			}
		}
	}
	// 20 times some 1,200 of 2,400: a standard deviation is a quarter of a percent.
	if share := float64(heavy) / float64(all); all < 20_000 || share < 0.48 || share > 0.52 {
		t.Errorf("%d of %d are heavy, want a half", heavy, all)
	}
}

func TestListsThatDoNotFitShowEverybodyInTurn(t *testing.T) {
	s := newSource()
	for i := range 3000 {
		s.register(t, key(fmt.Sprintf("a-service-with-a-longer-name-%d", i)), "10.0.0.1", uint16(i+1), meta("protocol", "http"))
	}
	server, seen := serve(t, block, s), map[string]bool{}
	for range 30 {
		reply, _ := exchange(t, server, ask("_http._tcp", "PTR"), true)
		for _, rr := range reply.Answer {
			seen[rr.(*dns.PTR).Ptr] = true
		}
	}
	if len(seen) != 3000 {
		t.Errorf("30 lists show %d of 3000", len(seen))
	}
}

func TestMalformedAndForeign(t *testing.T) {
	server := serve(t, block, fixture(t))
	good := ask("order-api.svc", "A")
	change := func(f func(m *dns.Msg)) *dns.Msg {
		m := good.Copy()
		f(m)
		return m
	}
	tests := []struct {
		about string
		m     *dns.Msg
		want  int
		opt   bool
	}{
		{"two OPT", change(func(m *dns.Msg) {
			m.SetEdns0(1232, false)
			m.SetEdns0(1232, false)
		}), dns.RcodeFormatError, true},
		{"EDNS version 1", change(func(m *dns.Msg) {
			m.SetEdns0(1232, false)
			m.IsEdns0().SetVersion(1)
		}), dns.RcodeBadVers, true},
		{"two questions", change(func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }), dns.RcodeFormatError, false},
		{"NOTIFY", change(func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }), dns.RcodeNotImplemented, false},
		{"UPDATE", change(func(m *dns.Msg) { m.Opcode = dns.OpcodeUpdate }), dns.RcodeNotImplemented, false},
		{"class CH", change(func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }), dns.RcodeRefused, false},
		{"RD", change(func(m *dns.Msg) { m.RecursionDesired = true }), dns.RcodeSuccess, false},
	}
	for _, tt := range tests {
		t.Run(tt.about, func(t *testing.T) {
			reply, _ := exchange(t, server, tt.m, false)
			if reply.Rcode != tt.want || (reply.IsEdns0() != nil) != tt.opt {
				t.Errorf("reply = %s, OPT %v, want %s, %v", dns.RcodeToString[reply.Rcode], reply.IsEdns0() != nil,
					dns.RcodeToString[tt.want], tt.opt)
			}
			if reply.Id != tt.m.Id || !reply.Response || reply.RecursionAvailable {
				t.Errorf("header = %+v", reply.MsgHdr)
			}
		})
	}
}

func TestSubnetIsEchoedForEverybody(t *testing.T) {
	m := ask("order-api.svc", "A").SetEdns0(1232, false)
	subnet := &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: net.IPv4(192, 0, 2, 0)}
	m.IsEdns0().Option = append(m.IsEdns0().Option, subnet, &dns.EDNS0_NSID{Code: dns.EDNS0NSID})
	reply, _ := exchange(t, serve(t, block, fixture(t)), m, false)
	options := reply.IsEdns0().Option
	if len(options) != 1 || options[0].String() != "192.0.2.0/24/0" {
		t.Errorf("options = %v, want the subnet with scope 0 alone", options)
	}
}

// With a plugin after it, names that are not ours go there, and with
// fallthrough those that do not exist.
func TestNext(t *testing.T) {
	tests := []struct {
		about, block string
		m            *dns.Msg
		next         bool
	}{
		{"in no zone", "muster muster.internal", ask("example.org.", "A"), true},
		{"unknown", "muster muster.internal", ask("nope.svc", "A"), false},
		{"unknown, with fallthrough", "muster muster.internal {\nfallthrough\n}", ask("nope.svc", "A"), true},
		{"unknown, with fallthrough for others", "muster muster.internal {\nfallthrough example.org\n}", ask("nope.svc", "A"), false},
		{"unknown, with fallthrough for it", "muster muster.internal {\nfallthrough NOPE.svc.muster.internal\n}", ask("Nope.svc", "A"), true},
		{"no data, with fallthrough", "muster muster.internal {\nfallthrough\n}", ask("order-api.svc", "AAAA"), false},
		{"found, with fallthrough", "muster muster.internal {\nfallthrough\n}", ask("order-api.svc", "A"), false},
	}
	s := fixture(t)
	for _, tt := range tests {
		t.Run(tt.about, func(t *testing.T) {
			cfg, err := load(t, tt.block, s)
			if err != nil {
				t.Fatal(err)
			}
			cfg.AddPlugin(func(plugin.Handler) plugin.Handler { return whoami.Whoami{} })
			server, err := dnsserver.NewServer("dns://127.0.0.1:0", []*dnsserver.Config{cfg})
			if err != nil {
				t.Fatal(err)
			}
			reply, _ := exchange(t, server, tt.m, false)
			asked := slices.ContainsFunc(reply.Extra, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeSRV })
			if asked != tt.next {
				t.Errorf("handed on = %v, want %v: %v", asked, tt.next, reply)
			}
		})
	}
}

// Queries and changes at once: each reply is of one revision.
func TestQueriesWhileTheRollChanges(t *testing.T) {
	s := newSource()
	for i := range 40 {
		s.register(t, key("x"), fmt.Sprintf("192.0.2.%d", i), 80)
	}
	server := serve(t, block, s)
	var wg sync.WaitGroup
	for _, qtype := range []string{"A", "SRV"} {
		wg.Go(func() {
			for range 200 {
				if reply, _ := exchange(t, server, ask("x.svc", qtype), true); len(reply.Answer) < 8 {
					t.Errorf("%d %s, want 8 or more", len(reply.Answer), qtype)
				}
			}
		})
	}
	for i := range 40 {
		s.register(t, key("x"), fmt.Sprintf("192.0.2.%d", 50+i), 80)
	}
	wg.Wait()
}

func TestMetrics(t *testing.T) {
	server := serve(t, block, fixture(t))
	before := map[string]float64{}
	grown := func() (lines []string) {
		now := totals(t)
		for _, key := range slices.Sorted(maps.Keys(now)) {
			if grew := now[key] - before[key]; grew > 0 {
				lines = append(lines, fmt.Sprintf("%s +%v", key, grew))
			}
		}
		before = now
		return lines
	}
	tests := []struct {
		about string
		m     *dns.Msg
		tcp   bool
		want  []string
	}{
		{"found", ask("order-api.svc", "SRV"), false, []string{"response_duration_seconds udp +1", "responses_total NOERROR,udp,SRV +1"}},
		{"no such name, over TCP", ask("nope.svc", "A"), true, []string{"response_duration_seconds tcp +1", "responses_total NXDOMAIN,tcp,A +1"}},
		{"no data", ask("order-api.svc", "MX"), false,
			[]string{"empty_responses_total no data +1", "response_duration_seconds udp +1", "responses_total NOERROR,udp,other +1"}},
		{"none healthy", ask("sick.svc", "A"), false,
			[]string{"empty_responses_total none healthy +1", "response_duration_seconds udp +1", "responses_total NOERROR,udp,A +1"}},
		{"malformed", ask("sick.svc", "A").SetEdns0(1232, false).SetEdns0(1232, false), false,
			[]string{"response_duration_seconds udp +1", "responses_total FORMERR,udp,A +1"}},
	}
	grown()
	for _, tt := range tests {
		exchange(t, server, tt.m, tt.tcp)
		if got := grown(); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.about, got, tt.want)
		}
	}
	problems, err := testutil.GatherAndLint(prometheus.DefaultGatherer, "coredns_muster_responses_total", "coredns_muster_empty_responses_total",
		"coredns_muster_response_duration_seconds", "coredns_muster_snapshot_age_seconds", "coredns_muster_snapshot_revision",
		"coredns_muster_shadowed_names")
	if err != nil || len(problems) > 0 {
		t.Errorf("metrics: %v, %v", problems, err)
	}
}

// totals returns the counters and histograms of the plugin, over all servers, by
// their names and the other labels.
func totals(t *testing.T) map[string]float64 {
	t.Helper()
	families, err := prometheus.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		name, ours := strings.CutPrefix(f.GetName(), "coredns_muster_")
		if !ours || f.GetType() == dto.MetricType_GAUGE {
			continue
		}
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				if l.GetName() != "server" {
					labels = append(labels, l.GetValue())
				}
			}
			all[name+" "+strings.Join(labels, ",")] += m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return all
}
