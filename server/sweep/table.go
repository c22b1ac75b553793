package sweep

import (
	"hash/maphash"
	"iter"
	"math"
	"time"

	"github.com/musterhq/muster/registry"
)

// table holds one row for every roster: a witness under one pair of timeouts.
// Deadlines lie apart from the rows, so that a scan reads them and nothing else.
// Times are nanoseconds of [Sweeper.now].
type table struct {
	late     time.Duration // how long nobody judged; the clock lags by it
	revision int64         // of the snapshot the rows follow

	seed    maphash.Seed
	first   map[uint64]int32 // hash of a witness to its first row, and those of others with the same
	classes map[string]int32 // text of a class to its place in timers
	timers  []timer
	spare   []int32 // places in timers to use again
	free    []int32 // rows to use again

	deadline []int64 // of each row, never for a free one and for one that is held; see set
	bound    []int64 // of each block of rows: no deadline in it is earlier
	rows     []row

	falls  falls  // when rows fell silent
	freeze freeze // whether removals are held back
}

// row is what is known of a roster besides its deadline.
type row struct {
	witness string
	heard   int64 // last sign of life
	class   int32 // place in timers
	next    int32 // next row with the same hash of the witness, none at the end
	members int32 // instances, or an agent that has none
	fell    int32 // step of falls in which its silence came due, none: it is heard of
	silent  bool  // the verdict of silence is written
	writing bool  // a verdict waits to be written or is being written
	failed  uint8 // attempts to write that failed since the last that did not
	removal removal
}

const (
	never = math.MaxInt64
	none  = -1
)

// timer is what rows of one class have in common.
type timer struct {
	class            string
	timeouts         registry.Timeouts
	unhealthy, after int64 // silence until the first verdict, and until removal
	rows             int32
}

func newTable(c Config, now int64) table {
	return table{seed: maphash.MakeSeed(), first: map[uint64]int32{}, classes: map[string]int32{}, falls: falls{width: int64(c.MassWithin / steps), began: now}}
}

// hash returns what rows of a witness are found by.
func (t *table) hash(witness string) uint64 { return maphash.String(t.seed, witness) }

// of yields the rows of a witness.
func (t *table) of(witness string) iter.Seq[int32] {
	return func(yield func(int32) bool) {
		i, ok := t.first[t.hash(witness)]
		for ok && i != none {
			next := t.rows[i].next
			if t.rows[i].witness == witness && !yield(i) {
				return
			}
			i = next
		}
	}
}

// block is how many rows have one bound.
const block = 1024

// set gives a row its deadline.
func (t *table) set(i int32, deadline int64) {
	t.deadline[i] = deadline
	if b := &t.bound[i/block]; deadline < *b {
		*b = deadline
	}
}

// hear restarts the timers of a witness.
func (t *table) hear(witness string, now int64) {
	for i := range t.of(witness) {
		t.restart(i, now, false)
	}
}

// heard returns when a witness was last heard of, now for one without a row.
func (t *table) heard(witness string, now int64) int64 {
	for i := range t.of(witness) {
		return t.rows[i].heard
	}
	return now
}

// restart gives a row the full time: until it is silent, or until it is removed
// when it is silent already.
func (t *table) restart(i int32, now int64, silent bool) {
	r := &t.rows[i]
	r.heard, r.silent, r.failed = now, silent, 0
	t.unhold(r)
	if silent {
		t.fall(r)
	} else {
		t.rise(r)
	}
	t.set(i, now+t.patience(r))
}

// patience returns how long after the last sign of life a row's next verdict is
// due.
func (t *table) patience(r *row) int64 {
	m := &t.timers[r.class]
	if r.silent {
		return m.after
	}
	return min(m.unhealthy, m.after)
}

// join adds a member to a roster. A row that is new begins with full timers.
func (t *table) join(ro registry.Roster, now int64, silent bool) {
	i := t.find(ro)
	if i == none {
		i = t.add(ro)
		t.restart(i, now, silent)
	}
	t.rows[i].members++
}

// leave takes a member out of a roster; the last one takes the row along.
func (t *table) leave(ro registry.Roster) {
	if i := t.find(ro); i != none {
		t.rows[i].members--
		t.release(i)
	}
}

// find returns the row of a roster, or none.
func (t *table) find(ro registry.Roster) int32 {
	for i := range t.of(ro.Witness) {
		if t.timers[t.rows[i].class].class == ro.Class {
			return i
		}
	}
	return none
}

func (t *table) add(ro registry.Roster) int32 {
	var i int32
	if n := len(t.free); n > 0 {
		i, t.free = t.free[n-1], t.free[:n-1]
	} else {
		i = int32(len(t.rows))
		t.deadline = append(t.deadline, never)
		t.rows = append(t.rows, row{})
		if i%block == 0 {
			t.bound = append(t.bound, never)
		}
	}
	t.rows[i] = row{witness: ro.Witness, class: t.enter(ro), next: none, fell: none}
	hash := t.hash(ro.Witness)
	if first, ok := t.first[hash]; ok {
		t.rows[i].next, t.rows[first].next = t.rows[first].next, i
	} else {
		t.first[hash] = i
	}
	return i
}

// enter returns the class of a roster for one more row.
func (t *table) enter(ro registry.Roster) int32 {
	class, ok := t.classes[ro.Class]
	if !ok {
		if n := len(t.spare); n > 0 {
			class, t.spare = t.spare[n-1], t.spare[:n-1]
		} else {
			class = int32(len(t.timers))
			t.timers = append(t.timers, timer{})
		}
		t.classes[ro.Class] = class
		t.timers[class] = timer{ro.Class, ro.Timeouts, int64(ro.Unhealthy), int64(ro.Delete), 0}
	}
	t.timers[class].rows++
	return class
}

// exit takes a row out of its class: owners choose their timeouts freely, so
// classes must not outlast them.
func (t *table) exit(class int32) {
	if t.timers[class].rows--; t.timers[class].rows == 0 {
		delete(t.classes, t.timers[class].class)
		t.spare = append(t.spare, class)
	}
}

// release frees a row without members, once nobody writes for it.
func (t *table) release(i int32) {
	r := &t.rows[i]
	if r.members > 0 || r.writing {
		return
	}
	hash := t.hash(r.witness)
	switch first := t.first[hash]; {
	case first != i:
		for t.rows[first].next != i {
			first = t.rows[first].next
		}
		t.rows[first].next = r.next
	case r.next != none:
		t.first[hash] = r.next
	default:
		delete(t.first, hash)
	}
	t.exit(r.class)
	t.unhold(r)
	t.rise(r)
	*r = row{}
	t.set(i, never)
	t.free = append(t.free, i)
}

// due appends the rows whose time is over and for which nobody writes. It looks at
// blocks that may have such a row: who is heard of moves on, so most have none until
// all of their rows were due had nobody beaten.
func (t *table) due(now int64, to []int32) []int32 {
	for b, bound := range t.bound {
		if bound > now {
			continue
		}
		first := b * block
		earliest := int64(never)
		for i, deadline := range t.deadline[first:min(first+block, len(t.deadline))] {
			earliest = min(earliest, deadline)
			if deadline <= now && !t.rows[first+i].writing {
				to = append(to, int32(first+i))
			}
		}
		t.bound[b] = earliest
	}
	return to
}

// roster returns what a row stands for.
func (t *table) roster(r *row) registry.Roster {
	m := &t.timers[r.class]
	return registry.Roster{Witness: r.witness, Class: m.class, Timeouts: m.timeouts}
}

// len returns how many rows are in use.
func (t *table) len() int { return len(t.rows) - len(t.free) }
