package localdns_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/agent/localdns"
)

// service returns the records of a service: an address record of the first instance
// alone, frozen, and the SRV set of all.
func service(weights ...int) []string {
	var lines []string
	for i, w := range weights {
		lines = append(lines, fmt.Sprintf("%s 60 IN SRV 0 %d 80 ip-192-0-2-%d.addr.muster.internal.", order, w, i+1))
		lines = append(lines, fmt.Sprintf("%s 60 IN A 192.0.2.%d", order, i+1))
	}
	return lines
}

func TestFirstAddressesComeInTheirShares(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		weights  []int
		critical float64 // of chi-square at 1e-6
	}{
		"1:2:3:4":    {[]int{1000, 2000, 3000, 4000}, 30.66},
		"0.5:1:1:10": {[]int{500, 1000, 1000, 10000}, 30.66},
		"5:5":        {[]int{5000, 5000}, 23.93},
		"20 equal":   {[]int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, 63.68},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := startFake(t, service(c.weights...)...)
			l := start(t, localdns.Config{Servers: []string{f.addr}})
			_ = l.ask(order, dns.TypeA)
			eventually(t, "another first address than the server's", func() bool {
				return l.ask(order, dns.TypeA).Answer[0].(*dns.A).A.String() != "192.0.2.1"
			})
			const n = 1000
			seen := make([]int, len(c.weights))
			for range n {
				m := l.ask(order, dns.TypeA)
				if len(m.Answer) != len(c.weights) {
					t.Fatalf("%d addresses, want %d", len(m.Answer), len(c.weights))
				}
				first, _ := netip.AddrFromSlice(m.Answer[0].(*dns.A).A.To4())
				seen[first.As4()[3]-1]++
			}
			total, chi2 := 0, 0.0
			for _, w := range c.weights {
				total += w
			}
			for i, w := range c.weights {
				expected := n * float64(w) / float64(total)
				chi2 += (float64(seen[i]) - expected) * (float64(seen[i]) - expected) / expected
			}
			if chi2 > c.critical {
				t.Errorf("first addresses = %v for weights %v: chi-square %.1f, want at most %.2f", seen, c.weights, chi2, c.critical)
			}
			if got := f.count(order + " A"); got != 1 {
				t.Errorf("the server was asked %d times, want 1", got)
			}
		})
	}
}

func TestAnswersThatAreNotDrawn(t *testing.T) {
	t.Parallel()
	f := startFake(t,
		// An SRV set that does not say all of it.
		order+" 60 IN A 192.0.2.1", order+" 60 IN SRV 0 1 80 db.example.net.",
		// Tiers.
		"tier."+order+" 60 IN A 192.0.2.1", "tier."+order+" 60 IN SRV 0 1 80 ip-192-0-2-1.addr.muster.internal.",
		"tier."+order+" 60 IN SRV 1 1 80 ip-192-0-2-2.addr.muster.internal.",
		// Another answer than the set's.
		"old."+order+" 60 IN A 192.0.2.9", "old."+order+" 60 IN SRV 0 1 80 ip-192-0-2-1.addr.muster.internal.")
	l := start(t, localdns.Config{Servers: []string{f.addr}})
	for name, want := range map[string]string{order: "192.0.2.1", "tier." + order: "192.0.2.1", "old." + order: "192.0.2.9"} {
		_ = l.ask(name, dns.TypeA)
		eventually(t, "its SRV set", func() bool { return f.count(name+" SRV") > 0 })
		for range 20 {
			if got := brief(l.ask(name, dns.TypeA)); got != "NOERROR "+want {
				t.Errorf("%s = %s, want the server's %s", name, got, want)
			}
		}
	}
}

func TestLargeAnswerComesOverTCP(t *testing.T) {
	t.Parallel()
	var lines []string
	for i := range 250 {
		lines = append(lines, fmt.Sprintf("%s 5 IN SRV 0 1 80 ip-192-0-2-%d.addr.muster.internal.", order, i))
	}
	f := startFake(t, lines...)
	l := start(t, localdns.Config{Servers: []string{f.addr}})
	if m := l.over("tcp", order, dns.TypeSRV); len(m.Answer) != len(lines) {
		t.Errorf("over TCP %d records came, want %d", len(m.Answer), len(lines))
	}
	m := l.over("udp", order, dns.TypeSRV)
	m.Compress = true
	if !m.Truncated || m.Len() > 1232 {
		t.Errorf("over UDP TC = %v at %d octets, want TC within 1232", m.Truncated, m.Len())
	}
}

func TestHotNameIsAskedForBeforeItsEnd(t *testing.T) {
	t.Parallel()
	f := startFake(t, order+" 2 IN TXT \"hot\"", "cold."+order+" 2 IN TXT \"cold\"")
	l := start(t, localdns.Config{Servers: []string{f.addr}})
	_ = l.ask("cold."+order, dns.TypeTXT)
	eventually(t, "a second question for the hot name", func() bool {
		if m := l.ask(order, dns.TypeTXT); len(m.Answer) != 1 {
			t.Fatalf("answer = %s", m)
		}
		return f.count(order+" TXT") >= 2
	})
	if got := f.count("cold." + order + " TXT"); got != 1 {
		t.Errorf("the cold name was asked for %d times, want 1", got)
	}
}

func TestKeptAnswersAreBounded(t *testing.T) {
	t.Parallel()
	f := startFake(t, "*.muster.internal. 60 IN A 192.0.2.1")
	f.set(func(r *dns.Msg) *dns.Msg {
		m := new(dns.Msg)
		m.SetReply(r)
		m.Answer = []dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: r.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 60},
			Txt: []string{strings.Repeat("x", 250), strings.Repeat("y", 250), strings.Repeat("z", 250)}}}
		return m
	})
	l := start(t, localdns.Config{Servers: []string{f.addr}})
	for i := range 3000 {
		_ = l.ask(fmt.Sprintf("%d.muster.internal.", i), dns.TypeTXT)
	}
	if s := l.Status(); s.Bytes > 8<<20 || s.Answers > 8192 || s.Answers < 1000 {
		t.Errorf("%d answers of %d octets are kept, want at most 8 MiB of them", s.Answers, s.Bytes)
	}
}

func TestExtendedErrorsAreKept(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	answer := zone(t, orderA)
	f.set(func(r *dns.Msg) *dns.Msg {
		m := answer(r)
		if opt := m.IsEdns0(); opt != nil {
			opt.Option = append(opt.Option, &dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeOther, ExtraText: "protected"})
		}
		return m
	})
	l := start(t, localdns.Config{Servers: []string{f.addr}})
	for range 3 {
		if got := brief(l.ask(order, dns.TypeA)); got != "NOERROR 192.0.2.1 ede=0" {
			t.Errorf("answer = %s, want the server's extended error", got)
		}
	}
}
