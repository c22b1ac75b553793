package origin_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/musterhq/muster/internal/origin"
)

func TestOf(t *testing.T) {
	proxies, err := origin.Parse([]string{"192.0.2.0/24", "127.0.0.1", "2001:db8:1::/48", "fe80::/10"})
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("198.51.100.7, ", 20000)
	for _, c := range []struct {
		name, peer string
		header     []string
		want       string // empty: not known
	}{
		{"no proxy", "203.0.113.9:1", nil, "203.0.113.9"},
		{"a client that says it is another", "203.0.113.9:1", []string{"198.51.100.7"}, "203.0.113.9"},
		{"a client that says it is this host", "203.0.113.9:1", []string{"127.0.0.1"}, "203.0.113.9"},
		{"a client that says it was at a proxy", "203.0.113.9:1", []string{"127.0.0.1, 192.0.2.1"}, "203.0.113.9"},
		{"a neighbour of the proxies", "192.0.3.1:1", []string{"198.51.100.7"}, "192.0.3.1"},

		{"by a proxy", "192.0.2.1:1", []string{"203.0.113.9"}, "203.0.113.9"},
		{"by a proxy, said to be another", "192.0.2.1:1", []string{"198.51.100.7, 203.0.113.9"}, "203.0.113.9"},
		{"by a proxy, said to be this host", "192.0.2.1:1", []string{"127.0.0.1,203.0.113.9"}, "203.0.113.9"},
		{"by a proxy, said to be a proxy", "192.0.2.1:1", []string{"192.0.2.1, 203.0.113.9"}, "203.0.113.9"},
		{"by a proxy, with garbage", "192.0.2.1:1", []string{"a\x00b,%, 203.0.113.9"}, "203.0.113.9"},
		{"by a proxy, with very much", "192.0.2.1:1", []string{long + "203.0.113.9"}, "203.0.113.9"},
		{"by a proxy that adds a line", "192.0.2.1:1", []string{"127.0.0.1", "198.51.100.7", "203.0.113.9"}, "203.0.113.9"},
		{"by two proxies", "192.0.2.1:1", []string{"198.51.100.7, 203.0.113.9, 192.0.2.2"}, "203.0.113.9"},
		{"by two proxies that add lines", "192.0.2.1:1", []string{"198.51.100.7, 203.0.113.9", "192.0.2.2"}, "203.0.113.9"},
		{"by one that is trusted and one that is not", "192.0.2.1:1", []string{"198.51.100.7, 203.0.113.9"}, "203.0.113.9"},
		{"by a proxy of this host", "127.0.0.1:1", []string{"127.0.0.1, 203.0.113.9"}, "203.0.113.9"},

		{"by a proxy that says nothing", "192.0.2.1:1", nil, "192.0.2.1"},
		{"by a proxy that says nothing in lines", "192.0.2.1:1", []string{"", " , ,"}, "192.0.2.1"},
		{"by a proxy that says nothing behind a client's word", "192.0.2.1:1", []string{"203.0.113.9, "}, "203.0.113.9"},
		{"from a proxy", "192.0.2.1:1", []string{"192.0.2.7"}, "192.0.2.7"},
		{"from a proxy that says it is this host", "192.0.2.1:1", []string{"127.0.0.1, 192.0.2.7"}, "192.0.2.7"},
		{"from a proxy that says it is this host otherwise", "192.0.2.1:1", []string{"::1, ::ffff:192.0.2.7"}, "192.0.2.7"},
		{"by a proxy that does not know", "192.0.2.1:1", []string{"203.0.113.9, unknown"}, "192.0.2.1"},
		{"this host", "127.0.0.1:1", nil, "127.0.0.1"},
		{"this host by its proxy", "127.0.0.1:1", []string{"127.0.0.1"}, "127.0.0.1"},
		{"by a proxy of this host that does not know", "127.0.0.1:1", []string{"203.0.113.9, unix:"}, ""},
		{"by a proxy of this host that writes half", "127.0.0.1:1", []string{"203.0.113"}, ""},

		{"IPv6", "[2001:db8:1::1]:1", []string{"::1, 2001:db8:9::9"}, "2001:db8:9::9"},
		{"IPv6 in brackets", "[2001:db8:1::1]:1", []string{"[2001:db8:9::9]"}, "2001:db8:9::9"},
		{"IPv6 with a port", "[2001:db8:1::1]:1", []string{"[2001:db8:9::9]:4711"}, "2001:db8:9::9"},
		{"IPv6 with a zone", "[fe80::1%eth0]:1", []string{"fe80::9%<script>, 2001:db8:9::9%x"}, "2001:db8:9::9"},
		{"a neighbour in IPv6", "[2001:db8:2::1]:1", []string{"2001:db8:9::9"}, "2001:db8:2::1"},
		{"IPv4 with a port", "192.0.2.1:1", []string{"203.0.113.9:4711"}, "203.0.113.9"},
		{"IPv4 as IPv6", "[::ffff:192.0.2.1]:1", []string{"::ffff:127.0.0.1, ::ffff:203.0.113.9"}, "203.0.113.9"},
		{"this host in IPv6 elsewhere", "[2001:db8:1::1]:1", []string{"::ffff:127.0.0.1"}, "2001:db8:1::1"},
		{"a number", "192.0.2.1:1", []string{"2130706433"}, "192.0.2.1"},
		{"an octal one", "192.0.2.1:1", []string{"0177.0.0.1"}, "192.0.2.1"},
		{"no address of a connection", "@", []string{"203.0.113.9"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": c.header, "X-Real-Ip": {"198.51.100.8"}, "Forwarded": {"for=198.51.100.9"}}}
			got, want := proxies.Of(r), netip.Addr{}
			if c.want != "" {
				want = netip.MustParseAddr(c.want)
			}
			if got != want {
				t.Errorf("Of = %v, want %v", got, want)
			}
			if got := proxies.Settle(r); got != want || len(r.Header["X-Forwarded-For"])+len(r.Header["X-Real-Ip"]) > 0 {
				t.Errorf("Settle = %v, want %v, and leaves %v", got, want, r.Header)
			}
			if got := proxies.Of(r); got != want {
				t.Errorf("Of what was settled = %v, want %v: %q", got, want, r.RemoteAddr)
			}
		})
	}
}

// Where nobody is trusted, who works on a call finds it as it came.
func TestNobodyIsTrusted(t *testing.T) {
	r := &http.Request{RemoteAddr: "192.0.2.1:80", Header: http.Header{"X-Forwarded-For": {"203.0.113.9"}}}
	if got := origin.Proxies(nil).Settle(r); got != netip.MustParseAddr("192.0.2.1") || r.RemoteAddr != "192.0.2.1:80" || r.Header.Get("X-Forwarded-For") != "203.0.113.9" {
		t.Errorf("Settle = %v, and leaves %q %v", got, r.RemoteAddr, r.Header)
	}
}

func TestNetwork(t *testing.T) {
	for at, want := range map[string]string{"192.0.2.1": "192.0.2.1/32", "::ffff:192.0.2.1": "192.0.2.1/32", "2001:db8:1:2:3::4": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64"} {
		if got := origin.Network(netip.MustParseAddr(at)); got.String() != want {
			t.Errorf("Network(%s) = %v, want %s", at, got, want)
		}
	}
	if got := origin.Network(netip.Addr{}); got.IsValid() {
		t.Errorf("Network of no address = %v", got)
	}
}

func TestParse(t *testing.T) {
	for _, text := range []string{"", "proxy", "host.example", "192.0.2.1:80", "192.0.2", "192.0.2.1/8", "192.0.2.0/33", "0.0.0.0/0", "::/0", "::ffff:192.0.2.1", "::ffff:192.0.2.0/120", "fe80::1%eth0", "fe80::1%eth0/64", "[::1]", "192.0.2.1,192.0.2.2", " 192.0.2.1", "010.0.0.1"} {
		if p, err := origin.Parse([]string{"192.0.2.1", text}); err == nil || p != nil || !strings.Contains(err.Error(), `"`+text+`"`) {
			t.Errorf("Parse(%q) = %v, %v, want an error that names it", text, p, err)
		}
	}
	if p, err := origin.Parse([]string{"10.0.0.0/8", "192.0.2.1", "::1", "2001:db8::/32"}); err != nil || len(p) != 4 {
		t.Errorf("Parse = %v, %v", p, err)
	}
	if p, err := origin.Parse(nil); err != nil || len(p) != 0 {
		t.Errorf("Parse of none = %v, %v", p, err)
	}
}

// FuzzOf looks for a header by which a client behind a proxy is another one.
func FuzzOf(f *testing.F) {
	proxies, err := origin.Parse([]string{"192.0.2.1"})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"", "127.0.0.1", "a, b,,", "::1%x\n", "[", "192.0.2.1", "1.2.3.4:99999, \"x\""} {
		f.Add(seed, seed)
	}
	client := netip.MustParseAddr("203.0.113.9")
	f.Fuzz(func(t *testing.T, one, two string) {
		for _, header := range [][]string{{one, two, client.String()}, {one, two + "," + client.String()}, {one + ", " + two + ",203.0.113.9:80 ,"}} {
			if got := proxies.Of(&http.Request{RemoteAddr: "192.0.2.1:9", Header: http.Header{"X-Forwarded-For": header}}); got != client {
				t.Errorf("Of(%q) = %v", header, got)
			}
		}
		proxies.Of(&http.Request{RemoteAddr: "192.0.2.1:9", Header: http.Header{"X-Forwarded-For": {one, two}}})
	})
}
