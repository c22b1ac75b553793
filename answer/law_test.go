package answer_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"testing"

	"github.com/musterhq/muster/answer"
	"github.com/musterhq/muster/registry"
)

// queries is how many answers a test of chances looks at.
const queries = 100_000

// repeat returns n times each of weights, in turn.
func repeat(n int, weights ...float64) []float64 { return slices.Repeat(weights, n) }

var vectors = []struct {
	about   string
	weights []float64
}{
	{"1:2:3:4", []float64{1, 2, 3, 4}},
	{"3:1:2", []float64{3, 1, 2}},
	{"twelve equal", repeat(12, 1)},
	{"0.5:1:1:10", []float64{0.5, 1, 1, 10}},
	{"100:1:1:1", []float64{100, 1, 1, 1}},
	{"5:5 and seventeen ones", append([]float64{5, 5}, repeat(17, 1)...)},
}

var seeds = []uint64{1, 2, 3}

func TestFirstAddressHasItsShare(t *testing.T) {
	for _, v := range vectors {
		for _, seed := range seeds {
			t.Run(fmt.Sprintf("%s, seed %d", v.about, seed), func(t *testing.T) {
				t.Parallel()
				counts := firsts(weighted(v.weights), len(v.weights), 8, random(seed))
				wantShares(t, counts, v.weights)
			})
		}
	}
}

// A service over 16 instances is drawn from in another way.
func TestFirstAddressOfALargeServiceHasItsShare(t *testing.T) {
	for _, v := range vectors {
		for _, limit := range []int{1, 8} {
			t.Run(fmt.Sprintf("%s, %d answers", v.about, limit), func(t *testing.T) {
				t.Parallel()
				k := len(v.weights)
				counts := firsts(weighted(repeat(100/k+1, v.weights...)), k, limit, random(7))
				wantShares(t, counts, v.weights)
			})
		}
	}
}

// firsts counts which address comes first, modulo k.
func firsts(snap *registry.Snapshot, k, limit int, rnd *rand.Rand) []int {
	var r answer.Resolver
	counts := make([]int, k)
	for range queries {
		a := r.Resolve(snap, answer.Question{Name: "x.svc", Type: answer.A, Max: limit}, rnd)
		counts[indexOf(a.Addrs[0])%k]++
	}
	return counts
}

// The order of the rest is weighted too: after one address is gone, the next
// has its share of what is left.
func TestFailoverOrderIsWeighted(t *testing.T) {
	weights := []float64{1, 2, 3}
	for name, n := range map[string]int{"small": 1, "large": 50} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var r answer.Resolver
			all := repeat(n, weights...)
			total := 0.0
			for _, w := range all {
				total += w
			}
			snap, rnd := weighted(all), random(3)
			counts, expect := make([]int, 9), make([]float64, 9)
			for range queries {
				a := r.Resolve(snap, answer.Question{Name: "x.svc", Type: answer.A, Max: 2}, rnd).Addrs
				counts[indexOf(a[0])%3*3+indexOf(a[1])%3]++
			}
			for i, first := range weights {
				for j, second := range weights {
					others := float64(n) * second
					if i == j {
						others -= first
					}
					expect[i*3+j] = first * others / (total - first)
				}
			}
			counts, expect = possible(counts, expect)
			wantShares(t, counts, expect)
		})
	}
}

// possible leaves out what cannot happen, after making sure that it did not.
func possible(counts []int, expect []float64) ([]int, []float64) {
	var c []int
	var e []float64
	for i := range expect {
		if expect[i] > 0 || counts[i] > 0 {
			c, e = append(c, counts[i]), append(e, expect[i])
		}
	}
	return c, e
}

func TestSharedAddressCountsOnceWithBothWeights(t *testing.T) {
	var roll roll
	k := roll.service("x", 0)
	roll.instance(k, addrOf(0).String(), 80, 1)
	roll.instance(k, addrOf(0).String(), 443, 2)
	roll.instance(k, addrOf(1).String(), 80, 3)
	wantShares(t, firsts(roll.snapshot(), 2, 8, random(5)), []float64{1, 1})
}

func TestAliasHasItsShare(t *testing.T) {
	var roll roll
	k := roll.service("x", 0)
	roll.instance(k, "a.example.net", 80, 1)
	roll.instance(k, "b.example.net", 80, 3)
	snap, rnd := roll.snapshot(), random(5)
	var r answer.Resolver
	counts := make([]int, 2)
	for range queries {
		a := r.Resolve(snap, answer.Question{Name: "x.svc", Type: answer.A, Max: 8}, rnd)
		counts[a.Alias[0]-'a']++
	}
	wantShares(t, counts, []float64{1, 3})
}

// A client that picks by RFC 2782 sends each instance its share.
func TestClientOfSRVGivesEachItsShare(t *testing.T) {
	for _, v := range vectors {
		t.Run(v.about, func(t *testing.T) {
			t.Parallel()
			var r answer.Resolver
			snap, rnd, client := weighted(v.weights), random(11), random(12)
			counts := make([]int, len(v.weights))
			for range queries {
				a := r.Resolve(snap, answer.Question{Name: "x.svc", Type: answer.SRV}, rnd)
				counts[indexOf(pick(a.Servers, client).Addr)]++
			}
			wantShares(t, counts, v.weights)
		})
	}
}

// A set that is cut leaves each its share as well, for a client that asks anew
// each time.
func TestClientOfCutSRVGivesEachItsShare(t *testing.T) {
	var r answer.Resolver
	snap, rnd, client := weighted(repeat(75, 1, 2, 3, 4)), random(11), random(12)
	counts := make([]int, 300)
	for range queries {
		a := r.Resolve(snap, answer.Question{Name: "x.svc", Type: answer.SRV, Max: 61}, rnd)
		if len(a.Servers) != 61 || !a.Cut {
			t.Fatalf("Resolve of 300 servers, at most 61 = %d, cut %v", len(a.Servers), a.Cut)
		}
		counts[indexOf(pick(a.Servers, client).Addr)]++
	}
	for i, n := range counts { // means are 133 to 533
		if want := queries * float64(1+i%4) / 750; float64(n) < want/2 || float64(n) > want*2 {
			t.Errorf("instance %d of weight %d was picked %d times, want about %.0f", i, 1+i%4, n, want)
		}
	}
}

// pick is the selection of RFC 2782 among servers of one priority.
func pick(servers []answer.Server, rnd *rand.Rand) answer.Server {
	sum := 0
	for _, s := range servers {
		sum += int(s.Weight)
	}
	at := rnd.IntN(sum + 1)
	for _, s := range servers {
		if at -= int(s.Weight); at <= 0 {
			return s
		}
	}
	return servers[len(servers)-1]
}

func TestAnswersAreDistinct(t *testing.T) {
	var r answer.Resolver
	rnd := random(1)
	for _, n := range []int{1, 7, 8, 9, 16, 17, 1000} {
		weights := repeat(n, 1)
		weights[0] = 10000 // what is drawn first leaves a small rest
		if n > 1 {
			weights[1] = 1e-300
		}
		snap := weighted(weights)
		for _, limit := range []int{0, 1, 8, 32, 33} {
			want := n
			if limit > 0 {
				want = min(n, limit)
			}
			for range 50 {
				got := r.Resolve(snap, answer.Question{Name: "x.svc", Type: answer.A, Max: limit}, rnd).Addrs
				slices.SortFunc(got, netip.Addr.Compare)
				if distinct := len(slices.Compact(got)); distinct != want {
					t.Fatalf("%d of %d instances: %d distinct addresses, want %d", limit, n, distinct, want)
				}
			}
		}
	}
}

func TestLargeServiceFollowsItsChanges(t *testing.T) {
	var r answer.Resolver
	before := weighted(repeat(100, 1))
	gone := registry.InstanceKey{Service: before.Services()[0].Key, Endpoint: registry.Endpoint{Host: addrOf(7).String(), Port: 80}}
	after := before.Apply(2, []registry.Change{{Key: (&registry.Registration{Key: gone}).RecordKey(), Revision: 2}})
	for _, tt := range []struct {
		snap *registry.Snapshot
		want int
	}{{before, 100}, {after, 99}, {before, 100}} {
		got := r.Resolve(tt.snap, answer.Question{Name: "x.svc", Type: answer.A}, random(1))
		if len(got.Addrs) != tt.want {
			t.Errorf("revision %d has %d addresses, want %d", tt.snap.Revision(), len(got.Addrs), tt.want)
		}
	}
}

func TestResolverKeepsNoServiceAlive(t *testing.T) {
	var r answer.Resolver
	freed := make(chan struct{})
	func() {
		snap := weighted(repeat(100, 1))
		r.Resolve(snap, answer.Question{Name: "x.svc", Type: answer.A, Max: 8}, random(1))
		runtime.AddCleanup(snap.Services()[0], func(c chan struct{}) { close(c) }, freed)
	}()
	for range 100 {
		runtime.GC()
		select {
		case <-freed:
			return
		case <-t.Context().Done():
		default:
		}
	}
	t.Error("a service that nobody holds is still there after 100 collections")
}
