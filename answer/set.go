package answer

import (
	"math/rand/v2"

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
	secured // by an endpoint that says its ALPN, of whatever family
	families
)

func (f family) has(i *registry.Instance) bool {
	switch f {
	case v4:
		return i.Addr.Is4()
	case v6:
		return i.Addr.Is6()
	case secured:
		return i.Metadata[MetaALPN] != "" && i.Weight > 0 // at its own name an instance may have none
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
		if n := len(dst); n > 0 && f != secured && dst[n-1].of.Key.Endpoint.Host == i.Key.Endpoint.Host {
			dst[n-1].weight += i.Weight
			continue
		}
		dst = append(dst, share{of: i, weight: i.Weight})
	}
	return dst
}

// draw returns at most limit shares of one family, chosen as mode says. It uses
// buf as far as it goes.
func (s *set) draw(buf []share, f family, limit int, mode string, rnd *rand.Rand) []share {
	if mode == registry.ModeSingle {
		limit = 1
	}
	u := s.urns[f]
	switch {
	case s.prepared && mode == registry.ModeSampled:
		return u.sample(limit, rnd)
	case s.prepared && limit > 0 && limit <= fewest && limit < len(u.shares):
		return u.draw(limit, rnd)
	case s.prepared:
		buf = append(buf, u.shares...)
	default:
		buf = shares(buf, s.Instances, f)
	}
	if mode == registry.ModeSampled {
		return sample(buf, limit, rnd)
	}
	return draw(buf, limit, rnd)
}

// server returns an instance of the set as it answers SRV.
func server(i *registry.Instance, heaviest float64, priority uint16) Server {
	s := Server{Addr: i.Addr, Port: i.Key.Endpoint.Port, Weight: SRVWeight(i.Weight, heaviest), Priority: priority}
	if !s.Addr.IsValid() {
		s.Host = i.Key.Endpoint.Host
	}
	return s
}

func hasAddr(i *registry.Instance) bool { return i.Addr.IsValid() }
