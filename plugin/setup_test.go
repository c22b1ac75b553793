package plugin_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	_ "github.com/coredns/coredns/plugin/whoami" // in an example of the README
	"github.com/miekg/dns"
)

func init() {
	dnsserver.Directives = []string{"tsig", "muster", "whoami"}
	dnsserver.Quiet, caddy.Quiet = true, true
}

func TestSetupRefuses(t *testing.T) {
	tests := []struct{ about, block, want string }{
		{"the root", "muster .", `zone "." is not ours to serve`},
		{"internal itself", "muster internal", `zone "internal." is not ours to serve`},
		{"reverse zones alone", "muster 10.in-addr.arpa", "reverse zones alone"},
		{"an unknown property", "muster example.org {\nfoo bar\n}", "foo: no such property"},
		{"a negative TTL", "muster example.org {\nttl -1\n}", `ttl: want one number from 0 to 2147483647, not "-1"`},
		{"a TTL with a unit", "muster example.org {\nttl 5s\n}", "ttl: want one number"},
		{"no TTL", "muster example.org {\nttl\n}", "ttl: want one number"},
		{"a TTL too long", "muster example.org {\nttl 2147483648\n}", "ttl: want one number"},
		{"a negative TTL of negative answers", "muster example.org {\nnegative_ttl x\n}", "negative_ttl: want one number"},
		{"a TTL twice", "muster example.org {\nttl 5\nttl 6\n}", "ttl: that of all services is given twice"},
		{"no answers", "muster example.org {\nanswers 0\n}", "answers: want one number from 1 to 1000"},
		{"too many answers", "muster example.org {\nanswers 1001\n}", "answers: want one number from 1 to 1000"},
		{"a name server without a name", "muster example.org {\nns\n}", "ns: want a name"},
		{"a name server that is no name", "muster example.org {\nns a..b 192.0.2.1\n}", `ns: "a..b" is not a domain name`},
		{"a name server at no address", "muster example.org {\nns ns1.example.net here\n}", `ns: "here" is not an IP address`},
		{"a name server nobody finds", "muster example.org {\nns ns1.example.org\n}", "name server ns1.example.org. lies in the zone"},
		{"raw names maybe", "muster example.org {\nraw_names maybe\n}", `raw_names: want on or off, not "maybe"`},
		{"no endpoint", "muster example.org {\netcd\n}", "etcd: want one endpoint"},
		{"half of TLS", "muster example.org {\netcd https://192.0.2.1:2379\ntls a b\n}", "tls: want the files"},
		{"half of credentials", "muster example.org {\netcd http://192.0.2.1:2379\ncredentials a\n}", "credentials: want a user"},
		{"credentials for nothing", "muster example.org {\ncredentials a b\n}", "no etcd is named"},
		{"a TTL of no service", "muster example.org {\nttl 5 a*b\n}", `ttl: "a*b" is neither the name`},
		{"a TTL of a service twice", "muster example.org {\nttl 5 a\nttl 6 A\n}", `ttl: "A" is given twice`},
		{"an unknown mode", "muster example.org {\nmode random\n}", `mode: want ordered, sampled or single, not "random"`},
		{"a mode twice", "muster example.org {\nmode single\nmode single\n}", "mode is given twice"},
		{"a place of nothing", "muster example.org {\nlocate 192.0.2.0/24\n}", "locate: want a network, its zone"},
		{"a place of no network", "muster example.org {\nlocate here eu-1\n}", `locate: "here" is not a network`},
		{"a place of half a network", "muster example.org {\nlocate 192.0.2.1/24 eu-1\n}", "192.0.2.0/24 is meant"},
		{"a network at two places", "muster example.org {\nlocate 192.0.2.0/24 a\nlocate 192.0.2.0/24 b\n}", "locate: 192.0.2.0/24 is given twice"},
		{"nobody to trust", "muster example.org {\ntrust_subnet\n}", "trust_subnet: want one network"},
		{"cookies maybe", "muster example.org {\ncookies maybe\n}", "cookies: want on, off, or secrets"},
		{"half a secret", "muster example.org {\ncookies 00112233\n}", "cookies: want on, off, or secrets"},
		{"no limit", "muster example.org {\nrate_limit\n}", "rate_limit: want a number of responses"},
		{"a limit of none", "muster example.org {\nrate_limit 0\n}", "rate_limit: want one number from 1 to 100000"},
		{"a limit with half a pair", "muster example.org {\nrate_limit 5 slip\n}", "rate_limit: want a number of responses"},
		{"a limit with an unknown word", "muster example.org {\nrate_limit 5 slop 2\n}", `rate_limit: "slop" is none of slip, window`},
		{"a limit of a network longer than an address", "muster example.org {\nrate_limit 5 ipv4 33\n}", "rate_limit: "},
		{"a limit without a window", "muster example.org {\nrate_limit 5 window 0\n}", "rate_limit: window: want a whole number, above 0"},
		{"exempt from nothing", "muster example.org {\nrate_exempt 192.0.2.0/24\n}", "rate_exempt: there is no rate_limit"},
		{"an etcd beside the server's own roll", "muster example.org {\netcd http://192.0.2.1:2379\n}", "etcd: a Muster server answers from its own roll"},
		{"two blocks", "muster example.org\nmuster example.net", "once per Server Block"},
	}
	for _, tt := range tests {
		t.Run(tt.about, func(t *testing.T) {
			_, err := load(t, tt.block, newSource())
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("setup of %q = %v, want %q", tt.block, err, tt.want)
			}
			if err != nil && !strings.HasPrefix(err.Error(), "plugin/muster: ") {
				t.Errorf("setup of %q = %v, which does not name the plugin", tt.block, err)
			}
		})
	}
	if _, err := load(t, "muster example.org", nil); err == nil || !strings.Contains(err.Error(), "nothing to answer from") {
		t.Errorf("setup without a source = %v, want an error that says so", err)
	}
}

func TestSetupTakes(t *testing.T) {
	s := newSource()
	s.register(t, key("x_y"), "192.0.2.1", 80)
	s.register(t, key("x_y"), "192.0.2.2", 80)
	tests := []struct {
		about, block string
		question     *dns.Msg
		want         string // a part of the reply
	}{
		{"a TTL", "muster muster.internal {\nttl 0\n}", ask("x-y.svc", "A"), "muster.internal. 0 IN A 192.0.2.1"},
		{"a TTL of a service", "muster muster.internal {\nttl 9 x*\n}", ask("x-y.svc", "A"), "muster.internal. 9 IN A 192.0.2.1"},
		{"a TTL of another", "muster muster.internal {\nttl 9 y* x_y_z\n}", ask("x-y.svc", "A"), "muster.internal. 5 IN A 192.0.2.1"},
		{"one address", "muster muster.internal {\nmode single\n}", ask("x-y.svc", "A"), "answer: 1 A"},
		{"a negative TTL", "muster muster.internal {\nnegative_ttl 7\n}", ask("x.svc", "A"), "muster.internal. 7 IN SOA"},
		{"its MINIMUM", "muster muster.internal {\nnegative_ttl 7\n}", ask("muster.internal.", "SOA"), "60 10 86400 7\n"},
		{"a limit", "muster muster.internal {\nanswers 1\n}", ask("x-y.svc", "A"), "answer: 1 A"},
		{"raw names", "muster muster.internal", ask("X_Y.svc", "A"), "answer: 2 A"},
		{"raw names off", "muster muster.internal {\nraw_names off\n}", ask("X_Y.svc", "A"), "NXDOMAIN"},
		{"the default name server", "muster muster.internal", ask("muster.internal.", "NS"), "NS ns1.muster.internal."},
		{"its address", "muster muster.internal", ask("ns1", "A"), "A 127.0.0.1"},
		{"that of a second zone", "muster muster.internal example.org", ask("example.org.", "NS"), "NS ns1.example.org."},
		{"that of a reverse zone", "muster 10.in-addr.arpa muster.internal", ask("10.in-addr.arpa.", "NS"), "NS ns1.muster.internal."},
		{"name servers in order", "muster muster.internal {\nns a.b.muster.internal 192.0.2.53 2001:db8::53\nns ns.example.net\n}",
			ask("muster.internal.", "SOA"), "SOA a.b.muster.internal. hostmaster"},
		{"all of them", "muster muster.internal {\nns a.b.muster.internal 192.0.2.53\nns ns.example.net\n}",
			ask("muster.internal.", "NS"), "NS ns.example.net."},
		{"one in two lines", "muster muster.internal {\nns a.muster.internal 192.0.2.53\nns A.muster.internal 192.0.2.54\n}", ask("a", "A"), "answer: 2 A"},
		{"what leads to one", "muster muster.internal {\nns a.b.muster.internal 192.0.2.53\n}", ask("b", "A"), "NOERROR aa\nauthority"},
		{"a reverse zone by its network", "muster muster.internal 192.0.2.0/24", ask("1.2.0.192.in-addr.arpa.", "PTR"),
			"PTR ip-192-0-2-1.addr.muster.internal."},
		{"a reverse zone of one address", "muster muster.internal 1.2.0.192.in-addr.arpa", ask("1.2.0.192.in-addr.arpa.", "PTR"),
			"PTR ip-192-0-2-1.addr.muster.internal."},
		{"a reverse zone of one address that is not registered", "muster muster.internal 9.2.0.192.in-addr.arpa", ask("9.2.0.192.in-addr.arpa.", "PTR"),
			"NOERROR aa\nauthority"},
		{"the most specific zone", "muster muster.internal sub.muster.internal", ask("nope.sub", "A"), "authority: sub.muster.internal."},
		{"the first zone for pointers", "muster b.example.org muster.internal 192.0.2.0/24", ask("1.2.0.192.in-addr.arpa.", "PTR"),
			"PTR ip-192-0-2-1.addr.b.example.org."},
		{"a zone in capitals", "muster MUSTER.Internal", ask("x-y.svc", "A"), "192.0.2.1"},
	}
	for _, tt := range tests {
		t.Run(tt.about, func(t *testing.T) {
			reply, _ := exchange(t, serve(t, tt.block, s), tt.question, false)
			if got := show(reply, false) + show(reply, true); !strings.Contains(got, tt.want) {
				t.Errorf("reply with %q = %s, want %q in it", tt.block, got, tt.want)
			}
		})
	}
}

// Each Corefile of the README starts: nothing of it needs an etcd that is there.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var sections []string
	for _, m := range regexp.MustCompile(`(?m)^## (.*)$`).FindAllStringSubmatch(string(text), -1) {
		sections = append(sections, m[1])
	}
	want := []string{"Name", "Description", "Syntax", "Updates", "Compilation", "Metrics", "Ready", "Examples", "Bugs", "See Also"}
	if !slices.Equal(sections, want) {
		t.Errorf("sections = %q, want %q", sections, want)
	}
	examples := regexp.MustCompile("(?s)~~~ corefile\n(.*?)~~~").FindAllStringSubmatch(string(text), -1)
	if len(examples) < 3 {
		t.Fatalf("%d examples, want at least 3", len(examples))
	}
	dnsserver.Port = "0"
	for _, m := range examples {
		instance, err := caddy.Start(caddy.CaddyfileInput{Filepath: "README.md", Contents: []byte(m[1]), ServerTypeName: "dns"})
		if err != nil {
			t.Errorf("%v, of\n%s", err, m[1])
			continue
		}
		if err := instance.Stop(); err != nil {
			t.Error(err)
		}
		for _, err := range instance.ShutdownCallbacks() {
			t.Error(err)
		}
	}
}

func TestStaleAnswersAreKeptShortly(t *testing.T) {
	s := newSource()
	s.register(t, key("x"), "192.0.2.1", 80)
	s.age.Store(int64(1e12))
	server := serve(t, "muster muster.internal {\nttl 300\nnegative_ttl 300\n}", s)
	for _, m := range []*dns.Msg{ask("x.svc", "A"), ask("x.svc", "SRV"), ask("nope.svc", "A"), ask("muster.internal.", "SOA"), ask("muster.internal.", "NS")} {
		reply, _ := exchange(t, server, m, false)
		for _, rr := range slices.Concat(reply.Answer, reply.Ns, reply.Extra) {
			if rr.Header().Ttl != 30 {
				t.Errorf("%v: TTL = %d, want 30", rr, rr.Header().Ttl)
			}
		}
	}
}

func TestReady(t *testing.T) {
	s := newSource()
	s.unready.Store(true)
	cfg, err := load(t, block, s)
	if err != nil {
		t.Fatal(err)
	}
	ready := cfg.Plugin[0](nil).(interface{ Ready() bool })
	if ready.Ready() {
		t.Error("Ready() before the first snapshot = true, want false")
	}
	s.unready.Store(false)
	if !ready.Ready() {
		t.Error("Ready() with a snapshot = false, want true")
	}
}
