package answer

import (
	"net/netip"

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
	addr   [16]byte
	weight float64
	at     uint32 // its place among the instances that the set was made of
	port   uint16
	family family // v4, v6 or host
	alpn   bool   // it says what it speaks over TLS
}

func memberOf(i *registry.Instance, at int) member {
	m := member{weight: i.Weight, at: uint32(at), port: i.Key.Endpoint.Port, family: familyOf(i)}
	if m.family != host {
		m.addr = i.Addr.As16()
	}
	m.alpn = secure(i)
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

// address returns the address, invalid for a host name.
func (m *member) address() netip.Addr {
	switch m.family {
	case v4:
		return netip.AddrFrom4([4]byte(m.addr[12:]))
	case v6:
		return netip.AddrFrom16(m.addr)
	}
	return netip.Addr{}
}

// shares reports whether two members are reached alike by a family: they share what
// is drawn. Those who do stand side by side, as instances are ordered by endpoint.
func (m *member) shares(o *member, f family, of []*registry.Instance) bool {
	switch f {
	case secured:
		return false // each is an endpoint of its own
	case host:
		return of[m.at].Key.Endpoint.Host == of[o.at].Key.Endpoint.Host
	}
	return m.addr == o.addr
}

// set is what may be answered of one service under one filter.
type set struct {
	members   []member
	reached   [families]int32 // how many by each
	named     int32           // instances the filter admits
	all       int32           // of these, enabled with weight above 0, and suiting the consumer
	heaviest  float64         // largest weight
	protected bool            // the threshold holds
	shared    bool            // some members have one address
	large     *large          // nil for a small set
}

// large is what a large set is drawn from.
type large struct {
	of   []*registry.Instance // among which its members are
	urns [families]urn
}

// take makes the set that a selection is, of instances among those of of, in their
// order. It uses the memory that the set has.
func (s *set) take(of []*registry.Instance, sel registry.Selection) {
	if cap(s.members) < len(sel.Instances) {
		s.members = make([]member, 0, len(sel.Instances))
	}
	*s = set{members: s.members[:0], named: int32(sel.Named), all: int32(sel.All), protected: sel.Protected}
	at := 0
	for _, i := range sel.Instances {
		for of[at] != i {
			at++
		}
		m := memberOf(i, at)
		if n := len(s.members); n > 0 && m.family != host && m.addr == s.members[n-1].addr {
			s.shared = true
		}
		s.reached[m.family]++
		if m.alpn {
			s.reached[secured]++
		}
		s.heaviest = max(s.heaviest, m.weight)
		s.members = append(s.members, m)
	}
}

// prepare readies the set for many questions if it is large.
func (s *set) prepare(of []*registry.Instance) {
	if len(s.members) <= small {
		return
	}
	s.large = &large{of: of}
	for f := range families {
		s.large.urns[f] = newUrn(s, f, of)
	}
}

// draw returns shares of one family, at most as many and chosen as d says. It uses buf.
func (t *tier) draw(buf []share, f family, d draws) []share {
	if d.mode == registry.ModeSingle {
		d.max = 1
	}
	if t.large != nil {
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
	return appendShares(dst, t.set, f, t.of)
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
	*s = Server{Addr: m.address(), Port: m.port, Weight: k.weight(m.weight), Priority: t.priority}
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
