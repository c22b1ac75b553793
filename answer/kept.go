package answer

import (
	"slices"
	"strings"

	"github.com/musterhq/muster/registry"
)

// kept are the sets of a service that are made once for all questions. They go with
// the service, which a change replaces by another one.
type kept struct{ whole set }

// mostParts is how many parts of a service are kept at most. There are seldom more: a
// name sets cluster, version and protocol, of which a large part can have few.
const mostParts = 64

// part says which instances of a service a set is of.
type part struct {
	registry.Filter

	from   Place
	tier   uint16 // one more than its priority; 0 is all of them
	labels uint64 // their generation, where the part depends on labels
}

type partSet struct {
	part
	set
}

// keep makes what is kept of a service from the first question on.
func keep(s *registry.Service) *kept {
	all, sel := s.Instances.List(), s.Select(registry.Filter{})
	k := newKept(len(sel.Instances))
	k.whole.take(all, sel)
	k.whole.usual = s.DNS == registry.DNSOptions{} && s.Selector == registry.Selector{}
	if len(all) > small {
		k.whole.large = &large{of: all}
	}
	k.whole.prepare(all)
	return k
}

// newKept returns room for a whole set of n members. Those of a small one stand right
// behind it, so that one way leads to both.
func newKept(n int) *kept {
	switch {
	case n <= 1:
		k := new(struct {
			kept
			room [1]member
		})
		k.whole.members = k.room[:0]
		return &k.kept
	case n <= 3:
		k := new(struct {
			kept
			room [3]member
		})
		k.whole.members = k.room[:0]
		return &k.kept
	case n <= 6:
		k := new(struct {
			kept
			room [6]member
		})
		k.whole.members = k.room[:0]
		return &k.kept
	case n <= 10:
		k := new(struct {
			kept
			room [10]member
		})
		k.whole.members = k.room[:0]
		return &k.kept
	case n <= small:
		k := new(struct {
			kept
			room [small]member
		})
		k.whole.members = k.room[:0]
		return &k.kept
	}
	return new(kept)
}

// allOf returns the instances of s in one slice; not to be modified.
func allOf(s *registry.Service) []*registry.Instance {
	if s.Instances.Len() <= small {
		return s.Instances.List() // they lie so
	}
	return registry.Memo(s, keep).whole.large.of
}

// setOf returns the set of a part of s. That of a small service, if it is no whole one,
// is made in room.
func setOf(s *registry.Service, p part, room *set) *set {
	switch {
	case p == part{}:
		return &registry.Memo(s, keep).whole
	case s.Instances.Len() <= small:
		p.cut(room, s)
		return room
	}
	if p.tier > 0 || p.Wants != "" {
		p.labels = s.LabelGeneration()
	}
	return registry.Memo(s, keep).whole.large.part(s, p)
}

// cut makes the set of the instances of s that p is about.
func (p part) cut(room *set, s *registry.Service) {
	var selected [small]*registry.Instance
	sel := s.SelectIn(selected[:0], p.Filter)
	if p.tier > 0 {
		sel.Instances = slices.Clone(sel.Instances)
		sel.Instances = slices.DeleteFunc(sel.Instances, func(i *registry.Instance) bool { return p.from.nearness(s, i) != p.tier-1 })
	}
	room.take(allOf(s), sel)
}

// part returns the set of a part, which is made unless it is there. The one that was
// made first makes room when there are too many, and so do those of other labels.
func (l *large) part(s *registry.Service, p part) *set {
	was := l.parts.Load()
	if was != nil {
		for _, have := range *was {
			if have.part == p {
				return &have.set
			}
		}
	}
	fresh := &partSet{part: p}
	fresh.Cluster, fresh.Version = strings.Clone(p.Cluster), strings.Clone(p.Version)
	fresh.Type = registry.AppType{App: strings.Clone(p.Type.App), Proto: strings.Clone(p.Type.Proto)}
	p.cut(&fresh.set, s)
	fresh.prepare(allOf(s))
	parts := make([]*partSet, 0, mostParts)
	if was != nil {
		for _, have := range *was {
			if have.labels == 0 || have.labels == p.labels || p.labels == 0 {
				parts = append(parts, have)
			}
		}
	}
	parts = append(parts, fresh)
	parts = slices.Clip(parts[max(0, len(parts)-mostParts):])
	l.parts.CompareAndSwap(was, &parts) // else another one came first: it is made again if it is asked for
	return &fresh.set
}
