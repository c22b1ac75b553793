package plugin_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"net/netip"
	"testing"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"

	muster "github.com/musterhq/muster/plugin"
)

// withCookie returns m with the option; the data is hex.
func withCookie(m *dns.Msg, data string) *dns.Msg {
	m.SetEdns0(1232, false)
	m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: data})
	return m
}

// cookieOf returns the data of a reply's cookie, empty without one.
func cookieOf(m *dns.Msg) string {
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if c, ok := o.(*dns.EDNS0_COOKIE); ok {
				return c.Cookie
			}
		}
	}
	return ""
}

const client = "2464c4abcf10c957"

func TestCookies(t *testing.T) {
	s := fixture(t)
	server := serve(t, block, s)
	first, _ := exchange(t, server, withCookie(ask("order-api.svc", "A"), client), false)
	good := cookieOf(first)
	if len(good) != 48 || good[:16] != client {
		t.Fatalf("cookie = %q, want the client's and 16 octets more", good)
	}
	forged := good[:len(good)-2] + "00"
	if forged == good {
		forged = good[:len(good)-2] + "01"
	}
	tests := []struct {
		about, block string
		m            *dns.Msg
		rcode        int
		want         string // empty: none, +: a good one
	}{
		{"a good one", block, withCookie(ask("order-api.svc", "A"), good), dns.RcodeSuccess, good},
		{"a forged one", block, withCookie(ask("order-api.svc", "A"), forged), dns.RcodeSuccess, "+"},
		{"with a name that does not exist", block, withCookie(ask("nope.svc", "A"), good), dns.RcodeNameError, good},
		{"in no zone", block, withCookie(ask("example.org.", "A"), good), dns.RcodeRefused, good},
		{"too short", block, withCookie(ask("order-api.svc", "A"), client[:14]), dns.RcodeFormatError, ""},
		{"empty", block, withCookie(ask("order-api.svc", "A"), ""), dns.RcodeFormatError, ""},
		{"between two lengths", block, withCookie(ask("order-api.svc", "A"), client+"00"), dns.RcodeFormatError, ""},
		{"none", block, ask("order-api.svc", "A").SetEdns0(1232, false), dns.RcodeSuccess, ""},
		{"off", "muster muster.internal {\ncookies off\n}", withCookie(ask("order-api.svc", "A"), good), dns.RcodeSuccess, ""},
		{"off, and malformed", "muster muster.internal {\ncookies off\n}", withCookie(ask("order-api.svc", "A"), "00"), dns.RcodeSuccess, ""},
		{"another secret", "muster muster.internal {\ncookies 000102030405060708090a0b0c0d0e0f\n}", withCookie(ask("order-api.svc", "A"), good),
			dns.RcodeSuccess, "+"},
	}
	for _, tt := range tests {
		reply, _ := exchange(t, serve(t, tt.block, s), tt.m, false)
		got := cookieOf(reply)
		if fresh := len(got) == 48 && got[:16] == client && got != forged; reply.Rcode != tt.rcode || got != tt.want && (tt.want != "+" || !fresh) {
			t.Errorf("%s: %s, cookie %q, want %s and %q", tt.about, dns.RcodeToString[reply.Rcode], got, dns.RcodeToString[tt.rcode], tt.want)
		}
	}
}

func TestCookiesOfTwoServersWithOneSecret(t *testing.T) {
	const text = "muster muster.internal {\ncookies 000102030405060708090a0b0c0d0e0f ffffffffffffffffffffffffffffffff\n}"
	s := fixture(t)
	reply, _ := exchange(t, serve(t, text, s), withCookie(ask("order-api.svc", "A"), client), false)
	good := cookieOf(reply)
	if reply, _ = exchange(t, serve(t, text, s), withCookie(ask("order-api.svc", "A"), good), false); cookieOf(reply) != good {
		t.Errorf("the other server answers %q to %q, want the same", cookieOf(reply), good)
	}
}

// sent is what comes of questions in a row from one client.
type sent struct{ answered, truncated, silent int }

func flood(t *testing.T, server *dnsserver.Server, m func() *dns.Msg, tcp bool) (s sent) {
	t.Helper()
	for range 40 {
		w := &writer{ResponseWriter: test.ResponseWriter{TCP: tcp}}
		server.ServeDNS(context.WithValue(t.Context(), dnsserver.Key{}, server), w, wired(t, m()))
		reply := new(dns.Msg)
		switch {
		case w.wire == nil:
			s.silent++
		case reply.Unpack(w.wire) != nil:
			t.Fatalf("a reply that is none: %x", w.wire)
		case reply.Truncated && len(reply.Answer) == 0:
			s.truncated++
		default:
			s.answered++
		}
	}
	return s
}

func TestRateLimit(t *testing.T) {
	const limit = "muster muster.internal {\nrate_limit 1 window 10 slip 2\n"
	question := func() *dns.Msg { return ask("order-api.svc", "A") }
	tests := []struct {
		about, block string
		m            func() *dns.Msg
		tcp          bool
		want         sent
	}{
		{"over UDP", limit + "}", question, false, sent{10, 15, 15}},
		{"over TCP", limit + "}", question, true, sent{40, 0, 0}},
		{"without a limit", "muster muster.internal", question, false, sent{40, 0, 0}},
		{"never slipping", "muster muster.internal {\nrate_limit 1 window 10 slip 0\n}", question, false, sent{10, 0, 30}},
		{"slipping always", "muster muster.internal {\nrate_limit 1 window 10 slip 1\n}", question, false, sent{10, 30, 0}},
		{"exempt", limit + "rate_exempt 10.240.0.0/16\n}", question, false, sent{40, 0, 0}},
		{"in no zone", limit + "}", func() *dns.Msg { return ask("example.org.", "A") }, false, sent{10, 15, 15}},
		{"malformed", limit + "}", func() *dns.Msg { return withCookie(question(), "00") }, false, sent{10, 15, 15}},
	}
	s := fixture(t)
	for _, tt := range tests {
		server := serve(t, tt.block, s)
		if got := flood(t, server, tt.m, tt.tcp); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.about, got, tt.want)
		}
	}
	t.Run("with a good cookie", func(t *testing.T) {
		server := serve(t, limit+"}", s)
		reply, _ := exchange(t, server, withCookie(question(), client), false)
		good := cookieOf(reply)
		if got, want := flood(t, server, func() *dns.Msg { return withCookie(question(), good) }, false), (sent{40, 0, 0}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		if got := flood(t, server, question, false); got.answered > 1 {
			t.Errorf("without it %+v, want none answered any more", got)
		}
	})
}

// Whoever reads packets by itself asks Admit, and then nobody counts twice.
func TestAdmit(t *testing.T) {
	cfg, err := load(t, "muster muster.internal {\nrate_limit 1 window 10 slip 1\n}", fixture(t))
	if err != nil {
		t.Fatal(err)
	}
	handler := cfg.Plugin[0](nil).(*muster.Muster)
	server, err := dnsserver.NewServer("dns://127.0.0.1:0", []*dnsserver.Config{cfg})
	if err != nil {
		t.Fatal(err)
	}
	from := netip.MustParseAddrPort("198.51.100.1:1234")
	wire := func(m *dns.Msg) []byte {
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	answered := 0
	for range 40 {
		answer, truncated := handler.Admit(wire(ask("order-api.svc", "A")), from)
		if answer == truncated {
			t.Errorf("Admit = %v, %v, want one of them", answer, truncated)
		}
		if answer {
			answered++
		}
	}
	if answered != 10 {
		t.Errorf("%d of 40 admitted, want 10", answered)
	}
	if answer, truncated := handler.Admit([]byte("garbage"), from); answer || !truncated {
		t.Errorf("Admit of garbage = %v, %v, want it limited", answer, truncated)
	}
	if got := flood(t, server, func() *dns.Msg { return ask("order-api.svc", "A") }, false); got.answered != 40 {
		t.Errorf("behind it %+v, want all answered", got)
	}
}

// What is read of a packet before it is taken apart is what it holds.
func FuzzCookieIn(f *testing.F) {
	for _, m := range []*dns.Msg{
		ask("order-api.svc", "A"), withCookie(ask("order-api.svc", "A"), client), withCookie(ask(".", "NS"), client+client+client),
		withCookie(ask("order-api.svc", "A").SetEdns0(1232, false), client), withCookie(new(dns.Msg), client),
		withCookie(ask("order-api.svc", "A"), ""),
	} {
		wire, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		got := muster.CookieIn(packet)
		m := new(dns.Msg)
		if got == nil || m.Unpack(packet) != nil {
			return // what is no message is answered with an error, whatever its cookie
		}
		want, _ := hex.DecodeString(cookieOf(m))
		if !bytes.Equal(got, want) {
			t.Errorf("CookieIn(%x) = %x, want %x", packet, got, want)
		}
	})
}
