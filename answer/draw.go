package answer

import (
	"cmp"
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

// urn holds the shares of a large set in a form that makes drawing a few of
// them cheap. It is immutable.
type urn struct {
	shares []share
	sums   []float64 // sums[i] is the weight of shares[:i+1]
}

// fewest is how many draws from an urn still cost less than ordering it whole.
const fewest = 32

func newUrn(shares []share) urn {
	u := urn{shares: slices.Clip(shares), sums: make([]float64, len(shares))}
	total := 0.0
	for i := range shares {
		total += shares[i].weight
		u.sums[i] = total
	}
	return u
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
