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
// holds any more takes its set along. Nothing here keeps a service alive.
type tables struct {
	slots [slots]atomic.Pointer[table]
}

type table struct {
	set
	service weak.Pointer[registry.Service]
	filter  registry.Filter
	cleanup runtime.Cleanup
}

var seed = maphash.MakeSeed()

// set returns the set of s under f.
func (t *tables) set(s *registry.Service, f registry.Filter) set {
	if len(s.Instances) <= small {
		return set{Selection: s.Select(f)}
	}
	slot := &t.slots[index(s.Key, f)]
	if kept := slot.Load(); kept != nil && kept.filter == f && kept.service.Value() == s {
		return kept.set
	}
	fresh := &table{set: *prepare(s.Select(f)), service: weak.Make(s), filter: f}
	fresh.cleanup = runtime.AddCleanup(s, drop, place{slot, fresh.service})
	if old := slot.Swap(fresh); old != nil {
		old.cleanup.Stop() // else two services that meet in a slot would pile them up
	}
	return fresh.set
}

func index(k registry.ServiceKey, f registry.Filter) uint64 {
	type name struct {
		registry.ServiceKey
		registry.Filter
	}
	return maphash.Comparable(seed, name{k, f}) % slots
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
