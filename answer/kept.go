package answer

import (
	"slices"
	"strings"
	"sync/atomic"

	"github.com/musterhq/muster/registry"
)

// kept are the sets of a service that are made once for all questions. They go with
// the service, which a change replaces by another one.
type kept struct {
	whole set
	parts atomic.Pointer[[]*partSet] // of a large service, those that were asked for last
}

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
	k, all := new(kept), s.Instances.List()
	k.whole.take(all, s.Select(registry.Filter{}))
	k.whole.prepare(all)
	return k
}

// allOf returns the instances of s in one slice; not to be modified.
func allOf(s *registry.Service) []*registry.Instance {
	if k := registry.Memo(s, keep); k.whole.large != nil {
		return k.whole.large.of
	}
	return s.Instances.List() // of a small service it is there already
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
	return registry.Memo(s, keep).part(s, p)
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
func (k *kept) part(s *registry.Service, p part) *set {
	was := k.parts.Load()
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
	k.parts.CompareAndSwap(was, &parts) // else another one came first: it is made again if it is asked for
	return &fresh.set
}
