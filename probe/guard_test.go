package probe_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/probe"
)

func guard(t *testing.T, c probe.GuardConfig) *probe.Guard {
	t.Helper()
	g, err := probe.NewGuard(c)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func prefixes(all ...string) (p []netip.Prefix) {
	for _, text := range all {
		p = append(p, netip.MustParsePrefix(text))
	}
	return p
}

func endpoints(all ...string) (e []netip.AddrPort) {
	for _, text := range all {
		e = append(e, netip.MustParseAddrPort(text))
	}
	return e
}

func TestGuard(t *testing.T) {
	none := probe.GuardConfig{}
	denied := probe.GuardConfig{Deny: prefixes("10.0.0.0/8", "2001:db8::/32", "::ffff:192.0.2.0/120")}
	allowed := probe.GuardConfig{Allow: prefixes("10.0.0.0/8", "169.254.7.0/24", "fd00::/8"), Deny: prefixes("10.1.0.0/16")}
	all := probe.GuardConfig{Allow: prefixes("0.0.0.0/0", "::/0", "169.254.0.0/16")}
	own := probe.GuardConfig{DenyEndpoints: endpoints("0.0.0.0:8848", "[::]:9848", "127.0.0.1:2379", "[::ffff:192.0.2.7]:53")}
	for _, c := range []struct {
		name   string
		config probe.GuardConfig
		to     string
		want   string // part of the refusal; empty: may be probed
	}{
		{"a private address", none, "10.0.0.1:80", ""},
		{"a public one", none, "[2001:db8::1]:80", ""},
		{"loopback", none, "127.0.0.1:80", ""},
		{"loopback of IPv6", none, "[::1]:80", ""},
		{"link-local", none, "169.254.1.1:80", "link-local"},
		{"link-local of IPv6", none, "[fe80::1]:80", "link-local"},
		{"link-local with a zone", none, "[fe80::1%eth0]:80", "link-local"},
		{"metadata", none, "169.254.169.254:80", "link-local"},
		{"metadata on IPv6", none, "[fd00:ec2::254]:80", "metadata"},
		{"metadata elsewhere", none, "100.100.100.200:80", "metadata"},
		{"multicast", none, "224.0.0.1:80", "multicast"},
		{"multicast of IPv6", none, "[ff02::1]:80", "multicast"},
		{"broadcast", none, "255.255.255.255:80", "broadcast"},
		{"unspecified", none, "0.0.0.0:80", "unspecified"},
		{"unspecified of IPv6", none, "[::]:80", "unspecified"},
		{"this network", none, "0.0.0.1:80", "unspecified"},
		{"metadata mapped into IPv6", none, "[::ffff:169.254.169.254]:80", "169.254.169.254 is a link-local"},
		{"alike, with a zone", none, "[::ffff:100.100.100.200%eth0]:80", "metadata"},
		{"unspecified mapped into IPv6", none, "[::ffff:0.0.0.0]:80", "unspecified"},
		{"metadata through NAT64", none, "[64:ff9b::a9fe:a9fe]:80", "169.254.169.254 is"},
		{"metadata through NAT64 of a site", none, "[64:ff9b:1:ff::a9fe:a9fe]:80", "169.254.169.254 is"},
		{"metadata translated", none, "[::ffff:0:169.254.169.254]:80", "169.254.169.254 is"},
		{"metadata through 6to4", none, "[2002:a9fe:a9fe::1]:80", "169.254.169.254 is"},
		{"metadata in a compatible address", none, "[::a9fe:a9fe]:80", "169.254.169.254 is"},
		{"another through NAT64", none, "[64:ff9b::c000:201]:80", ""},

		{"in a denied network", denied, "10.9.9.9:80", "denied"},
		{"mapped, in a denied network", denied, "[::ffff:10.9.9.9]:80", "denied"},
		{"through NAT64, in a denied network", denied, "[64:ff9b::a09:909]:80", "denied"},
		{"in a denied network of IPv6", denied, "[2001:db8::1]:80", "denied"},
		{"in a denied network that was written as mapped", denied, "192.0.2.1:80", "denied"},
		{"outside", denied, "192.0.3.1:80", ""},

		{"in an allowed network", allowed, "10.0.0.1:80", ""},
		{"mapped, in an allowed network", allowed, "[::ffff:10.0.0.1]:80", ""},
		{"in none that is allowed", allowed, "192.0.2.1:80", "no network that is allowed"},
		{"loopback in none that is allowed", allowed, "127.0.0.1:80", "no network that is allowed"},
		{"allowed and denied", allowed, "10.1.0.1:80", "denied"},
		{"a part of link-local that is opened", allowed, "169.254.7.1:80", ""},
		{"metadata in an allowed network", allowed, "[fd00:ec2::254]:80", "metadata"},
		{"link-local where all is opened", all, "169.254.1.1:80", ""},
		{"metadata where all is opened", all, "169.254.169.254:80", "metadata"},
		{"link-local of IPv6 where all is opened", all, "[fe80::1]:80", "link-local"},
		{"metadata that is opened", probe.GuardConfig{Allow: prefixes("169.254.169.254/32")}, "169.254.169.254:80", ""},

		{"an own port", own, "127.0.0.1:8848", "denied with port 8848"},
		{"an own port on more loopback", own, "127.1.2.3:8848", "denied"},
		{"an own port on loopback of IPv6", own, "[::1]:8848", "denied"},
		{"an own port of IPv6 on IPv4", own, "127.0.0.1:9848", "denied"},
		{"an own port, mapped", own, "[::ffff:127.0.0.1]:8848", "denied"},
		{"the own port of another host", own, "192.0.2.1:8848", ""},
		{"another port", own, "127.0.0.1:8849", ""},
		{"one address with a port", own, "127.0.0.1:2379", "denied"},
		{"another address with it", own, "127.0.0.2:2379", ""},
		{"one address that was written as mapped", own, "192.0.2.7:53", "denied"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := guard(t, c.config).Refusal(netip.MustParseAddrPort(c.to))
			if c.want == "" && err != nil {
				t.Errorf("Refusal(%s) = %v, want nil", c.to, err)
			}
			if c.want != "" && (reason(err) != probe.NotAllowed || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("Refusal(%s) = %v, want %s with %q", c.to, err, probe.NotAllowed, c.want)
			}
		})
	}
}

func TestGuardKnowsTheAddressesOfItsHost(t *testing.T) {
	g := guard(t, probe.GuardConfig{DenyEndpoints: endpoints("0.0.0.0:8848")})
	own, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range own {
		ip, _ := netip.AddrFromSlice(a.(*net.IPNet).IP)
		if err := g.Refusal(netip.AddrPortFrom(ip, 8848)); reason(err) != probe.NotAllowed {
			t.Errorf("Refusal of %v with an own port = %v, want %s", ip, err, probe.NotAllowed)
		}
	}
}

func TestNoGuardAllowsAll(t *testing.T) {
	var g *probe.Guard
	if err := g.Refusal(netip.MustParseAddrPort("169.254.169.254:80")); err != nil {
		t.Errorf("Refusal without a Guard = %v, want nil", err)
	}
}

func TestNewGuardNamesWhatIsWrong(t *testing.T) {
	for want, c := range map[string]probe.GuardConfig{
		"allow: ":           {Allow: make([]netip.Prefix, 1)},
		"deny: invalid Pre": {Deny: make([]netip.Prefix, 1)},
		"deny: 10.0.0.1:0":  {DenyEndpoints: endpoints("10.0.0.1:0")},
		"deny: invalid Add": {DenyEndpoints: make([]netip.AddrPort, 1)},
	} {
		if _, err := probe.NewGuard(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("NewGuard(%+v) = %v, want an error with %q", c, err, want)
		}
	}
}

// Every kind dials through its Guard, which sees what a name became.
func TestEveryKindIsGuarded(t *testing.T) {
	s := serve(t, func(c net.Conn) { t.Errorf("%v reached the server", c.RemoteAddr()) })
	_, port, err := net.SplitHostPort(s.address)
	if err != nil {
		t.Fatal(err)
	}
	loopback := guard(t, probe.GuardConfig{Deny: prefixes("127.0.0.0/8", "::1/128")})
	for _, host := range []string{"127.0.0.1", "[::ffff:127.0.0.1]", "localhost", ""} {
		for _, c := range []probe.Check{
			{TCP: host + ":" + port}, {MySQL: host + ":" + port}, {Redis: host + ":" + port}, {Redis: host + ":" + port, TLS: true},
			{GRPC: host + ":" + port}, {GRPC: host + ":" + port, TLS: true}, {HTTP: "http://" + host + ":" + port}, {HTTP: "https://" + host + ":" + port},
		} {
			p, err := c.Guarded(loopback)
			if host == "" && c.HTTP != "" {
				continue // not a URL
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := probe.Try(t.Context(), p, 10*time.Second); reason(err) != probe.NotAllowed {
				t.Errorf("Probe of %v = %v, want %s", c, err, probe.NotAllowed)
			}
		}
	}
}
