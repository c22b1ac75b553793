package plugin

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/answer"
	"github.com/musterhq/muster/registry"
)

// atlas tells where a question comes from.
type atlas struct {
	places  map[netip.Prefix]answer.Place
	lengths []int          // of the prefixes, longest first
	trusted []netip.Prefix // whose word about their clients is taken (RFC 7871)
}

// add says where the addresses of a prefix are. The most specific prefix counts.
func (a *atlas) add(p netip.Prefix, at answer.Place) error {
	if _, ok := a.places[p]; ok {
		return fmt.Errorf("%s is given twice", p)
	}
	if a.places == nil {
		a.places = map[netip.Prefix]answer.Place{}
	}
	a.places[p] = at
	if !slices.Contains(a.lengths, p.Bits()) {
		a.lengths = append(a.lengths, p.Bits())
		slices.SortFunc(a.lengths, func(a, b int) int { return b - a })
	}
	return nil
}

// locate returns where an address is of which the first known bits are known, zero
// when nobody knows.
func (a *atlas) locate(addr netip.Addr, known int) answer.Place {
	for _, bits := range a.lengths {
		if bits > known {
			continue
		}
		if p, err := addr.Prefix(bits); err == nil {
			if at, ok := a.places[p]; ok {
				return at
			}
		}
	}
	return answer.Place{}
}

// origin is where a question comes from.
type origin struct {
	answer.Place

	scope uint8 // of the client's subnet option in an answer that depends on it
}

// origin returns where a question is from: by its subnet option if the sender is
// trusted to know, else by the sender.
func (a *atlas) origin(remote net.Addr, opt *dns.OPT) origin {
	addr := addrOf(remote)
	if subnet := subnetOf(opt); subnet != nil && a.trusts(addr) {
		if told, ok := netip.AddrFromSlice(subnet.Address); ok && subnet.SourceNetmask > 0 {
			if subnet.Family == 1 { // of IPv6 the length counts all bits, whatever they hold
				told = told.Unmap()
			}
			network := netip.PrefixFrom(told, int(subnet.SourceNetmask))
			at := a.locate(network.Addr(), network.Bits())
			at.Network = network
			return origin{at, a.scope(network)}
		}
	}
	return origin{Place: a.at(addr)}
}

// at returns where the one at an address is.
func (a *atlas) at(addr netip.Addr) answer.Place {
	at := a.locate(addr, addr.BitLen())
	at.Network = registry.NetworkOf(addr)
	return at
}

// scope returns for how long a prefix an answer to a network holds: for all of it,
// unless a part of it is elsewhere (RFC 7871, 7.2.1).
func (a *atlas) scope(network netip.Prefix) uint8 {
	longest := network.Bits()
	for p := range a.places {
		if p.Bits() > longest && network.Overlaps(p) {
			longest = p.Bits()
		}
	}
	return uint8(longest)
}

func (a *atlas) trusts(addr netip.Addr) bool {
	return slices.ContainsFunc(a.trusted, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// subnetOf returns the client's subnet option of a message, or nil.
func subnetOf(opt *dns.OPT) *dns.EDNS0_SUBNET {
	if opt == nil {
		return nil
	}
	for _, o := range opt.Option {
		if subnet, ok := o.(*dns.EDNS0_SUBNET); ok {
			return subnet
		}
	}
	return nil
}

// addrOf returns the IP address of a peer, invalid when it has none.
func addrOf(remote net.Addr) netip.Addr {
	for {
		switch a := remote.(type) {
		case *net.UDPAddr:
			return a.AddrPort().Addr().Unmap()
		case *net.TCPAddr:
			return a.AddrPort().Addr().Unmap()
		case interface{ Unwrap() net.Addr }:
			remote = a.Unwrap()
		default:
			if remote == nil {
				return netip.Addr{}
			}
			ap, err := netip.ParseAddrPort(remote.String())
			if err != nil {
				return netip.Addr{}
			}
			return ap.Addr().Unmap()
		}
	}
}

// parsePrefix reads a network, or an address as the network of it alone.
func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return p, fmt.Errorf("%q is not a network such as 192.0.2.0/24", s)
	case p.Masked() != p:
		return p, fmt.Errorf("%q has bits behind its length: %s is meant, or another one", s, p.Masked())
	}
	return p, nil
}
