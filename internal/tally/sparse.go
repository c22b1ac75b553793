package tally

import (
	"maps"
	"math"
	"slices"

	dto "github.com/prometheus/client_model/go"
)

// sparse are the buckets of a native histogram, which has none where nothing was
// counted.
type sparse struct {
	of     *dto.Histogram
	counts map[int32]uint64
}

// newSparse reads those of a histogram, nil when it has none of this kind.
func newSparse(of *dto.Histogram) *sparse {
	if of.Schema == nil {
		return nil
	}
	s := &sparse{of: of, counts: map[int32]uint64{}}
	at, next, n := int32(0), 0, int64(0)
	for _, span := range of.GetPositiveSpan() {
		at += span.GetOffset()
		for range span.GetLength() {
			n += of.GetPositiveDelta()[next] // to the one before
			s.counts[at] = uint64(n)
			at++
			next++
		}
	}
	return s
}

// add counts a value, which is not negative, n times.
func (s *sparse) add(value float64, n uint64) {
	switch {
	case s == nil:
	case value <= s.of.GetZeroThreshold():
		*s.of.ZeroCount += n
	default:
		s.counts[s.place(value)] += n
	}
}

// place returns the bucket of a value: that numbered i ends at 2^(i/2^schema), which
// belongs to it.
func (s *sparse) place(value float64) int32 {
	schema := int(s.of.GetSchema())
	fraction, exponent := math.Frexp(value) // from 0.5 to below 1
	if schema > 0 {
		return int32(int(math.Ceil(math.Ldexp(math.Log2(fraction), schema))) + exponent<<schema)
	}
	if fraction == 0.5 {
		exponent--
	}
	return int32((exponent + 1<<-schema - 1) >> -schema)
}

// write puts the buckets into the histogram.
func (s *sparse) write() {
	if s == nil || len(s.counts) == 0 {
		return
	}
	var spans []*dto.BucketSpan
	var deltas []int64
	next, before := int32(0), int64(0)
	for i, at := range slices.Sorted(maps.Keys(s.counts)) {
		if i == 0 || at > next {
			offset, length := at-next, uint32(0)
			spans = append(spans, &dto.BucketSpan{Offset: &offset, Length: &length})
		}
		*spans[len(spans)-1].Length++
		n := int64(s.counts[at])
		deltas = append(deltas, n-before)
		next, before = at+1, n
	}
	s.of.PositiveSpan, s.of.PositiveDelta = spans, deltas
}
