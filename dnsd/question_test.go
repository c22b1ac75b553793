package dnsd

import (
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// wire is a query as packed, with what is done to it.
func wire(t testing.TB, m *dns.Msg, change ...func([]byte) []byte) []byte {
	t.Helper()
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		b = f(b)
	}
	return b
}

func set(at int, v byte) func([]byte) []byte {
	return func(b []byte) []byte { b[at] = v; return b }
}

func TestPlainQuestions(t *testing.T) {
	ask := func(name string, qtype uint16) *dns.Msg { return new(dns.Msg).SetQuestion(name, qtype) }
	chaos := ask("a.", dns.TypeTXT)
	chaos.Question[0].Qclass = dns.ClassCHAOS
	notify := ask("a.", dns.TypeSOA)
	notify.Opcode = dns.OpcodeNotify
	two := ask("a.", dns.TypeA)
	two.Question = append(two.Question, two.Question[0])
	signed := ask("a.", dns.TypeA)
	signed.SetTsig("key.", dns.HmacSHA256, 300, 0)
	answered := ask("a.", dns.TypeA)
	answered.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: "a.", Rrtype: dns.TypeA, Class: dns.ClassINET}, A: []byte{1, 2, 3, 4}}}
	extended := func(do bool, options ...dns.EDNS0) *dns.Msg {
		m := ask("a.", dns.TypeA).SetEdns0(1232, do)
		m.IsEdns0().Option = options
		return m
	}
	cookie := &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0011223344556677"}
	longest := strings.Repeat(strings.Repeat("x", 63)+".", 3) + strings.Repeat("y", 61) + "."
	for _, tc := range []struct {
		about             string
		packet            []byte
		plain, do, option bool
	}{
		{about: "A", packet: wire(t, ask("a.example.org.", dns.TypeA)), plain: true},
		{about: "the root", packet: wire(t, ask(".", dns.TypeNS)), plain: true},
		{about: "the longest name", packet: wire(t, ask(longest, dns.TypeA)), plain: true},
		{about: "an unknown type", packet: wire(t, ask("a.", 65280)), plain: true},
		{about: "OPT", packet: wire(t, extended(false)), plain: true},
		{about: "OPT with DO", packet: wire(t, extended(true)), plain: true, do: true},
		{about: "a cookie", packet: wire(t, extended(false, cookie)), plain: true, option: true},
		{about: "all bits of a header", packet: wire(t, ask("a.", dns.TypeA), set(2, 0x07), set(3, 0xff)), plain: true},
		{about: "EDNS version 1", packet: wire(t, extended(false), set(12+3+4+6, 1))},
		{about: "OPT of a name", packet: wire(t, extended(false), set(12+3+4, 1))},
		{about: "OPT cut", packet: wire(t, extended(false), func(b []byte) []byte { return b[:len(b)-1] })},
		{about: "an option cut", packet: wire(t, extended(false, cookie), func(b []byte) []byte { return b[:len(b)-1] })},
		{about: "something behind", packet: wire(t, ask("a.", dns.TypeA), func(b []byte) []byte { return append(b, 0) })},
		{about: "something behind OPT", packet: wire(t, extended(false), func(b []byte) []byte { return append(b, 0) })},
		{about: "DS", packet: wire(t, ask("a.", dns.TypeDS))},
		{about: "ANY", packet: wire(t, ask("a.", dns.TypeANY))},
		{about: "AXFR", packet: wire(t, ask("a.", dns.TypeAXFR))},
		{about: "class CH", packet: wire(t, chaos)},
		{about: "NOTIFY", packet: wire(t, notify)},
		{about: "two questions", packet: wire(t, two)},
		{about: "no question", packet: wire(t, new(dns.Msg))},
		{about: "TSIG", packet: wire(t, signed)},
		{about: "an answer", packet: wire(t, answered)},
		{about: "a compressed name", packet: wire(t, ask("a.", dns.TypeA), set(12, 0xc0))},
		{about: "a name cut", packet: wire(t, ask("a.", dns.TypeA), func(b []byte) []byte { return b[:13] })},
		{about: "a type cut", packet: wire(t, ask("a.", dns.TypeA), func(b []byte) []byte { return b[:len(b)-1] })},
	} {
		q := question{do: true, options: true} // of the one before
		if got := q.read(tc.packet); got != tc.plain || got && (q.do != tc.do || q.options != tc.option) {
			t.Errorf("%s: plain %t, do %t, options %t, want %t, %t, %t", tc.about, got, q.do, q.options, tc.plain, tc.do, tc.option)
		}
	}
}

func TestNamesLieInZones(t *testing.T) {
	for _, tc := range []struct {
		name, zone string
		in         bool
	}{
		{"a.Example.ORG.", "example.org.", true},
		{"example.org.", "example.org.", true},
		{"badexample.org.", "example.org.", false},
		{"org.", "example.org.", false},
		{"a.", ".", true},
		{".", ".", true},
		{`a\.example.org.`, "example.org.", false},
		{`a.example\.org.`, "example.org.", false},
		{`\007example\003org.`, "example.org.", false},
		{"10.in-addr.arpa.", "10.IN-ADDR.arpa.", true},
		{`a.\[.`, `\{.`, false},
	} {
		var q question
		if !q.read(wire(t, new(dns.Msg).SetQuestion(tc.name, dns.TypeA))) {
			t.Fatalf("%s is not plain", tc.name)
		}
		if got := q.in(wireName(tc.zone)); got != tc.in || got != dns.IsSubDomain(tc.zone, tc.name) {
			t.Errorf("%s in %s = %t, want %t", tc.name, tc.zone, got, tc.in)
		}
	}
}

// What is taken for a plain question is one for the library that CoreDNS has.
func FuzzQuestion(f *testing.F) {
	f.Add(wire(f, new(dns.Msg).SetQuestion("a.example.org.", dns.TypeA)), "example.org.")
	f.Add(wire(f, new(dns.Msg).SetQuestion("A.", dns.TypeSRV).SetEdns0(512, true)), ".")
	f.Fuzz(func(t *testing.T, packet []byte, zone string) {
		var q question
		if !admit(packet) || !q.read(packet) {
			return
		}
		m, _ := unpack(packet)
		if m == nil || m.Opcode != dns.OpcodeQuery || len(m.Answer)+len(m.Ns) > 0 {
			t.Fatalf("%x is taken for plain, and is %v", packet, m)
		}
		asked := m.Question[0]
		if asked.Qtype != q.qtype || asked.Qclass != dns.ClassINET {
			t.Errorf("%x asks for %d, not %d", packet, asked.Qtype, q.qtype)
		}
		opt := m.IsEdns0()
		if do := opt != nil && opt.Do(); do != q.do {
			t.Errorf("%x has DO %t, not %t", packet, do, q.do)
		}
		if options := opt != nil && len(opt.Option) > 0; options != q.options {
			t.Errorf("%x has options %t, not %t", packet, options, q.options)
		}
		if w := wireName(zone); w != nil {
			if got, want := q.in(w), dns.IsSubDomain(dns.CanonicalName(zone), asked.Name); got != want {
				t.Errorf("%q in %q: %t, want %t", asked.Name, zone, got, want)
			}
		}
	})
}
