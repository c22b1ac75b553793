package answer

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/musterhq/muster/registry"
)

// small is up to how many instances a set is drawn from as it stands. A larger
// one is prepared once for all questions until the service changes.
const small = 16

// family tells apart what an instance is reached by.
type family uint8

const (
	v4 family = iota
	v6
	host
	secured // by an endpoint that says its ALPN, of whatever family
	families
)

// member is one instance of a set: what is answered of it and drawn by, side by side
// with the others, so that an answer reads one piece of memory.
type member struct {
	weight float64
	where  uint32 // the address of v4, and of v6 the number of its address in the set
	at     uint32 // its place among the instances that the set was made of
	port   uint16
	srv    uint16 // the weight in an SRV record, if its set alone is answered
	family family // v4, v6 or host
	alpn   bool   // it says what it speaks over TLS
}

func memberOf(i *registry.Instance, at int) member {
	m := member{weight: i.Weight, at: uint32(at), port: i.Key.Endpoint.Port, family: familyOf(i), alpn: secure(i)}
	if m.family == v4 {
		octets := i.Addr.As4()
		m.where = binary.BigEndian.Uint32(octets[:])
	}
	return m
}

func familyOf(i *registry.Instance) family {
	switch {
	case i.Addr.Is4():
		return v4
	case i.Addr.IsValid():
		return v6
	}
	return host
}

// reaches reports whether an instance is reached by a family.
func (f family) reaches(i *registry.Instance) bool {
	m := memberOf(i, 0)
	return m.is(f)
}

// secure reports whether an instance is answered as an endpoint for TLS.
func secure(i *registry.Instance) bool {
	return i.Metadata.Get(MetaALPN) != "" && i.Weight > 0 // at its own name an instance may have none
}

// is reports whether the member is reached by a family.
func (m *member) is(f family) bool { return m.family == f || f == secured && m.alpn }

// set is what may be answered of one service under one filter.
type set struct {
	members   []member
	wide      [][16]byte      // addresses of v6, each once
	reached   [families]int32 // how many by each
	named     int32           // instances the filter admits
	all       int32           // of these, enabled with weight above 0, and suiting the consumer
	heaviest  float64         // largest weight
	protected bool            // the threshold holds
	shared    bool            // some members have one address
	usual     bool            // of a whole service: it says nothing itself of how it is answered, nor to whom
	large     *large          // nil for a small set of a small service
}

// large is what is beside a large set, and beside the whole set of a large service.
type large struct {
	of    []*registry.Instance       // of a whole set, among which members are
	parts atomic.Pointer[[]*partSet] // of a whole set, those parts that were asked for last
	urns  *[families]urn             // that a large set is drawn from, else nil
}

// address returns the address of a member, invalid for a host name.
func (s *set) address(m *member) netip.Addr {
	switch m.family {
	case v4:
		var octets [4]byte
		binary.BigEndian.PutUint32(octets[:], m.where)
		return netip.AddrFrom4(octets)
	case v6:
		return netip.AddrFrom16(s.wide[m.where])
	}
	return netip.Addr{}
}

// alike reports whether two members are at one address. Those who are stand side by
// side, as instances are ordered by endpoint.
func (m *member) alike(o *member) bool {
	return m.family == o.family && m.family != host && m.where == o.where
}

// shares reports whether two members are reached alike by a family: they share what is
// drawn. For host names it looks at the instances of which the set is.
func (m *member) shares(o *member, f family, of []*registry.Instance) bool {
	switch f {
	case secured:
		return false // each is an endpoint of its own
	case host:
		return of[m.at].Key.Endpoint.Host == of[o.at].Key.Endpoint.Host
	}
	return m.alike(o)
}

// take makes the set that a selection is, of instances among those of of, in their
// order. It uses the memory that the set has.
func (s *set) take(of []*registry.Instance, sel registry.Selection) {
	if cap(s.members) < len(sel.Instances) {
		s.members = make([]member, 0, len(sel.Instances))
	}
	*s = set{members: s.members[:0], wide: s.wide[:0], named: int32(sel.Named), all: int32(sel.All), protected: sel.Protected}
	at := 0
	for _, i := range sel.Instances {
		for of[at] != i {
			at++
		}
		m := memberOf(i, at)
		if m.family == v6 {
			m.where = s.addWide(i.Addr.As16())
		}
		if n := len(s.members); n > 0 && m.alike(&s.members[n-1]) {
			s.shared = true
		}
		s.reached[m.family]++
		if m.alpn {
			s.reached[secured]++
		}
		s.heaviest = max(s.heaviest, m.weight)
		s.members = append(s.members, m)
	}
	k := scaleOf(s.heaviest)
	for i := range s.members {
		s.members[i].srv = k.weight(s.members[i].weight)
	}
}

// addWide returns the number of an address, which is new unless it came last.
func (s *set) addWide(a [16]byte) uint32 {
	if n := len(s.wide); n == 0 || s.wide[n-1] != a {
		s.wide = append(s.wide, a)
	}
	return uint32(len(s.wide) - 1)
}

// prepare readies the set for many questions if it is large.
func (s *set) prepare(of []*registry.Instance) {
	s.wide = slices.Clone(s.wide) // without room for more
	if len(s.members) <= small {
		return
	}
	if s.large == nil {
		s.large = new(large)
	}
	s.large.urns = new([families]urn)
	for f := range families {
		s.large.urns[f] = newUrn(s, f, of)
	}
}

// draw returns shares of one family, at most as many and chosen as d says. It uses buf.
func (t *tier) draw(buf []share, f family, d draws) []share {
	if d.mode == registry.ModeSingle {
		d.max = 1
	}
	if t.large != nil && t.large.urns != nil {
		u := &t.large.urns[f]
		switch n := u.len(); {
		case d.mode == registry.ModeSampled:
			return u.sample(buf, d.max, d.random)
		case d.max > 0 && d.max <= fewest && d.max < n:
			return u.draw(buf, d.max, d.random)
		}
	}
	if t.reached[f] > 0 {
		buf = t.appendShares(buf, f)
	}
	if d.mode == registry.ModeSampled {
		return sample(buf, d.max, d.random)
	}
	return draw(buf, d.max, d.random)
}

// appendShares appends what the members of one family are reached by: what several
// share counts once, with their weights together.
func (t *tier) appendShares(dst []share, f family) []share {
	var of []*registry.Instance
	if f == host {
		of = t.of()
	}
	return appendShares(dst, t.set, f, of)
}

func appendShares(dst []share, s *set, f family, of []*registry.Instance) []share {
	last := -1
	for i := range s.members {
		m := &s.members[i]
		if !m.is(f) {
			continue
		}
		if last >= 0 && m.shares(&s.members[last], f, of) {
			dst[len(dst)-1].weight += m.weight
			continue
		}
		last = i
		dst = append(dst, share{at: i, weight: m.weight})
	}
	return dst
}

// serve makes s what a member answers to SRV.
func (t *tier) serve(s *Server, at int, k scale) {
	m := &t.members[at]
	// One by one: a whole Server would be put together elsewhere first.
	s.Addr, s.Host, s.Port, s.Weight, s.Priority, s.ALPN = t.address(m), "", m.port, m.srv, t.priority, ""
	if k != scaleOf(t.heaviest) {
		s.Weight = k.weight(m.weight)
	}
	if m.family == host {
		s.Host = t.instance(at).Key.Endpoint.Host
	}
}

// server returns an instance as it answers SRV.
func server(i *registry.Instance, heaviest float64) Server {
	s := Server{Addr: i.Addr, Port: i.Key.Endpoint.Port, Weight: SRVWeight(i.Weight, heaviest)}
	if !s.Addr.IsValid() {
		s.Host = i.Key.Endpoint.Host
	}
	return s
}

func heaviest(instances []*registry.Instance) float64 {
	h := 0.0
	for _, i := range instances {
		h = max(h, i.Weight)
	}
	return h
}

func hasAddr(i *registry.Instance) bool { return i.Addr.IsValid() }
