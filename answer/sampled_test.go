package answer_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/musterhq/muster/answer"
	"github.com/musterhq/muster/registry"
)

// Whether a client uses the first address or a resolver hands each one to the
// same part of its clients, both come by their weights.
func TestSampledGivesEachItsShare(t *testing.T) {
	for _, v := range vectors {
		for _, n := range []int{1, 8} { // the service is prepared when it is large
			t.Run(fmt.Sprintf("%s, %d times", v.about, n), func(t *testing.T) {
				t.Parallel()
				k := len(v.weights)
				weights := v.weights
				if n > 1 {
					weights = repeat(100/k+1, v.weights...)
				}
				firsts, anys := sampled(weighted(weights), k, 8, random(11))
				wantShares(t, firsts, v.weights)
				wantShares(t, anys, v.weights)
			})
		}
	}
}

// sampled counts, modulo k, the first address and one picked at random.
func sampled(snap *registry.Snapshot, k, limit int, rnd *rand.Rand) (firsts, anys []int) {
	var r answer.Resolver
	firsts, anys = make([]int, k), make([]int, k)
	for range queries {
		a := r.Resolve(snap, answer.Question{Name: "x.svc", Type: answer.A, Max: limit, Mode: registry.ModeSampled}, rnd)
		firsts[indexOf(a.Addrs[0])%k]++
		anys[indexOf(a.Addrs[rnd.IntN(len(a.Addrs))])%k]++
	}
	return firsts, anys
}

func TestHowManyAreSampled(t *testing.T) {
	tests := []struct {
		about   string
		weights []float64
		limit   int
		want    int
	}{
		{"one", []float64{2}, 8, 1},
		{"equal ones", repeat(5, 1), 8, 5},
		{"more than the limit", repeat(12, 1), 8, 8},
		{"without a limit", repeat(12, 1), 0, 12},
		{"as the heaviest allows", []float64{1, 2, 3, 4}, 8, 2},
		{"one outweighs all", []float64{100, 1, 1, 1}, 8, 1},
		{"a large service", repeat(100, 1), 8, 8},
		{"a large service with a heavy one", append(repeat(90, 1), 45), 8, 3},
		{"weights that are no whole binary fractions", repeat(10, 0.1), 0, 9},
	}
	for _, tt := range tests {
		snap := weighted(tt.weights)
		var r answer.Resolver
		for range 1000 {
			a := r.Resolve(snap, answer.Question{Name: "x.svc", Type: answer.A, Max: tt.limit, Mode: registry.ModeSampled}, answer.Random)
			seen := map[int]bool{}
			for _, addr := range a.Addrs {
				seen[indexOf(addr)] = true
			}
			if len(a.Addrs) != tt.want || len(seen) != len(a.Addrs) {
				t.Fatalf("%s: %v, want %d different ones", tt.about, a.Addrs, tt.want)
			}
		}
	}
}

func TestSingleGivesEachItsShare(t *testing.T) {
	for _, n := range []int{1, 30} {
		weights := []float64{1, 2, 3, 4}
		counts := make([]int, len(weights))
		var r answer.Resolver
		rnd, snap := random(3), weighted(repeat(n, weights...))
		for range queries {
			a := r.Resolve(snap, answer.Question{Name: "x.svc", Type: answer.A, Max: 8, Mode: registry.ModeSingle}, rnd)
			if len(a.Addrs) != 1 {
				t.Fatalf("%v, want one", a.Addrs)
			}
			counts[indexOf(a.Addrs[0])%len(weights)]++
		}
		wantShares(t, counts, weights)
	}
}

// Each endpoint is picked by the same part of the clients (RFC 9460, 2.4.1).
func TestEndpointsWithALPNHaveTheirShares(t *testing.T) {
	weights := []float64{1, 2, 3, 4}
	var r roll
	k := r.service("x", 0)
	for i, w := range weights {
		r.instance(k, addrOf(i).String(), 443, w, meta("alpn", "h2"))
		r.instance(k, addrOf(i).String(), 80, 10)
	}
	snap, rnd, counts := r.snapshot(), random(5), make([]int, len(weights))
	var resolver answer.Resolver
	for range queries {
		a := resolver.Resolve(snap, answer.Question{Name: "x.svc", Type: answer.SVCB, Max: 8}, rnd)
		s := a.Servers[rnd.IntN(len(a.Servers))]
		if s.Port != 443 || s.ALPN != "h2" || s.Priority != 0 {
			t.Fatalf("%+v, want one that says its ALPN", s)
		}
		counts[indexOf(s.Addr)]++
	}
	wantShares(t, counts, weights)
}

// The service's own mode is stronger than the one who asks.
func TestModeOfTheService(t *testing.T) {
	k := registry.ServiceKey{Namespace: "public", Group: "DEFAULT_GROUP", Name: "x"}
	r := roll{}
	r.put(&registry.ServiceRecord{Key: k, DNS: registry.DNSOptions{Mode: registry.ModeSingle}})
	r.put(&registry.Claim{Folded: "x.svc", Service: k})
	for i := range 3 {
		r.instance(k, addrOf(i).String(), 80, 1)
	}
	var resolver answer.Resolver
	a := resolver.Resolve(r.snapshot(), answer.Question{Name: "x.svc", Type: answer.A, Mode: registry.ModeSampled}, random(1))
	if len(a.Addrs) != 1 {
		t.Errorf("%v, want one", a.Addrs)
	}
}
