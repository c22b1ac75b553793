package localdns

import (
	"cmp"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// shares are the addresses of a service with their parts of the traffic, as its SRV
// set says them.
type shares struct {
	v4, v6 table
}

// table is the addresses of one family. upto[i] is the sum of the weights up to and
// with that of addrs[i].
type table struct {
	addrs []netip.Addr
	upto  []float64
}

// sharesOf returns what can be drawn from an SRV set, nil when that would not be what
// the server draws from: the set is not whole, has several priorities, or its
// targets are not the names of addresses.
func sharesOf(m *dns.Msg) *shares {
	weights := map[netip.Addr]float64{}
	var order []netip.Addr // so that a draw depends on nothing but chance
	priority := -1
	for _, rr := range m.Answer {
		srv, ok := rr.(*dns.SRV)
		if !ok || priority >= 0 && int(srv.Priority) != priority || m.Truncated {
			return nil
		}
		priority = int(srv.Priority)
		addr, ok := addressOfTarget(srv.Target)
		if !ok {
			return nil
		}
		if _, known := weights[addr]; !known {
			order = append(order, addr)
		}
		weights[addr] += float64(srv.Weight)
	}
	if len(order) == 0 {
		return nil
	}
	s := &shares{}
	for _, addr := range order {
		if w := weights[addr]; w > 0 && addr.Is4() {
			s.v4.add(addr, w)
		} else if w > 0 {
			s.v6.add(addr, w)
		}
	}
	return s
}

func (t *table) add(addr netip.Addr, weight float64) {
	sum := weight
	if n := len(t.upto); n > 0 {
		sum += t.upto[n-1]
	}
	t.addrs, t.upto = append(t.addrs, addr), append(t.upto, sum)
}

func (s *shares) size() int {
	if s == nil {
		return 0
	}
	return 32 * (len(s.v4.addrs) + len(s.v6.addrs))
}

// of returns the addresses of the family that qtype asks for.
func (s *shares) of(qtype uint16) *table {
	switch {
	case s == nil:
		return &table{}
	case qtype == dns.TypeA:
		return &s.v4
	case qtype == dns.TypeAAAA:
		return &s.v6
	}
	return &table{}
}

// holds reports whether all addrs are in the table.
func (t *table) holds(addrs []netip.Addr) bool {
	for _, a := range addrs {
		if !slices.Contains(t.addrs, a) {
			return false
		}
	}
	return true
}

// mostMisses bounds how often an address may be drawn a second time before those that
// are left are put in order instead.
const mostMisses = 32

// draw returns up to n different addresses, each place drawn from what is left in
// proportion to the weights: the law of the server's own ordered answers.
func (t *table) draw(n int) []netip.Addr {
	n = min(n, len(t.addrs))
	var picked []netip.Addr
	if len(t.addrs) > 4*n {
		picked = t.pick(n)
	}
	if len(picked) == n {
		return picked
	}
	type ticket struct {
		addr netip.Addr
		at   float64
	}
	tickets := make([]ticket, 0, len(t.addrs))
	before := 0.0
	for i, addr := range t.addrs {
		if !slices.Contains(picked, addr) {
			// Exponential times whose rates are the weights come in that order.
			tickets = append(tickets, ticket{addr, -math.Log(1-rand.Float64()) / (t.upto[i] - before)})
		}
		before = t.upto[i]
	}
	slices.SortFunc(tickets, func(a, b ticket) int { return cmp.Compare(a.at, b.at) })
	for _, next := range tickets[:n-len(picked)] {
		picked = append(picked, next.addr)
	}
	return picked
}

// pick draws from all and passes over what it has, which is the same law and does
// not look at each address. It returns fewer than n when that takes too long.
func (t *table) pick(n int) []netip.Addr {
	picked := make([]netip.Addr, 0, n)
	total := t.upto[len(t.upto)-1]
	for misses := 0; len(picked) < n && misses < mostMisses; {
		i, _ := slices.BinarySearch(t.upto, total*(1-rand.Float64()))
		if i = min(i, len(t.addrs)-1); slices.Contains(picked, t.addrs[i]) {
			misses++
			continue
		}
		picked = append(picked, t.addrs[i])
	}
	return picked
}

// addressOfTarget returns the address that a server's name of one stands for, as in
// ip-192-0-2-1.addr.ZONE and ip6-2001-db8-0-0-0-0-0-1.addr.ZONE.
func addressOfTarget(target string) (netip.Addr, bool) {
	label, rest, _ := strings.Cut(strings.ToLower(target), ".")
	if !strings.HasPrefix(rest, "addr.") {
		return netip.Addr{}, false
	}
	if text, ok := strings.CutPrefix(label, "ip-"); ok {
		a, err := netip.ParseAddr(strings.ReplaceAll(text, "-", "."))
		return a, err == nil && a.Is4()
	}
	text, ok := strings.CutPrefix(label, "ip6-")
	if !ok {
		return netip.Addr{}, false
	}
	var b [16]byte
	groups := strings.Split(text, "-")
	if len(groups) != len(b)/2 {
		return netip.Addr{}, false
	}
	for i, g := range groups {
		v, err := strconv.ParseUint(g, 16, 16)
		if err != nil {
			return netip.Addr{}, false
		}
		b[2*i], b[2*i+1] = byte(v>>8), byte(v)
	}
	return netip.AddrFrom16(b), true
}

// isAddressName reports whether a name is that of an address: it has but one, and
// no SRV set.
func isAddressName(name string) bool {
	_, ok := addressOfTarget(name)
	return ok
}
