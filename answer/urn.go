package answer

import (
	"math/rand/v2"
	"slices"
	"sort"

	"github.com/musterhq/muster/registry"
)

// urn holds the shares of one family of a large set in a form that makes drawing a
// few of them cheap. It is immutable.
type urn struct {
	at   []int32   // member that is the first of each share; nil: each member is one
	sums []float64 // sums[i] is the weight of the shares up to i
	most float64   // largest weight
}

// fewest is how many draws from an urn still cost less than ordering it whole.
const fewest = 32

func newUrn(s *set, f family, of []*registry.Instance) (u urn) {
	if s.reached[f] == 0 {
		return u
	}
	u.sums = make([]float64, 0, s.reached[f])
	u.at = make([]int32, 0, s.reached[f])
	total, last := 0.0, -1
	for i := range s.members {
		m := &s.members[i]
		if !m.is(f) {
			continue
		}
		total += m.weight
		if last >= 0 && m.shares(&s.members[last], f, of) {
			u.sums[len(u.sums)-1] = total
		} else {
			u.at, u.sums = append(u.at, int32(i)), append(u.sums, total)
		}
		last = i
		u.most = max(u.most, u.weight(len(u.sums)-1))
	}
	if len(u.sums) == len(s.members) {
		u.at = nil
	}
	return u
}

func (u *urn) len() int { return len(u.sums) }

// before returns the weight of what lies before share i.
func (u *urn) before(i int) float64 {
	if i == 0 {
		return 0
	}
	return u.sums[i-1]
}

func (u *urn) weight(i int) float64 { return u.sums[i] - u.before(i) }

func (u *urn) share(i int) share {
	if u.at == nil {
		return share{at: i}
	}
	return share{at: int(u.at[i])}
}

// find returns the share that a number up to the sum of all weights falls into.
func (u *urn) find(x float64) int {
	return sort.Search(len(u.sums)-1, func(i int) bool { return x < u.sums[i] })
}

// sample appends shares by the law of the function sample, but for which of them
// come together: the order that is walked stays.
func (u *urn) sample(dst []share, limit int, rnd *rand.Rand) []share {
	if u.len() == 0 {
		return dst
	}
	total := u.sums[len(u.sums)-1]
	m := sampleSize(u.len(), limit, total/u.most)
	step := total / float64(m)
	at, last := rnd.Float64()*step, -1
	start := len(dst)
	for range m {
		i := u.find(at)
		if i != last { // but for rounding no share is met twice
			dst = append(dst, u.share(i))
		}
		last = i
		at += step
	}
	shuffle(dst[start:], rnd)
	return dst
}

// draw appends n shares by the law of the function draw, for n up to fewest
// and less than there are. What is drawn leaves the urn: the next number is
// drawn from what is left of the weight, and moved past all that is gone.
func (u *urn) draw(dst []share, n int, rnd *rand.Rand) []share {
	var room [fewest]int
	gone := room[:0] // indices drawn, ascending
	left := u.sums[len(u.sums)-1]
	for len(gone) < n {
		x := rnd.Float64() * left
		for _, i := range gone {
			if x < u.before(i) {
				break
			}
			x += u.weight(i)
		}
		i := u.free(u.find(x), gone)
		at, _ := slices.BinarySearch(gone, i)
		gone = slices.Insert(gone, at, i)
		dst = append(dst, u.share(i))
		left -= u.weight(i)
	}
	return dst
}

// free returns i, or the next index that is not gone: rounding may move a number
// to the edge of a share that was drawn.
func (u *urn) free(i int, gone []int) int {
	for {
		if _, found := slices.BinarySearch(gone, i); !found {
			return i
		}
		i = (i + 1) % u.len()
	}
}
