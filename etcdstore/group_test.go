package etcdstore_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/musterhq/muster/etcdstore"
)

// Whatever waits: a group holds no two requests of which one touches what the other
// compares or touches, nobody overtakes whom he conflicts with, all go at some time, and
// a set is cut only when it is first.
func TestGroups(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 1))
		waiting := someRequests(random)
		left := make([]int, len(waiting))
		for i := range left {
			left[i] = i
		}
		for len(left) > 0 {
			asked := make([]etcdstore.Asked, len(left))
			for i, at := range left {
				asked[i] = waiting[at]
			}
			group, rest := etcdstore.Group(asked)
			if len(group) == 0 || len(group) > etcdstore.MaxGroup || group[0] != 0 || len(group)+len(rest) != len(left) || !slices.IsSorted(rest) {
				t.Fatalf("seed %d: group %v, rest %v of %d", seed, group, rest, len(left))
			}
			for _, i := range group {
				for _, j := range group {
					if i < j && conflict(asked[i], asked[j]) {
						t.Fatalf("seed %d: %+v and %+v are in one transaction", seed, asked[i], asked[j])
					}
				}
				for _, j := range rest {
					if j < i && conflict(asked[i], asked[j]) {
						t.Fatalf("seed %d: %+v overtakes %+v", seed, asked[i], asked[j])
					}
					if asked[i].Set != 0 && asked[i].Set == asked[j].Set && asked[0].Set != asked[i].Set {
						t.Fatalf("seed %d: set %d is cut though it is not first", seed, asked[i].Set)
					}
				}
			}
			var next []int
			for _, i := range rest {
				next = append(next, left[i])
			}
			left = next
		}
	}
}

func someRequests(random *rand.Rand) (all []etcdstore.Asked) {
	for set := 1; len(all) < 150; set++ {
		for range 1 + random.IntN(1+random.IntN(80)) {
			a := etcdstore.Asked{Set: set, Bytes: random.IntN(60 << 10)}
			for range 1 + random.IntN(3) {
				a.Compares = append(a.Compares, fmt.Sprint("k", random.IntN(400)))
				a.Touches = append(a.Touches, fmt.Sprint("k", random.IntN(400)))
			}
			all = append(all, a)
		}
	}
	return all
}

func conflict(a, b etcdstore.Asked) bool {
	meets := func(touches, others []string) bool {
		return slices.ContainsFunc(touches, func(k string) bool { return slices.Contains(others, k) })
	}
	return meets(a.Touches, b.Compares) || meets(a.Touches, b.Touches) || meets(a.Compares, b.Touches)
}
