package answer

import (
	"hash/maphash"
	"runtime"
	"sync/atomic"
	"weak"

	"github.com/musterhq/muster/registry"
)

// slots is how many sets of large services are kept at most, as a power of two.
const slots = 1 << 12

// tables keeps the prepared sets of large services, each where its name leads:
// a service that changed replaces the set of what it was, and one that nobody
// holds any more takes its set along. Nothing here keeps a service alive. Nil
// tables keep nothing.
type tables struct {
	slots [slots]atomic.Pointer[table]
}

type table struct {
	set
	service weak.Pointer[registry.Service]
	part    part
	cleanup runtime.Cleanup
}

var seed = maphash.MakeSeed()

// part says which instances of a service a set is of.
type part struct {
	registry.Filter

	from   Place
	tier   uint16 // one more than its priority; 0 is all of them
	labels uint64 // their generation, where the part depends on labels
}

// cut returns the instances of s that p is about.
func (p part) cut(s *registry.Service) registry.Selection {
	sel := s.Select(p.Filter)
	if p.tier > 0 {
		var near []*registry.Instance
		for _, i := range sel.Instances {
			if p.from.nearness(s, i) == p.tier-1 {
				near = append(near, i)
			}
		}
		sel.Instances = near
	}
	return sel
}

// set returns the set of a part of s.
func (r *tables) set(s *registry.Service, p part) set {
	if r == nil || len(s.Instances) <= small {
		sel := p.cut(s)
		return set{Selection: sel, heaviest: heaviest(sel.Instances)}
	}
	if p.tier > 0 || p.Wants != "" {
		p.labels = s.LabelGeneration()
	}
	slot := &r.slots[index(s.Key, p)]
	if kept := slot.Load(); kept != nil && kept.part == p && kept.service.Value() == s {
		return kept.set
	}
	fresh := &table{set: *prepare(p.cut(s)), service: weak.Make(s), part: p}
	fresh.cleanup = runtime.AddCleanup(s, drop, place{slot, fresh.service})
	if old := slot.Swap(fresh); old != nil {
		old.cleanup.Stop() // else two services that meet in a slot would pile them up
	}
	return fresh.set
}

func index(k registry.ServiceKey, p part) uint64 {
	type name struct {
		registry.ServiceKey
		part
	}
	return maphash.Comparable(seed, name{k, p}) % slots
}

// place is where the set of a service was put.
type place struct {
	slot    *atomic.Pointer[table]
	service weak.Pointer[registry.Service]
}

func drop(p place) {
	if kept := p.slot.Load(); kept != nil && kept.service == p.service {
		p.slot.CompareAndSwap(kept, nil)
	}
}
