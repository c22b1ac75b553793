package labels

import (
	"encoding/binary"
	"net/netip"
	"sort"
	"strings"
)

// Table is one version of the labels. It never changes; a nil Table is empty.
type Table struct {
	rows     []row    // by address, IPv4 before IPv6, then by length
	ipv4     []uint32 // addresses of the rows of IPv4: a dense array is searched faster
	hosts    map[string]*set
	revision int64
}

// row is what holds in one network.
type row struct {
	netip.Prefix

	around int32 // index of the longest network around this one, -1 for none
	labels *set  // with those of all networks around
}

// set is a set of labels that many rows share.
type set struct{ labels map[string]string }

// Len returns how many addresses, networks and host names the table has.
func (t *Table) Len() int {
	if t == nil {
		return 0
	}
	return len(t.rows) + len(t.hosts)
}

// Revision counts the tables of one [Source], from 1; it is 0 of any other.
func (t *Table) Revision() int64 { return t.revision }

// Of returns the labels of an address, nil when it has none. They must not be
// changed.
func (t *Table) Of(addr netip.Addr) map[string]string {
	addr = addr.Unmap().WithZone("")
	if t == nil || !addr.IsValid() {
		return nil
	}
	at := t.around(netip.PrefixFrom(addr, addr.BitLen()))
	if at < 0 {
		return nil
	}
	return t.rows[at].labels.labels
}

// OfHost returns the labels of an instance's host as it is registered: of an
// address, or of a host name in any case. They must not be changed.
func (t *Table) OfHost(host string) map[string]string {
	if addr, err := netip.ParseAddr(host); err == nil {
		return t.Of(addr)
	}
	if t == nil {
		return nil
	}
	if s := t.hosts[strings.ToLower(strings.TrimSuffix(host, "."))]; s != nil {
		return s.labels
	}
	return nil
}

// mostInside bounds how many networks inside another one are looked at for its
// scope, which a question asks for.
const mostInside = 64

// OfNetwork returns the labels that are said of a whole network, or of networks
// around it, and of which length a prefix of it must be for all its addresses to
// have the same: the scope of an answer that depends on them (RFC 7871, 7.2.1). The
// scope is the length of the network itself unless the table has a part of it.
func (t *Table) OfNetwork(network netip.Prefix) (labels map[string]string, scope int) {
	network = canonical(network)
	if t == nil || !network.IsValid() {
		return nil, max(network.Bits(), 0)
	}
	if at := t.around(network); at >= 0 {
		labels = t.rows[at].labels.labels
	}
	scope = network.Bits()
	inside := t.rows[t.after(network):]
	for i, r := range inside {
		if !network.Contains(r.Addr()) {
			break
		}
		if i == mostInside {
			return labels, network.Addr().BitLen()
		}
		scope = max(scope, r.Bits())
	}
	return labels, scope
}

// around returns the index of the longest network that holds all of p, -1 for
// none. In the order of the rows every network around p comes before it, and all
// between the longest of them and p are inside that one: so it is found from the
// last row before p by going outward.
func (t *Table) around(p netip.Prefix) int32 {
	at := int32(t.after(p)) - 1
	for at >= 0 && (t.rows[at].Bits() > p.Bits() || !t.rows[at].Contains(p.Addr())) {
		at = t.rows[at].around
	}
	return at
}

// after returns the index of the first row that comes after p.
func (t *Table) after(p netip.Prefix) int {
	if n := len(t.ipv4); !p.Addr().Is4() {
		return n + sort.Search(len(t.rows)-n, func(i int) bool { return compare(t.rows[n+i].Prefix, p) > 0 })
	}
	addr, bits := ipv4(p.Addr()), p.Bits()
	return sort.Search(len(t.ipv4), func(i int) bool {
		at := t.ipv4[i]
		return at > addr || at == addr && t.rows[i].Bits() > bits
	})
}

// ipv4 returns an address of IPv4 as a number.
func ipv4(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

// compare orders networks by address, and at one address a network before those
// inside it.
func compare(a, b netip.Prefix) int {
	if c := a.Addr().Compare(b.Addr()); c != 0 {
		return c
	}
	return a.Bits() - b.Bits()
}

// canonical returns p as a table has it: without host bits, and one of IPv4 where
// it is mapped into IPv6.
func canonical(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked()
}
