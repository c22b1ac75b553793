package plugin_test

import (
	"context"
	"strings"
	"testing"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"
)

// Whatever packet comes in, the plugin answers with a message that can be sent
// and fits.
func FuzzServeDNS(f *testing.F) {
	handler := plain(f)
	for _, m := range []*dns.Msg{
		ask("order-api.svc", "A"), ask("big.svc", "SRV"), ask("_http._tcp.order-api.svc", "SRV"), ask(`a\.b\000.svc`, "ANY"),
		ask("1.0.0.10.in-addr.arpa.", "PTR"), ask("0.8.b.d.0.1.0.0.2.ip6.arpa.", "PTR"), ask("loop.svc", "AAAA"), ask("muster.internal.", "SOA"),
		ask("order-api.svc", "A").SetEdns0(0, true), ask("x.muster.internal.", "AXFR"), ask(".", "NS"),
		ask("web.svc", "TXT"), ask("web.svc", "HTTPS"), ask("_http._tcp", "PTR"), ask("ip-10-0-12-1.web.inst", "TXT"),
		subnetted("198.51.100.0/24"), subnetted("2001:db8::/32"), subnetted("0.0.0.0/0"), withCookie(ask("order-api.svc", "A"), client),
	} {
		wire, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire, false)
		f.Add(wire, true)
	}
	f.Fuzz(func(t *testing.T, packet []byte, tcp bool) {
		m := new(dns.Msg)
		if m.Unpack(packet) != nil || m.Response {
			return
		}
		w := &writer{ResponseWriter: test.ResponseWriter{TCP: tcp}}
		code, err := handler(t.Context(), w, m)
		if err != nil || w.err != nil {
			t.Fatalf("ServeDNS(%v) = %v, reply: %v", m, err, w.err)
		}
		if code != dns.RcodeSuccess || w.wire == nil {
			t.Errorf("ServeDNS(%v) = %s, written %v", m, dns.RcodeToString[code], w.wire != nil)
		}
		if !tcp && len(w.wire) > 1232 {
			t.Errorf("reply to %v has %d octets", m, len(w.wire))
		}
	})
}

func subnetted(network string) *dns.Msg {
	m := ask("web.svc", "SRV").SetEdns0(1232, false)
	m.IsEdns0().Option = append(m.IsEdns0().Option, subnet(network))
	return m
}

// Whatever a block says, it is refused with an error that names the plugin, or
// makes a server that answers.
func FuzzSetup(f *testing.F) {
	for _, text := range []string{
		block, "muster example.org {\nttl 5 a*\nnegative_ttl 7\nmode sampled\nanswers 3\nraw_names off\n}",
		"muster 10.0.0.0/8 example.org {\nlocate ::/0 a b\ntrust_subnet ::1\ncookies off\nfallthrough x\n}",
		"muster example.org {\nrate_limit 5 slip 0 window 2 ipv4 32 ipv6 64 networks 100\nrate_exempt 10.0.0.0/8\n}",
		"muster example.org {\nupdate k\nlease 1 2\n}", "muster a\\.b {\nns \\000 1.2.3.4\n}", `muster "a b" {`,
	} {
		f.Add(text)
	}
	s := fixture(f)
	f.Fuzz(func(t *testing.T, text string) {
		if strings.ContainsAny(text, "$%") || strings.Contains(text, "etcd") || strings.Contains(text, "networks") && len(text) > 200 {
			return // environment and what takes memory are not what is looked for
		}
		cfg, err := load(t, text, s)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "plugin/muster: ") {
				t.Errorf("setup of %q = %v, which does not name the plugin", text, err)
			}
			return
		}
		server, err := dnsserver.NewServer("dns://127.0.0.1:0", []*dnsserver.Config{cfg})
		if err != nil {
			t.Fatal(err)
		}
		if reply, _ := exchange(t, server, ask("order-api.svc", "A"), true); !reply.Response {
			t.Errorf("reply with %q = %v", text, reply)
		}
	})
}

// plain returns the plugin's ServeDNS without a server around it.
func plain(tb testing.TB) func(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	tb.Helper()
	cfg, err := load(tb, block, fixture(tb))
	if err != nil {
		tb.Fatal(err)
	}
	return cfg.Plugin[0](nil).ServeDNS
}

func BenchmarkServeDNS(b *testing.B) {
	handler, ctx := plain(b), context.WithValue(b.Context(), dnsserver.Key{}, &dnsserver.Server{Addr: "dns://:1053"})
	for _, q := range []struct{ name, qtype string }{
		{"order-api.svc", "A"}, {"order-api.svc", "SRV"}, {"big.svc", "A"}, {"big.svc", "SRV"}, {"nope.svc", "A"},
	} {
		for _, edns := range []bool{false, true} {
			title := q.name + "/" + q.qtype
			m := ask(q.name, q.qtype)
			if edns {
				title += "/EDNS"
				m.SetEdns0(1232, false)
			}
			b.Run(title, func(b *testing.B) {
				w := new(test.ResponseWriter)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := handler(ctx, w, m); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
