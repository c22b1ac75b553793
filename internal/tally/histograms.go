package tally

import (
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Scale says what the whole numbers are that cells of a histogram count.
type Scale struct {
	// Unit is what the number 1 stands for in the family: 1 for octets, 1e-9 for
	// nanoseconds in seconds.
	Unit float64
	// Digits is how many binary digits of a number count. Numbers of so many digits are
	// kept as they are, and above that the last ones are cut off; the sum of a family is
	// exact. A cell needs some 2^Digits words for each digit that a number has more.
	Digits int
	// Most is the largest number. Those above count as this one.
	Most uint64
}

// Histograms is a family of histograms with cells.
type Histograms struct {
	*prometheus.HistogramVec
	scale Scale

	mu    sync.Mutex
	cells map[*Histogram]struct{}
	ended map[prometheus.Metric]*Histogram // what cells had when they ended, by what they belong to
}

// Histogram is a cell of a histogram.
type Histogram struct {
	labels []string
	scale  Scale
	counts []atomic.Uint64

	_   [line]byte
	sum atomic.Uint64 // of the numbers that are not kept as they are
	_   [line]byte
}

// MustJoinHistograms returns the family of vec, and takes its place in reg if it stands
// there. It panics when another collector holds the name.
func MustJoinHistograms(reg prometheus.Registerer, vec *prometheus.HistogramVec, scale Scale) *Histograms {
	h := &Histograms{HistogramVec: vec, scale: scale, cells: map[*Histogram]struct{}{}, ended: map[prometheus.Metric]*Histogram{}}
	reg.Unregister(vec)
	reg.MustRegister(h)
	return h
}

func (h *Histograms) cell(labels []string) *Histogram {
	cell := h.fresh(labels)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cells[cell] = struct{}{}
	return cell
}

func (h *Histograms) fresh(labels []string) *Histogram {
	return &Histogram{
		labels: slices.Clone(labels), scale: h.scale,
		counts: make([]atomic.Uint64, h.scale.place(h.scale.Most)+1+line/8), // which keeps others away
	}
}

// Observe counts a number n times.
func (h *Histogram) Observe(number, n uint64) {
	number = min(number, h.scale.Most)
	h.counts[h.scale.place(number)].Add(n)
	if number>>h.scale.Digits > 0 {
		h.sum.Add(number * n)
	}
}

// place returns where a number is counted: there is a place for each number of Digits
// digits, and then half as many for each further digit.
func (s Scale) place(number uint64) int {
	more := max(bits.Len64(number)-s.Digits, 0)
	return more<<(s.Digits-1) + int(number>>more)
}

// at returns the least number that is counted at a place.
func (s Scale) at(place int) uint64 {
	if place>>s.Digits == 0 {
		return uint64(place)
	}
	more := place>>(s.Digits-1) - 1
	return uint64(place-more<<(s.Digits-1)) << more
}

// take adds to h what another cell has counted.
func (h *Histogram) take(other *Histogram) {
	for i := range other.counts {
		if n := other.counts[i].Load(); n > 0 {
			h.counts[i].Add(n)
		}
	}
	h.sum.Add(other.sum.Load())
}

// addTo adds what the cell has counted to a histogram of the family.
func (h *Histogram) addTo(to *dto.Histogram) {
	sparse := newSparse(to)
	count, sum := uint64(0), float64(h.sum.Load())
	steps := to.GetBucket()
	added := make([]uint64, len(steps)+1)
	for place := range h.counts {
		n := h.counts[place].Load()
		if n == 0 {
			continue
		}
		number := h.scale.at(place)
		if place>>h.scale.Digits == 0 {
			sum += float64(number) * float64(n)
		}
		value := float64(number) * h.scale.Unit
		count += n
		step, _ := slices.BinarySearchFunc(steps, value, func(b *dto.Bucket, v float64) int {
			if b.GetUpperBound() < v {
				return -1
			}
			return 1
		})
		added[step] += n
		sparse.add(value, n)
	}
	below := uint64(0)
	for i, b := range steps {
		below += added[i]
		*b.CumulativeCount += below
	}
	*to.SampleCount += count
	*to.SampleSum += sum * h.scale.Unit
	sparse.write()
}

func (h *Histograms) end(cell *Histogram) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.cells, cell)
	h.into(h.ended, cell)
}

// into adds a cell to what there is in all of its series.
func (h *Histograms) into(all map[prometheus.Metric]*Histogram, cell *Histogram) {
	if cell.empty() {
		return
	}
	of := h.WithLabelValues(cell.labels...).(prometheus.Metric)
	if all[of] == nil {
		all[of] = h.fresh(cell.labels)
	}
	all[of].take(cell)
}

// totals are all cells added up, by what they belong to.
func (h *Histograms) totals() map[prometheus.Metric]*Histogram {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := map[prometheus.Metric]*Histogram{}
	for _, cell := range h.ended {
		h.into(all, cell)
	}
	for cell := range h.cells {
		h.into(all, cell)
	}
	return all
}

func (h *Histogram) empty() bool {
	for i := range h.counts {
		if h.counts[i].Load() > 0 {
			return false
		}
	}
	return true
}
