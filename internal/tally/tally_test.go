package tally_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"github.com/musterhq/muster/internal/tally"
)

func counters(t *testing.T) (*tally.Counters, *prometheus.CounterVec, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewRegistry()
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "answers_total", Help: "Counter of answers."}, []string{"server", "type"})
	reg.MustRegister(vec)
	family := tally.MustJoinCounters(reg, vec)
	return family, vec, reg
}

func TestCounters(t *testing.T) {
	family, vec, reg := counters(t)
	var one, two tally.Tally
	a, b, other := one.Counter(family, "s", "A"), two.Counter(family, "s", "A"), two.Counter(family, "s", "SRV")
	two.Counter(family, "s", "never")
	expect := func(about, a, srv string) {
		t.Helper()
		want := "# HELP answers_total Counter of answers.\n# TYPE answers_total counter\nanswers_total{server=\"s\",type=\"A\"} " + a +
			"\nanswers_total{server=\"s\",type=\"SRV\"} " + srv + "\n"
		if err := testutil.GatherAndCompare(reg, strings.NewReader(want)); err != nil {
			t.Errorf("%s: %v", about, err)
		}
	}
	a.Add(2)
	b.Inc()
	other.Inc()
	vec.WithLabelValues("s", "A").Inc()
	expect("cells and the vector", "4", "1")
	expect("again", "4", "1")
	b.Inc()
	two.End()
	expect("one has ended", "5", "1")
	a.Inc()
	one.End()
	one.End()
	expect("all have ended", "6", "1")
}

func TestManyCountWhileSomebodyReads(t *testing.T) {
	family, _, reg := counters(t)
	const writers, each = 4, 10_000
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			var own tally.Tally
			defer own.End()
			c := own.Counter(family, "s", "A")
			for range each {
				c.Inc()
			}
		})
	}
	for range 100 {
		if _, err := reg.Gather(); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	if _, err := reg.Gather(); err != nil {
		t.Error(err)
	}
	if got := testutil.ToFloat64(family.WithLabelValues("s", "A")); got != writers*each {
		t.Errorf("counted %v, want %d", got, writers*each)
	}
}

func TestNamesAreTakenOnce(t *testing.T) {
	reg := prometheus.NewRegistry()
	opts := prometheus.CounterOpts{Name: "answers_total", Help: "Counter of answers."}
	reg.MustRegister(prometheus.NewCounter(opts))
	defer func() {
		if recover() == nil {
			t.Error("a name that another collector holds was joined")
		}
	}()
	tally.MustJoinCounters(reg, prometheus.NewCounterVec(opts, []string{"server"}))
}

// histogram returns a vector with classic and native buckets.
func histogram(t *testing.T, factor float64) (*prometheus.HistogramVec, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewRegistry()
	vec := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "size", Help: "Histogram of sizes.", Buckets: []float64{0, 100, 200, 511, 1023},
		NativeHistogramBucketFactor: factor,
	}, []string{"server", "proto"})
	reg.MustRegister(vec)
	return vec, reg
}

// gathered is the only histogram of a registry, without what differs between two.
func gathered(t *testing.T, reg *prometheus.Registry) *dto.Histogram {
	t.Helper()
	families, err := reg.Gather()
	if err != nil || len(families) != 1 || len(families[0].GetMetric()) != 1 {
		t.Fatalf("gathered %v, %v, want one metric", families, err)
	}
	h := families[0].GetMetric()[0].GetHistogram()
	h.CreatedTimestamp = nil
	return h
}

// native are the buckets of a native histogram that hold anything.
func native(h *dto.Histogram) map[int32]int64 {
	counts := map[int32]int64{}
	at, i, n := int32(0), 0, int64(0)
	for _, s := range h.GetPositiveSpan() {
		at += s.GetOffset()
		for range s.GetLength() {
			n += h.GetPositiveDelta()[i]
			if n > 0 {
				counts[at] = n
			}
			at, i = at+1, i+1
		}
	}
	return counts
}

// What is counted in cells reads as if it had been observed.
func TestHistogramsAreTheSame(t *testing.T) {
	for _, factor := range []float64{0, 1.002, 1.05, 1.5, 2, 4, 70000} {
		want, wantReg := histogram(t, factor)
		vec, reg := histogram(t, factor)
		family := tally.MustJoinHistograms(reg, vec, tally.Scale{Unit: 1, Digits: 11, Most: 2047})
		var one, two tally.Tally
		cells := []*tally.Histogram{one.Histogram(family, "s", "udp"), two.Histogram(family, "s", "udp")}
		for i := range 3000 {
			size := rand.N[uint64](2048)
			if i < 64 { // edges, and then by chance
				size = uint64(i/8) * 128
			}
			want.WithLabelValues("s", "udp").Observe(float64(size))
			if where := i % 3; where < 2 {
				cells[where].Observe(size, 1)
			} else {
				vec.WithLabelValues("s", "udp").Observe(float64(size))
			}
			if i == 2000 {
				one.End()
				cells[0] = one.Histogram(family, "s", "udp")
			}
		}
		w, g := gathered(t, wantReg), gathered(t, reg)
		if w.GetSampleCount() != g.GetSampleCount() || w.GetSampleSum() != g.GetSampleSum() || w.GetZeroCount() != g.GetZeroCount() || w.GetSchema() != g.GetSchema() {
			t.Errorf("factor %v: %v, want %v", factor, g, w)
		}
		for i, b := range w.GetBucket() {
			if got := g.GetBucket()[i].GetCumulativeCount(); got != b.GetCumulativeCount() {
				t.Errorf("factor %v: up to %v: %d, want %d", factor, b.GetUpperBound(), got, b.GetCumulativeCount())
			}
		}
		if diff := cmp.Diff(native(w), native(g)); diff != "" {
			t.Errorf("factor %v: native buckets: (-want +got)\n%s", factor, diff)
		}
	}
}

func TestDurationsKeepTheirSum(t *testing.T) {
	vec, reg := histogram(t, 0)
	family := tally.MustJoinHistograms(reg, vec, tally.Scale{Unit: 1e-9, Digits: 7, Most: 10e9})
	var one tally.Tally
	cell := one.Histogram(family, "s", "udp")
	cell.Observe(1, 3)
	cell.Observe(123_456_789, 2)
	cell.Observe(math.MaxUint64, 1)
	h := gathered(t, reg)
	if got, want := h.GetSampleSum(), 10.246913581; math.Abs(got-want) > 1e-12 || h.GetSampleCount() != 6 {
		t.Errorf("sum = %v of %d, want %v of 6", got, h.GetSampleCount(), want)
	}
	if got := h.GetBucket()[1].GetCumulativeCount(); got != 6 {
		t.Errorf("up to 100 s = %d, want 6", got)
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	counts, _, _ := counters(t)
	vec, reg := histogram(t, 0)
	sizes := tally.MustJoinHistograms(reg, vec, tally.Scale{Unit: 1, Digits: 11, Most: 2047})
	var own tally.Tally
	c, h := own.Counter(counts, "s", "A"), own.Histogram(sizes, "s", "udp")
	if n := testing.AllocsPerRun(100, func() { c.Inc(); h.Observe(95, 1) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkObserve(b *testing.B) {
	vec := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "size"}, []string{"server"})
	sizes := tally.MustJoinHistograms(prometheus.NewRegistry(), vec, tally.Scale{Unit: 1, Digits: 11, Most: 2047})
	b.RunParallel(func(pb *testing.PB) {
		var own tally.Tally
		h := own.Histogram(sizes, "s")
		for pb.Next() {
			h.Observe(95, 1)
		}
	})
}
