package tally

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Counters is a family of counters with cells.
type Counters struct {
	*prometheus.CounterVec

	mu    sync.Mutex
	cells map[*Counter]struct{}
}

// Counter is a cell of a counter.
type Counter struct {
	n atomic.Uint64
	_ [line - 8]byte

	labels []string
	taken  uint64 // of n, by the vector; guarded by the lock of the family
}

// MustJoinCounters returns the family of vec, and takes its place in reg if it stands
// there. It panics when another collector holds the name.
func MustJoinCounters(reg prometheus.Registerer, vec *prometheus.CounterVec) *Counters {
	c := &Counters{CounterVec: vec, cells: map[*Counter]struct{}{}}
	reg.Unregister(vec)
	reg.MustRegister(c)
	return c
}

func (c *Counters) cell(labels []string) *Counter {
	cell := &Counter{labels: slices.Clone(labels)}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cells[cell] = struct{}{}
	return cell
}

// Add counts n.
func (c *Counter) Add(n uint64) { c.n.Add(n) }

// Inc counts one.
func (c *Counter) Inc() { c.n.Add(1) }

// Collect implements [prometheus.Collector].
func (c *Counters) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	for cell := range c.cells {
		c.take(cell)
	}
	c.mu.Unlock()
	c.CounterVec.Collect(ch)
}

// take adds to the vector what a cell has counted since the last time.
func (c *Counters) take(cell *Counter) {
	if n := cell.n.Load(); n > cell.taken {
		c.WithLabelValues(cell.labels...).Add(float64(n - cell.taken))
		cell.taken = n
	}
}

func (c *Counters) end(cell *Counter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.take(cell)
	delete(c.cells, cell)
}
