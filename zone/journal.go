package zone

import (
	"iter"
	"slices"
	"sync"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/registry"
)

// mostRecords is how many records a difference has at most: it is made as a whole
// before the first record is sent.
const mostRecords = 100_000

// leastKept is how many services and instances may have changed since the oldest
// state of a Journal at least, however few there are.
const leastKept = 10_000

// Journal keeps the states that somebody was told or sent, for those who ask what
// changed since (RFC 1995). It is bounded twice: by how many states there are, and
// by how much changed since the oldest one. What changed is what an old state
// keeps in memory, and one from which all is different helps nobody. It is safe
// for concurrent use; a nil Journal keeps nothing.
//
// The first state is not kept: whoever knows it may have it from before, when the
// same roll was told with other times to live or name servers, and no difference
// would lead on from there. What comes later is known from this Journal's zones.
type Journal struct {
	limit int

	mu     sync.Mutex
	begun  bool
	first  uint32 // serial of the first state
	states []kept // in the order in which they came
	pinned int    // sum of the changes
}

// kept is a state in a Journal.
type kept struct {
	State

	changes int // services and instances that differ from the state after it
}

// NewJournal returns a journal of so many states, 0 for none.
func NewJournal(states int) *Journal { return &Journal{limit: states} }

// Keep takes in a state, the first one aside. One whose serial is there already takes its place.
func (j *Journal) Keep(st State) {
	if j == nil || j.limit == 0 {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.begun {
		j.begun, j.first = true, st.Serial()
	}
	if st.Serial() == j.first {
		return
	}
	if at := j.find(st.Serial()); at >= 0 {
		if j.states[at].Snapshot == st.Snapshot {
			return
		}
		j.drop(at)
	}
	if n := len(j.states); n > 0 {
		last := &j.states[n-1]
		j.pinned -= last.changes // there are some when one that followed was dropped
		last.changes = changes(last.Snapshot, st.Snapshot)
		j.pinned += last.changes
	}
	j.states = append(j.states, kept{State: st})
	services, instances, _ := st.Snapshot.Counts()
	for most := max(services+instances, leastKept); len(j.states) > j.limit || j.pinned > most && len(j.states) > 1; {
		j.drop(0)
	}
}

// drop forgets one state. j.mu is held.
func (j *Journal) drop(at int) {
	j.pinned -= j.states[at].changes
	j.states = slices.Delete(j.states, at, at+1)
}

// find returns where the state of a serial is, -1 for nowhere. j.mu is held.
func (j *Journal) find(serial uint32) int {
	return slices.IndexFunc(j.states, func(st kept) bool { return st.Serial() == serial })
}

// At returns the state of a serial, and false when it is not kept.
func (j *Journal) At(serial uint32) (State, bool) {
	if j == nil {
		return State{}, false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	at := j.find(serial)
	if at < 0 {
		return State{}, false
	}
	return j.states[at].State, true
}

// changes weighs what a state keeps in memory once another one follows it: the
// services that changed with their lists of instances, and the instances.
func changes(was, is *registry.Snapshot) (n int) {
	for old, now := range registry.Diff(was, is) {
		n++
		if old != nil {
			n += old.Instances.Len() / pointersPerInstance
		}
		for range registry.DiffInstances(old, now) {
			n++
		}
	}
	return n
}

// pointersPerInstance is how many entries in lists weigh as much as an instance.
const pointersPerInstance = 32

// newer reports whether serial a is newer than b (RFC 1982, 3.2).
func newer(a, b uint32) bool { return int32(a-b) > 0 }

// Extent says how much an answer of [Zones.Since] holds.
type Extent uint8

// The extents.
const (
	Current Extent = iota // the SOA: there is nothing newer
	Changed               // what changed
	Entire                // the whole zone
)

// Since yields what brings somebody who has a zone as of serial to a state: the
// SOA alone when there is nothing newer, the difference when the journal has the
// old state and it is the smaller answer (RFC 1995, 4), else the whole zone.
func (zs *Zones) Since(j *Journal, serial uint32, st State, z *Zone) (iter.Seq[[]dns.RR], Extent) {
	soa := zs.SOA(st, z)
	if serial == st.Serial() || newer(serial, st.Serial()) {
		// Newer is what another server knows already; ours will follow (RFC 1995, 2).
		return slices.Values([][]dns.RR{{soa}}), Current
	}
	old, ok := j.At(serial)
	if !ok {
		return zs.Whole(st, z), Entire
	}
	deleted, added, ok := zs.Difference(old, st, z, mostRecords)
	if !ok || !zs.exceeds(st, z, len(deleted)+len(added)+2) {
		return zs.Whole(st, z), Entire
	}
	return func(yield func([]dns.RR) bool) {
		for _, part := range [][]dns.RR{{soa, zs.SOA(old, z)}, deleted, {soa}, added, {soa}} {
			for records := range slices.Chunk(part, batch) {
				if !yield(records) {
					return
				}
			}
		}
	}, Changed
}

// exceeds reports whether the whole zone has more records than n.
func (zs *Zones) exceeds(st State, z *Zone, n int) bool {
	for records := range zs.Whole(st, z) {
		if n -= len(records); n < 0 {
			return true
		}
	}
	return false
}
