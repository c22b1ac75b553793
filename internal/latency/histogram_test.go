package latency_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/musterhq/muster/internal/latency"
)

func TestNothing(t *testing.T) {
	if got := new(latency.Histogram).Summary(); got != (latency.Summary{}) {
		t.Errorf("Summary() of an empty histogram = %+v, want zero", got)
	}
}

// TestPercentiles holds the summary against the sorted durations: it may be above what
// is exact by one part in 64 and a microsecond, and never below.
func TestPercentiles(t *testing.T) {
	draws := map[string]func(*rand.Rand) time.Duration{
		"constant":   func(*rand.Rand) time.Duration { return 1234567 },
		"below 1 µs": func(r *rand.Rand) time.Duration { return time.Duration(r.IntN(1000)) },
		"uniform":    func(r *rand.Rand) time.Duration { return time.Duration(r.Int64N(int64(time.Second))) },
		"long tail":  func(r *rand.Rand) time.Duration { return time.Duration(math.Exp(r.Float64()*16) * 1000) },
		"minutes":    func(r *rand.Rand) time.Duration { return time.Duration(r.Int64N(int64(2 * time.Hour))) },
	}
	for name, draw := range draws {
		t.Run(name, func(t *testing.T) {
			var (
				h   latency.Histogram
				rnd = rand.New(rand.NewPCG(1, 2))
				all []time.Duration
			)
			for range 10_000 {
				d := draw(rnd)
				all = append(all, d)
				h.Add(d)
			}
			slices.Sort(all)
			got := h.Summary()
			if got.Count != 10_000 || got.Max != all[len(all)-1] {
				t.Errorf("count %d, max %v, want 10000, %v", got.Count, got.Max, all[len(all)-1])
			}
			for share, got := range map[float64]time.Duration{0.5: got.P50, 0.9: got.P90, 0.99: got.P99, 0.999: got.P999} {
				exact := all[int(math.Ceil(share*float64(len(all))))-1]
				if got < exact || got > exact+exact/64+time.Microsecond {
					t.Errorf("%v of all = %v, exactly %v", share, got, exact)
				}
			}
		})
	}
}

func TestExtremes(t *testing.T) {
	var h latency.Histogram
	h.Add(-time.Second)
	h.Add(math.MaxInt64)
	if got := h.Summary(); got.Count != 2 || got.P50 >= time.Microsecond || got.Max != math.MaxInt64 {
		t.Errorf("Summary() = %+v, want one of nothing and the longest there is", got)
	}
}

func TestManyAtOnce(t *testing.T) {
	var (
		h  latency.Histogram
		wg sync.WaitGroup
	)
	for n := range 8 {
		wg.Go(func() {
			for range 1000 {
				h.Add(time.Duration(n+1) * time.Millisecond)
			}
		})
	}
	wg.Wait()
	if got := h.Summary(); got.Count != 8000 || got.Max != 8*time.Millisecond || got.Mean != 4500*time.Microsecond {
		t.Errorf("Summary() = %+v, want 8000 of 4.5 ms on average, 8 ms at the most", got)
	}
}

func BenchmarkAdd(b *testing.B) {
	var h latency.Histogram
	for b.Loop() {
		h.Add(1234567)
	}
}
