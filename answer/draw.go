package answer

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"sort"

	"github.com/musterhq/muster/registry"
)

// share is one thing to draw, an address for instance, and its chance.
type share struct {
	of     *registry.Instance // the first of those that share it
	weight float64
	key    float64 // when it arrives: the order of one draw
}

// draw orders shares so that the first has a chance in proportion to its
// weight, and so has the next among those left: each gets an arrival time
// -ln(U)/weight, the earliest first. It returns the first limit of them, all for 0.
func draw(shares []share, limit int, rnd *rand.Rand) []share {
	if len(shares) == 1 {
		return shares
	}
	for i := range shares {
		shares[i].key = rnd.ExpFloat64() / shares[i].weight
	}
	slices.SortFunc(shares, func(a, b share) int { return cmp.Compare(a.key, b.key) })
	if limit > 0 && limit < len(shares) {
		return shares[:limit]
	}
	return shares
}

// sample chooses shares so that each of those chosen is used by the same part of
// the clients, as a resolver that rotates answers sees to: each is chosen with a
// chance in proportion to its weight (systematic sampling over a random order), as
// many as that allows and limit at most; 0 is no limit. Then first place and any
// other one have the chances of the weights.
func sample(shares []share, limit int, rnd *rand.Rand) []share {
	if len(shares) < 2 {
		return shares
	}
	total, heaviest := 0.0, 0.0
	for i := range shares {
		total += shares[i].weight
		heaviest = max(heaviest, shares[i].weight)
	}
	rnd.Shuffle(len(shares), func(i, j int) { shares[i], shares[j] = shares[j], shares[i] })
	step := total / float64(sampleSize(len(shares), limit, total/heaviest))
	next, sum := rnd.Float64()*step, 0.0
	chosen := shares[:0]
	for i, s := range shares {
		if i == len(shares)-1 && len(chosen) == 0 {
			sum = math.Inf(1) // the sum in another order was rounded otherwise
		}
		if sum += s.weight; next < sum { // no weight exceeds the step, so none is met twice
			chosen = append(chosen, s)
			next += step
		}
	}
	rnd.Shuffle(len(chosen), func(i, j int) { chosen[i], chosen[j] = chosen[j], chosen[i] })
	return chosen
}

// sampleSize returns how many of n shares can be chosen: of two, the heavier one
// would be chosen too seldom if there were more.
func sampleSize(n, limit int, ratio float64) int {
	if limit > 0 {
		n = min(n, limit)
	}
	return max(1, min(n, int(ratio)))
}

// urn holds the shares of a large set in a form that makes drawing a few of
// them cheap. It is immutable.
type urn struct {
	shares []share
	sums   []float64 // sums[i] is the weight of shares[:i+1]
	most   float64   // largest weight
}

// fewest is how many draws from an urn still cost less than ordering it whole.
const fewest = 32

func newUrn(shares []share) urn {
	u := urn{shares: slices.Clip(shares), sums: make([]float64, len(shares))}
	total := 0.0
	for i := range shares {
		total += shares[i].weight
		u.sums[i] = total
		u.most = max(u.most, shares[i].weight)
	}
	return u
}

// sample returns shares by the law of the function sample, but for which of them
// come together: the order that is walked stays.
func (u urn) sample(limit int, rnd *rand.Rand) []share {
	if len(u.shares) == 0 {
		return nil
	}
	total := u.sums[len(u.sums)-1]
	m := sampleSize(len(u.shares), limit, total/u.most)
	step := total / float64(m)
	at, last := rnd.Float64()*step, -1
	chosen := make([]share, 0, m)
	for range m {
		i := sort.Search(len(u.sums)-1, func(i int) bool { return at < u.sums[i] })
		if i != last { // but for rounding no share is met twice
			chosen = append(chosen, u.shares[i])
		}
		last = i
		at += step
	}
	rnd.Shuffle(len(chosen), func(i, j int) { chosen[i], chosen[j] = chosen[j], chosen[i] })
	return chosen
}

// draw returns n shares by the law of the function draw, for n up to fewest
// and less than there are. What is drawn leaves the urn: the next number is
// drawn from what is left of the weight, and moved past all that is gone.
func (u urn) draw(n int, rnd *rand.Rand) []share {
	var gone [fewest]int // indices drawn, ascending
	drawn := make([]share, 0, n)
	left := u.sums[len(u.sums)-1]
	for len(drawn) < n {
		x := rnd.Float64() * left
		for _, i := range gone[:len(drawn)] {
			if x < u.before(i) {
				break
			}
			x += u.shares[i].weight
		}
		i := u.free(sort.Search(len(u.sums)-1, func(i int) bool { return x < u.sums[i] }), gone[:len(drawn)])
		at, _ := slices.BinarySearch(gone[:len(drawn)], i)
		copy(gone[at+1:], gone[at:len(drawn)])
		gone[at] = i
		drawn = append(drawn, u.shares[i])
		left -= u.shares[i].weight
	}
	return drawn
}

// before returns the weight of what lies before share i.
func (u urn) before(i int) float64 {
	if i == 0 {
		return 0
	}
	return u.sums[i-1]
}

// free returns i, or the next index that is not gone: rounding may move a number
// to the edge of a share that was drawn.
func (u urn) free(i int, gone []int) int {
	for {
		if _, found := slices.BinarySearch(gone, i); !found {
			return i
		}
		i = (i + 1) % len(u.shares)
	}
}

// choose returns k of n indices, each with the same chance: a walk around all
// of them in steps of a random length that meets none twice.
func choose(n, k int, rnd *rand.Rand) []int {
	at, step := rnd.IntN(n), 1+rnd.IntN(n)
	for !coprime(n, step) {
		step = 1 + rnd.IntN(n)
	}
	chosen := make([]int, k)
	for i := range chosen {
		chosen[i] = at
		at = (at + step) % n
	}
	return chosen
}

func coprime(a, b int) bool {
	for b != 0 {
		a, b = b, a%b
	}
	return a == 1
}
