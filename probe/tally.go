package probe

// State is a verdict. Its text is the one the HTTP APIs use.
type State string

// The three verdicts. Unknown means that too few tries have been seen yet.
const (
	Unknown  State = "unknown"
	Passing  State = "passing"
	Critical State = "critical"
)

// Tally turns results into a verdict: Rise successes in a row make it Passing,
// Fall failures in a row make it Critical, and until either has been seen it
// is Unknown. The zero Tally has both thresholds at 1. It is not safe for use
// by several goroutines.
type Tally struct {
	Rise, Fall int // 0 means 1

	state State
	last  bool // the result that streak counts
	run   int  // how many equal results in a row, never above the threshold
}

// State returns the verdict that stands.
func (t *Tally) State() State {
	if t.state == "" {
		return Unknown
	}
	return t.state
}

// Observe counts one result and reports whether the verdict changed with it.
func (t *Tally) Observe(ok bool) (changed bool) {
	if ok != t.last {
		t.last, t.run = ok, 0
	}
	next, need := Critical, max(t.Fall, 1)
	if ok {
		next, need = Passing, max(t.Rise, 1)
	}
	t.run = min(t.run+1, need)
	if t.run < need || t.State() == next {
		return false
	}
	t.state = next
	return true
}
