package answer

import (
	"math/rand/v2"
	"net/netip"
	"slices"

	"github.com/musterhq/muster/registry"
)

// small is up to how many instances a set is drawn from as it stands. A larger
// one is prepared once for all questions until the service changes.
const small = 16

// family tells apart what an instance is reached by.
type family int

const (
	v4 family = iota
	v6
	host
	families
)

func (f family) has(i *registry.Instance) bool {
	switch f {
	case v4:
		return i.Addr.Is4()
	case v6:
		return i.Addr.Is6()
	}
	return !hasAddr(i)
}

// set is what may be answered of one service under one filter.
type set struct {
	registry.Selection
	heaviest float64       // largest weight
	urns     [families]urn // of a prepared set, else empty
	prepared bool
}

// prepare makes a set for many questions.
func prepare(sel registry.Selection) *set {
	s := &set{Selection: sel, heaviest: heaviest(sel.Instances), prepared: true}
	for f := range families {
		s.urns[f] = newUrn(shares(nil, sel.Instances, f))
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

// shares appends what instances of one family are reached by: what several
// share counts once, with their weights together. They stand side by side, as
// instances are ordered by endpoint.
func shares(dst []share, instances []*registry.Instance, f family) []share {
	for _, i := range instances {
		if !f.has(i) {
			continue
		}
		if n := len(dst); n > 0 && dst[n-1].of.Key.Endpoint.Host == i.Key.Endpoint.Host {
			dst[n-1].weight += i.Weight
			continue
		}
		dst = append(dst, share{of: i, weight: i.Weight})
	}
	return dst
}

// draw returns at most limit shares of one family in weighted order. It uses buf
// as far as it goes.
func (s *set) draw(buf []share, f family, limit int, rnd *rand.Rand) []share {
	if u := s.urns[f]; s.prepared {
		if limit > 0 && limit <= fewest && limit < len(u.shares) {
			return u.draw(limit, rnd)
		}
		return draw(append(buf, u.shares...), limit, rnd)
	}
	return draw(shares(buf, s.Instances, f), limit, rnd)
}

// addrs returns at most limit addresses of one family.
func (s *set) addrs(f family, limit int, rnd *rand.Rand) []netip.Addr {
	var buf [small]share
	drawn := s.draw(buf[:0], f, limit, rnd)
	if len(drawn) == 0 {
		return nil
	}
	out := make([]netip.Addr, len(drawn))
	for i := range drawn {
		out[i] = drawn[i].of.Addr
	}
	return out
}

// alias returns the host name to answer in place of addresses: one of those
// there are, and none as long as any instance has an address.
func (s *set) alias(rnd *rand.Rand) string {
	if s.prepared && len(s.urns[host].shares) == 0 || slices.ContainsFunc(s.Instances, hasAddr) {
		return ""
	}
	var buf [small]share
	return s.draw(buf[:0], host, 1, rnd)[0].of.Key.Endpoint.Host
}

// servers returns the set as servers in weighted order. Of more than limit it
// returns limit, chosen without regard to weight: whoever picks one of them by
// its weight would else count the weight twice.
func (s *set) servers(limit int, rnd *rand.Rand) (servers []Server, cut bool) {
	n, h := len(s.Instances), s.heaviest
	if !s.prepared {
		h = heaviest(s.Instances)
	}
	if limit > 0 && limit < n {
		servers = make([]Server, 0, limit)
		for _, i := range choose(n, limit, rnd) {
			servers = append(servers, server(s.Instances[i], h))
		}
		return servers, true
	}
	var buf [small]share
	all := buf[:0]
	if n > small {
		all = make([]share, 0, n)
	}
	for _, i := range s.Instances {
		all = append(all, share{of: i, weight: i.Weight})
	}
	servers = make([]Server, 0, n)
	for _, drawn := range draw(all, 0, rnd) {
		servers = append(servers, server(drawn.of, h))
	}
	return servers, false
}

func hasAddr(i *registry.Instance) bool { return i.Addr.IsValid() }

func server(i *registry.Instance, heaviest float64) Server {
	s := Server{Addr: i.Addr, Port: i.Key.Endpoint.Port, Weight: SRVWeight(i.Weight, heaviest)}
	if !s.Addr.IsValid() {
		s.Host = i.Key.Endpoint.Host
	}
	return s
}
