package blast

import (
	"math/bits"
	"time"
)

// Histogram counts latencies in steps that are at most 1/32 of the value apart. The zero
// value is empty.
type Histogram struct {
	counts [64 * steps]int
	n      int
	sum    time.Duration
	most   time.Duration
}

// steps is into how many equal parts what lies between two powers of two is cut.
const steps = 32

// Count counts a latency n times.
func (h *Histogram) Count(d time.Duration, n int) {
	h.counts[bucket(d)] += n
	h.n += n
	h.sum += d * time.Duration(n)
	h.most = max(h.most, d)
}

// Add counts all that o has counted.
func (h *Histogram) Add(o *Histogram) {
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.n, h.sum, h.most = h.n+o.n, h.sum+o.sum, max(h.most, o.most)
}

// Mean returns the average, 0 of none.
func (h *Histogram) Mean() time.Duration {
	if h.n == 0 {
		return 0
	}
	return h.sum / time.Duration(h.n)
}

// Max returns the longest, exactly.
func (h *Histogram) Max() time.Duration { return h.most }

// Quantile returns what a share q of all latencies, from 0 to 1, stay below; 0 of none.
func (h *Histogram) Quantile(q float64) time.Duration {
	left := int(q * float64(h.n))
	for i, n := range h.counts {
		if left < n {
			return min(end(i), h.most)
		}
		left -= n
	}
	return h.most
}

// bucket returns the place of a latency. The first ones hold one nanosecond each.
func bucket(d time.Duration) int {
	v := uint64(max(d, 0))
	if v < steps {
		return int(v)
	}
	shift := bits.Len64(v) - bits.Len64(steps)
	return shift*steps + int(v>>shift)
}

// end returns where the bucket at a place ends.
func end(i int) time.Duration {
	if i < 2*steps {
		return time.Duration(i + 1)
	}
	shift := i/steps - 1
	return time.Duration(uint64(i%steps+steps+1) << shift)
}
