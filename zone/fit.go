package zone

import (
	"hash/fnv"
	"net/netip"
	"slices"

	"github.com/musterhq/muster/answer"
)

// A set of records that fits into no message can be answered by nobody who has the
// zone, and secondaries refuse a zone with more than 65,535 records in one. So a
// whole zone has a choice of such a set: a fair one, as what decides is a hash of
// what is chosen, the same one on every server, and one that little changes when
// little does.

// fullMessage is how many octets the records of one set may have, the rest of a
// message aside.
const fullMessage = 60_000

// What records take beside a target: a pointer to the owner, the fixed fields, and
// of SVCB the longest that port and hint are.
const (
	sizeAddr   = 2 + 10 + 16
	sizeServer = 2 + 10 + 6
	sizeSecure = 2 + 10 + 2 + 4 + 6 + 20
	sizeEntry  = 2 + 10
)

// fit returns what a name holds without what is too much of it.
func (c content) fit(h answer.Held) answer.Held {
	h.Addrs = choice(h.Addrs, fullMessage/sizeAddr, func(a netip.Addr) uint64 { return hashOf(a, "", 0) })
	h.Servers = choice(h.Servers, fullMessage/(sizeServer+c.longest(h.Servers)), serverHash)
	h.Secure = choice(h.Secure, fullMessage/(sizeSecure+c.longest(h.Secure)), serverHash)
	return h
}

// longest returns an upper bound of the octets that target and ALPN of a server
// have. It looks at the servers only where that may matter.
func (c content) longest(servers []answer.Server) (octets int) {
	if len(servers) < fullMessage/(1<<10) { // of any length they fit
		return 1
	}
	for _, s := range servers {
		target := len(s.Host)
		switch {
		case s.Addr.Is4():
			target = len("ip-255-255-255-255.addr.") + len(c.zone.Name)
		case s.Addr.IsValid():
			target = len("ip6-.addr.") + 39 + len(c.zone.Name)
		}
		octets = max(octets, target+2+len(s.ALPN)+1)
	}
	return octets
}

// choice returns list, or of a longer one as many as most, in their order: those
// of which the hash is the least.
func choice[T any](list []T, most int, hash func(T) uint64) []T {
	if len(list) <= most {
		return list
	}
	hashes := make([]uint64, len(list))
	for i, v := range list {
		hashes[i] = hash(v)
	}
	sorted := slices.Sorted(slices.Values(hashes))
	chosen := make([]T, 0, most)
	for i, v := range list {
		if hashes[i] < sorted[most] {
			chosen = append(chosen, v)
		}
	}
	return chosen
}

func serverHash(s answer.Server) uint64 { return hashOf(s.Addr, s.Host, s.Port) }

func hashOf(a netip.Addr, host string, port uint16) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(a.AsSlice())
	_, _ = h.Write([]byte(host))
	_, _ = h.Write([]byte{byte(port >> 8), byte(port)})
	return h.Sum64()
}
