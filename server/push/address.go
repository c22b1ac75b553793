package push

import (
	"net"
	"net/netip"
)

// shared is the address space of carriers and clouds, private in effect (RFC 6598).
var shared = netip.MustParsePrefix("100.64.0.0/10")

// tellable reports whether a datagram may be sent to a at all: one host, which
// the address alone is enough to find. A broadcast address of some network looks
// like a host's; the socket refuses that one (see [Listen]).
func tellable(a netip.AddrPort) bool {
	ip := a.Addr()
	switch {
	case !ip.IsValid(), a.Port() == 0, ip.IsUnspecified(), ip.IsMulticast(), ip.Zone() != "":
		return false
	case ip.Is4():
		first := ip.As4()[0] // 0: this host; from 240: reserved, and the broadcast address
		return first != 0 && first < 240
	}
	return !ip.IsLinkLocalUnicast() // which needs a zone
}

// near reports whether a caller may have another address told: its own, or one
// that is private as its own is. A loopback address means this very host, so
// only somebody on it may name one; whoever calls from one may name any of this
// host, as clients name an address of some interface also where they call loopback.
func near(ip, from netip.Addr) bool {
	switch {
	case ip == from:
		return true
	case ip.IsLoopback():
		return from.IsLoopback()
	}
	return private(ip) && (private(from) || from.IsLoopback()) || from.IsLoopback() && ours(ip)
}

// ours reports whether an address is one of this host.
func ours(ip netip.Addr) bool {
	if ip.IsLoopback() {
		return true
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok {
			if own, ok := netip.AddrFromSlice(n.IP); ok && own.Unmap() == ip {
				return true
			}
		}
	}
	return false
}

func private(ip netip.Addr) bool { return ip.IsPrivate() || shared.Contains(ip) }
