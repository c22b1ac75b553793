package probe

// State is a verdict. Its text is the one the HTTP APIs use.
type State string

// The three verdicts. Unknown means that too few tries have been seen yet.
const (
	Unknown  State = "unknown"
	Passing  State = "passing"
	Critical State = "critical"
)

// How a Tally damps, in turns of rise and fall together: the shortest time in
// which a verdict goes from Passing to Critical and back.
const (
	flapWithin  = 6 // turns in which two changes forbid a third, to Passing
	steadyAfter = 3 // turns of equal results that end it
)

// Tally turns results into a verdict: Rise successes in a row make it Passing,
// Fall failures in a row make it Critical, and until either has been seen it
// is Unknown. The zero Tally has both thresholds at 1. It is not safe for use
// by several goroutines.
type Tally struct {
	Rise, Fall int // 0 means 1
	// Damp holds a verdict at Critical that would change to Passing again after
	// it did change twice within 6 times Rise and Fall results, until as many
	// results in a row as 3 times Rise and Fall are the same. So a target that
	// fails every other time makes it change 4 times at the most, the first
	// verdict included.
	Damp bool

	state State
	last  bool      // the result that row counts
	row   int       // how many equal results in a row, never above what matters
	seen  uint64    // how many results there were
	flips [2]uint64 // after how many the latest two changes were, 0 for none
	held  bool
}

// State returns the verdict that stands.
func (t *Tally) State() State {
	if t.state == "" {
		return Unknown
	}
	return t.state
}

// Flapping reports whether the verdict is Critical for no other reason than that
// it changed too often.
func (t *Tally) Flapping() bool { return t.held }

// Observe counts one result and reports whether the verdict changed with it.
func (t *Tally) Observe(ok bool) (changed bool) {
	rise, fall := max(t.Rise, 1), max(t.Fall, 1)
	steady := steadyAfter * (rise + fall)
	if ok != t.last {
		t.last, t.row = ok, 0
	}
	t.row = min(t.row+1, steady)
	t.seen++
	if t.row >= steady {
		t.held, t.flips = false, [2]uint64{}
	}
	next, need := Critical, fall
	if ok {
		next, need = Passing, rise
	}
	if t.row < need || t.State() == next || t.held {
		return false
	}
	if t.state != "" {
		if first := t.flips[0]; t.Damp && ok && first > 0 && t.seen-first < uint64(flapWithin*(rise+fall)) {
			t.held = true
			return false
		}
		t.flips = [2]uint64{t.flips[1], t.seen}
	}
	t.state = next
	return true
}

// silence counts as many failures as make the verdict Critical.
func (t *Tally) silence() {
	for t.Observe(false); t.State() != Critical; {
		t.Observe(false)
	}
}
