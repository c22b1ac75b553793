package answer

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// share is one thing to draw, an address for instance, and its chance.
type share struct {
	at     int // member of the set that is the first of those that share it
	weight float64
	key    float64 // when it arrives: the order of one draw
}

// draw orders shares so that the first has a chance in proportion to its
// weight, and so has the next among those left: each gets an arrival time
// -ln(U)/weight, the earliest first. It returns the first limit of them, all for 0.
func draw(shares []share, limit int, rnd *rand.Rand) []share {
	if len(shares) < 2 {
		return shares
	}
	for i := range shares {
		shares[i].key = rnd.ExpFloat64() / shares[i].weight
	}
	order(shares)
	if limit > 0 && limit < len(shares) {
		return shares[:limit]
	}
	return shares
}

// order brings shares into the order of their arrival.
func order(shares []share) {
	if len(shares) > small {
		slices.SortFunc(shares, func(a, b share) int { return cmp.Compare(a.key, b.key) })
		return
	}
	for i := 1; i < len(shares); i++ {
		s, j := shares[i], i
		for ; j > 0 && s.key < shares[j-1].key; j-- {
			shares[j] = shares[j-1]
		}
		shares[j] = s
	}
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
	shuffle(shares, rnd)
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
	shuffle(chosen, rnd)
	return chosen
}

func shuffle(shares []share, rnd *rand.Rand) {
	rnd.Shuffle(len(shares), func(i, j int) { shares[i], shares[j] = shares[j], shares[i] })
}

// sampleSize returns how many of n shares can be chosen: of two, the heavier one
// would be chosen too seldom if there were more.
func sampleSize(n, limit int, ratio float64) int {
	if limit > 0 {
		n = min(n, limit)
	}
	return max(1, min(n, int(ratio)))
}

// walk goes around n indices in steps of a random length that meets none twice. The
// first k that it comes to are k of them of which each has the same chance.
type walk struct{ n, at, step int }

func newWalk(n int, rnd *rand.Rand) walk {
	w := walk{n, rnd.IntN(n), 1 + rnd.IntN(n)}
	for !coprime(n, w.step) {
		w.step = 1 + rnd.IntN(n)
	}
	return w
}

func (w *walk) next() int {
	at := w.at
	w.at = (w.at + w.step) % w.n
	return at
}

func coprime(a, b int) bool {
	for b != 0 {
		a, b = b, a%b
	}
	return a == 1
}
