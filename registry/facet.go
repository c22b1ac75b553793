package registry

import (
	"cmp"
	"slices"
	"unique"

	"github.com/musterhq/muster/internal/trie"
)

// facet is what the names of a service follow from, of one of its instances: there
// are few in a service, however many instances it has.
type facet struct {
	cluster, version string // folded
	speaks           AppType
	typed            bool // speaks says something
	own              bool // it is what the service is called after
	addr             bool // there is an address
}

// facets counts the instances of each.
type facets = trie.Map[unique.Handle[facet], int]

func (i *Instance) facet() unique.Handle[facet] {
	f := facet{cluster: i.cluster, version: i.version, addr: hasAddr(i)}
	if f.speaks, f.typed = i.Type(); f.typed {
		f.own = i.isOwn(f.speaks)
	} else {
		f.speaks = AppType{}
	}
	return unique.Make(f)
}

func (f facet) held() held {
	udp := f.typed && f.speaks.Proto == "udp"
	return held{addr: f.addr, tcp: f.typed && f.speaks.Proto == "tcp", udp: udp, own: udp && f.own}
}

// tally moves the counts of a service along with changes of its instances. It
// reports whether there are other facets than before.
func (s *Service) tally(e *trie.Edit, changes []replacement) (others bool) {
	count := func(i *Instance, by int) {
		f := i.facet()
		was, _ := s.facets.Get(f)
		s.facets = set(s.facets, e, f, was+by, was+by > 0)
		others = others || was == 0 || was+by == 0
	}
	for _, c := range changes {
		if c.was != nil {
			s.Healthy -= b2i(c.was.Healthy && c.was.Enabled)
			count(c.was, -1)
		}
		if c.is != nil {
			s.Healthy += b2i(c.is.Healthy && c.is.Enabled)
			count(c.is, +1)
		}
	}
	return others
}

// allFacets returns the facets in an order that is the same everywhere.
func (s *Service) allFacets() []facet {
	all := make([]facet, 0, s.facets.Len())
	for f := range s.facets.All() {
		all = append(all, f.Value())
	}
	slices.SortFunc(all, func(a, b facet) int {
		return cmp.Or(cmp.Compare(a.cluster, b.cluster), cmp.Compare(a.version, b.version))
	})
	return all
}
