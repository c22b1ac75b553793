package etcdstore

import (
	"hash/maphash"
	"slices"
)

// references is a set of digests that keeps 8 bytes of each: where two are taken
// for one, which is one chance in 2^64, a content is kept that nothing refers to.
type references struct {
	seed maphash.Seed
	sums []uint64 // of which the first `tidy` are sorted, each there once
	tidy int
}

func newReferences() *references { return &references{seed: maphash.MakeSeed()} }

func (r *references) sum(digest string) uint64 { return maphash.String(r.seed, digest) }

// slack is how many more than twice its digests the set holds before it tidies.
const slack = 1 << 16

func (r *references) add(sum uint64) {
	if r.sums = append(r.sums, sum); len(r.sums) > 2*r.tidy+slack {
		r.settle()
	}
}

// settle sorts the set: only then it is asked.
func (r *references) settle() {
	slices.Sort(r.sums)
	r.sums = slices.Compact(r.sums)
	r.tidy = len(r.sums)
}

// has reports whether a digest was added; the set has settled.
func (r *references) has(digest string) bool {
	_, found := slices.BinarySearch(r.sums, r.sum(digest))
	return found
}
