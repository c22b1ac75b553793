// Package tally counts for a Prometheus family where each processor counts for itself:
// a counter or histogram has cells, each written by one goroutine in memory of its own,
// and they are added up when the family is read.
//
// A family is a vector like any other, which may be somebody else's and be used by
// others as before: its cells are added to what stands there. Who reads cannot tell
// what was counted in a cell.
package tally

import "sync"

// Tally is the cells of one writer. Its zero value has none.
type Tally struct {
	mu   sync.Mutex
	ends []func()
}

// Counter returns a new cell for the series of the labels. Only the writer of the tally
// may count in it.
func (t *Tally) Counter(of *Counters, labels ...string) *Counter {
	c := of.cell(labels)
	t.add(func() { of.end(c) })
	return c
}

// Histogram returns a new cell for the series of the labels. Only the writer of the
// tally may count in it.
func (t *Tally) Histogram(of *Histograms, labels ...string) *Histogram {
	h := of.cell(labels)
	t.add(func() { of.end(h) })
	return h
}

func (t *Tally) add(end func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ends = append(t.ends, end)
}

// End takes all cells into their families, which keep what they hold. It is called when
// the writer has stopped: what it counts later is lost.
func (t *Tally) End() {
	t.mu.Lock()
	ends := t.ends
	t.ends = nil
	t.mu.Unlock()
	for _, end := range ends {
		end()
	}
}

// line is how many octets processors share at most.
const line = 64
