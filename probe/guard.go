package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
)

// GuardConfig says what a Guard refuses beside what every Guard does.
type GuardConfig struct {
	// Allow are the networks that may be probed; empty means all. A network
	// that lies within one that every Guard refuses opens that part of it.
	Allow []netip.Prefix
	// Deny are networks that may not be probed, whatever Allow says.
	Deny []netip.Prefix
	// DenyEndpoints are ports that may not be probed, each at one address, or
	// at every address of this host where it is unspecified (0.0.0.0 or ::), as
	// that of a listener is.
	DenyEndpoints []netip.AddrPort
}

// Guard decides which addresses may be probed, for a host that probes what
// others name. It looks at what is dialed in the end, not at what a name said
// before. A nil Guard allows everything.
type Guard struct {
	allow, deny []netip.Prefix
	endpoints   []netip.AddrPort
}

// network is one that a Guard refuses by itself.
type network struct {
	netip.Prefix

	what string
}

// refused are not what a service is reached at: they stand for the host or
// the link of whoever dials them, or for many hosts, or give the secrets of a
// host in a cloud to every program on it.
var refused = []network{
	{netip.MustParsePrefix("0.0.0.0/8"), "an unspecified address"},
	{netip.MustParsePrefix("::/128"), "an unspecified address"},
	{netip.MustParsePrefix("169.254.0.0/16"), "a link-local address"},
	{netip.MustParsePrefix("fe80::/10"), "a link-local address"},
	{netip.MustParsePrefix("224.0.0.0/4"), "a multicast address"},
	{netip.MustParsePrefix("ff00::/8"), "a multicast address"},
	{netip.MustParsePrefix("255.255.255.255/32"), "the broadcast address"},
	{netip.MustParsePrefix("169.254.169.254/32"), "a cloud's metadata"}, // most
	{netip.MustParsePrefix("169.254.170.2/32"), "a cloud's metadata"},   // containers of AWS
	{netip.MustParsePrefix("fd00:ec2::254/128"), "a cloud's metadata"},  // AWS
	{netip.MustParsePrefix("fd20:ce::254/128"), "a cloud's metadata"},   // Google
	{netip.MustParsePrefix("100.100.100.200/32"), "a cloud's metadata"}, // Alibaba
	{netip.MustParsePrefix("192.0.0.192/32"), "a cloud's metadata"},     // Oracle
	{netip.MustParsePrefix("168.63.129.16/32"), "a cloud's metadata"},   // Azure
}

// NewGuard returns a Guard, or an error that names what of c is no network or
// endpoint.
func NewGuard(c GuardConfig) (*Guard, error) {
	g := &Guard{}
	for _, list := range []struct {
		name string
		from []netip.Prefix
		to   *[]netip.Prefix
	}{{"allow", c.Allow, &g.allow}, {"deny", c.Deny, &g.deny}} {
		for _, p := range list.from {
			if !p.IsValid() {
				return nil, fmt.Errorf("%s: %v is not a network", list.name, p)
			}
			if p.Addr().Is4In6() && p.Bits() >= 96 {
				p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
			}
			*list.to = append(*list.to, p.Masked())
		}
	}
	for _, e := range c.DenyEndpoints {
		if !e.IsValid() || e.Port() == 0 {
			return nil, fmt.Errorf("deny: %v is not an address and a port", e)
		}
		g.endpoints = append(g.endpoints, netip.AddrPortFrom(plain(e.Addr()), e.Port()))
	}
	return g, nil
}

// control is for net.Dialer: it is asked with the address of each connection
// that is about to be opened, when all names are resolved.
func (g *Guard) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return &Error{NotAllowed, fmt.Errorf("%q names no address", address)}
	}
	return g.Refusal(to)
}

// Refusal returns nil when to may be probed, and otherwise an *Error that says
// why not.
func (g *Guard) Refusal(to netip.AddrPort) error {
	if g == nil {
		return nil
	}
	if !to.IsValid() {
		return &Error{NotAllowed, errors.New("no address")}
	}
	ip := plain(to.Addr())
	if len(g.allow) > 0 && longest(g.allow, ip) < 0 {
		return &Error{NotAllowed, fmt.Errorf("%v is in no network that is allowed", ip)}
	}
	for _, a := range append(inside(ip), ip) {
		if why := g.refuses(a, to.Port()); why != "" {
			return &Error{NotAllowed, fmt.Errorf("%v is %s", a, why)}
		}
	}
	return nil
}

// refuses returns what is wrong with ip, or "".
func (g *Guard) refuses(ip netip.Addr, port uint16) string {
	for _, e := range g.endpoints {
		if e.Port() == port && (e.Addr() == ip || e.Addr().IsUnspecified() && isOwn(ip)) {
			return fmt.Sprintf("denied with port %d", port)
		}
	}
	if longest(g.deny, ip) >= 0 {
		return "in a network that is denied"
	}
	opened := longest(g.allow, ip)
	for _, n := range refused {
		if n.Contains(ip) && n.Bits() > opened {
			return n.what
		}
	}
	return ""
}

// longest returns the length of the longest prefix of all that contains ip, -1
// if none does.
func longest(all []netip.Prefix, ip netip.Addr) int {
	bits := -1
	for _, p := range all {
		if p.Contains(ip) {
			bits = max(bits, p.Bits())
		}
	}
	return bits
}

// plain returns ip as networks compare it: they contain no address that has a
// zone, and none of IPv4 that is written as one of IPv6.
func plain(ip netip.Addr) netip.Addr { return ip.Unmap().WithZone("") }

// translated are the networks of IPv6 whose addresses lead to one of IPv4 that
// they hold, with where they do.
var translated = []struct {
	netip.Prefix

	at int
}{
	{netip.MustParsePrefix("::/96"), 12},           // IPv4-compatible
	{netip.MustParsePrefix("64:ff9b::/96"), 12},    // NAT64, RFC 6052
	{netip.MustParsePrefix("64:ff9b:1::/48"), 12},  // NAT64 of a site, RFC 8215, by a part of 96 bits
	{netip.MustParsePrefix("::ffff:0:0:0/96"), 12}, // SIIT, RFC 2765
	{netip.MustParsePrefix("2002::/16"), 2},        // 6to4
}

// inside returns the address of IPv4 that ip holds, if it does.
func inside(ip netip.Addr) []netip.Addr {
	for _, t := range translated {
		if t.Contains(ip) && !ip.IsLoopback() && !ip.IsUnspecified() {
			b := ip.As16()
			return []netip.Addr{netip.AddrFrom4([4]byte(b[t.at : t.at+4]))}
		}
	}
	return nil
}

// isOwn reports whether ip is an address of this host. It asks anew each time,
// for addresses come and go, and only few probes name a port that matters.
func isOwn(ip netip.Addr) bool {
	if ip.IsLoopback() || ip.IsUnspecified() {
		return true
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return true // who cannot tell refuses
	}
	return slices.ContainsFunc(own, func(a net.Addr) bool {
		n, ok := a.(*net.IPNet)
		if !ok {
			return false
		}
		own, ok := netip.AddrFromSlice(n.IP)
		return ok && plain(own) == ip
	})
}
