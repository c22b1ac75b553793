package sweep

// steps is how finely the window of a mass silence is counted.
const steps = 60

// falls counts the rows that are silent now, and how many of them fell silent
// within the window. Time goes in steps, a row notes the one it fell in.
type falls struct {
	width  int64 // of a step, in nanoseconds
	began  int64 // when the present step began
	step   int32 // the present one
	floor  int32 // falls before this step do not count: an operator confirmed them
	count  [steps]int32
	recent int // sum of count
	silent int // rows that are silent, however long
}

// advance moves the window to now.
func (f *falls) advance(now int64) {
	if behind := (now - f.began) / f.width; behind > steps {
		f.began += (behind - steps) * f.width // what lies between is empty
	}
	for ; now-f.began >= f.width; f.began += f.width {
		f.next()
	}
}

func (f *falls) next() {
	f.step++
	f.recent -= int(f.count[f.step%steps])
	f.count[f.step%steps] = 0
}

// oldest returns the first step of the window.
func (f *falls) oldest() int32 { return max(f.step-steps+1, f.floor) }

// forgive empties the window: who is silent now does not count as fallen again.
func (f *falls) forgive() {
	f.next()
	f.floor, f.count, f.recent = f.step, [steps]int32{}, 0
}

// fall notes that a row's silence came due.
func (t *table) fall(r *row) {
	if r.fell != none {
		return
	}
	f := &t.falls
	r.fell = f.step
	f.count[f.step%steps]++
	f.recent++
	f.silent++
	t.freeze.silent++
}

// rise notes that a row is silent no more, or is gone.
func (t *table) rise(r *row) {
	if r.fell == none {
		return
	}
	f := &t.falls
	if r.fell >= f.oldest() {
		f.count[r.fell%steps]--
		f.recent--
	}
	if r.fell >= t.freeze.from {
		t.freeze.silent--
	}
	f.silent--
	r.fell = none
}
