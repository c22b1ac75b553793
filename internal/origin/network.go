package origin

import "net/netip"

// Network returns what is bounded as one caller: an address, or of IPv6 the network of 64
// bits, as who has one address of it has all. Addresses that are not known are one, too.
func Network(at netip.Addr) netip.Prefix {
	at = at.Unmap()
	p, _ := at.WithZone("").Prefix(min(64, at.BitLen())) // the zero prefix for an address that is not known
	return p
}
