package contest_test

import (
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/test/benchdns/contest"
)

// The zone file holds what the questions ask for, and is one that a server would take.
func TestZoneFile(t *testing.T) {
	p := dns.NewZoneParser(strings.NewReader(contest.ZoneFile()), "", "zone")
	count := make(map[uint16]int)
	owners := make(map[string]bool)
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		count[rr.Header().Rrtype]++
		owners[rr.Header().Name] = true
	}
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	instances := contest.Services * len(contest.Weights)
	if count[dns.TypeSRV] != instances || count[dns.TypeA] != 2*instances+1 || count[dns.TypeSOA] != 1 || count[dns.TypeNS] != 1 {
		t.Errorf("records %v, want %d SRV and two A for each", count, instances)
	}
	for _, m := range contest.Mixes {
		if got := m.Questions(contest.Ours); len(got) != contest.Asked {
			t.Errorf("%s: %d questions, want %d", m.Name, len(got), contest.Asked)
		}
		for _, q := range m.Questions(contest.Ours) {
			if q.Qtype != m.Type || owners[q.Name] == m.Unknown {
				t.Fatalf("%s asks for %s, which is in the zone: %v", m.Name, q.Name, owners[q.Name])
			}
		}
	}
}

// An open loop wants questions of one length.
func TestPack(t *testing.T) {
	for _, m := range contest.Mixes {
		packed, err := contest.Pack(m.Questions(contest.Ours)[:1000])
		if err != nil {
			t.Fatal(err)
		}
		var msg dns.Msg
		if err := msg.Unpack(packed[0]); err != nil || msg.IsEdns0() == nil || msg.Question[0].Qtype != m.Type {
			t.Errorf("%s: the first question is %v, %v", m.Name, &msg, err)
		}
		for _, p := range packed {
			if len(p) != len(packed[0]) {
				t.Fatalf("%s: questions of %d and %d octets", m.Name, len(packed[0]), len(p))
			}
		}
	}
}

func TestRight(t *testing.T) {
	answer := func(f func(*dns.Msg)) []byte {
		q := new(dns.Msg).SetQuestion("s0000."+contest.Zone, dns.TypeA)
		r := new(dns.Msg).SetReply(q)
		for range contest.Weights {
			r.Answer = append(r.Answer, &dns.A{Hdr: dns.RR_Header{Name: "s0000." + contest.Zone, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: []byte{10, 0, 0, 1}})
		}
		f(r)
		b, err := r.Pack()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	m := contest.Mixes[0]
	for name, c := range map[string]struct {
		change func(*dns.Msg)
		want   bool
	}{
		"all instances":     {func(*dns.Msg) {}, true},
		"one is missing":    {func(r *dns.Msg) { r.Answer = r.Answer[1:] }, false},
		"an error":          {func(r *dns.Msg) { r.Rcode = dns.RcodeServerFailure }, false},
		"cut off":           {func(r *dns.Msg) { r.Truncated = true }, false},
		"nothing, no error": {func(r *dns.Msg) { r.Answer = nil }, false},
	} {
		if got := m.Right(answer(c.change)); got != c.want {
			t.Errorf("%s: right = %v, want %v", name, got, c.want)
		}
	}
}
