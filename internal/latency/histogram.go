// Package latency counts durations in buckets whose width grows with the duration, so
// that percentiles of any number of them cost a fixed, small memory.
//
// A duration is known to one part in 64, from a microsecond to more than an hour.
package latency

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

const (
	unit     = time.Microsecond // what is shorter counts as this long
	subBits  = 6                // each power of two has 1<<subBits buckets
	sub      = 1 << subBits
	powers   = 33 // the longest bucket ends at 1<<powers microseconds, over two hours
	capacity = (powers - subBits + 1) * sub
)

// Histogram counts durations. The zero value is ready; it is safe for concurrent use.
type Histogram struct {
	counts [capacity]atomic.Uint64
	sum    atomic.Int64 // nanoseconds
	max    atomic.Int64 // nanoseconds
}

// Add counts one duration. A negative one counts as none at all.
func (h *Histogram) Add(d time.Duration) {
	d = max(d, 0)
	h.counts[bucket(d)].Add(1)
	h.sum.Add(int64(d))
	was := h.max.Load()
	for int64(d) > was && !h.max.CompareAndSwap(was, int64(d)) {
		was = h.max.Load()
	}
}

// bucket returns the index of the bucket that d lies in. Below sub units each unit has a
// bucket; from there on each power of two is cut into sub of them.
func bucket(d time.Duration) int {
	v := uint64(d / unit)
	if v < sub {
		return int(v)
	}
	shift := bits.Len64(v) - subBits - 1
	return min(shift*sub+int(v>>shift), capacity-1)
}

// upper returns the longest duration that lies in a bucket.
func upper(i int) time.Duration {
	if i < 2*sub {
		return time.Duration(i+1)*unit - 1
	}
	shift := i/sub - 1
	return time.Duration(i-shift*sub+1)<<shift*unit - 1
}

// Summary is what a histogram says. The percentiles are the upper ends of their
// buckets, and never above Max.
type Summary struct {
	Count uint64        `json:"count"`
	Mean  time.Duration `json:"mean_ns"`
	P50   time.Duration `json:"p50_ns"`
	P90   time.Duration `json:"p90_ns"`
	P99   time.Duration `json:"p99_ns"`
	P999  time.Duration `json:"p999_ns"`
	Max   time.Duration `json:"max_ns"`
}

// Summary returns what was counted so far, zero when nothing was.
func (h *Histogram) Summary() Summary {
	var counts [capacity]uint64
	s := Summary{Max: time.Duration(h.max.Load())}
	for i := range h.counts {
		counts[i] = h.counts[i].Load()
		s.Count += counts[i]
	}
	if s.Count == 0 {
		return Summary{}
	}
	s.Mean = time.Duration(h.sum.Load()) / time.Duration(s.Count)
	at := func(share float64) time.Duration { return min(s.Max, quantile(&counts, s.Count, share)) }
	s.P50, s.P90, s.P99, s.P999 = at(0.5), at(0.9), at(0.99), at(0.999)
	return s
}

// quantile returns a duration that a share of all is not above.
func quantile(counts *[capacity]uint64, total uint64, share float64) time.Duration {
	rank := uint64(math.Ceil(share * float64(total)))
	for i, n := range counts {
		if n >= rank {
			return upper(i)
		}
		rank -= n
	}
	return math.MaxInt64 // not reached: the counts add up to total
}
