package answer_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/musterhq/muster/answer"
	"github.com/musterhq/muster/registry"
)

// spread is a service with n instances in each of three zones, two of one region.
func spread(topology string, n int) *registry.Snapshot {
	k := registry.ServiceKey{Namespace: "public", Group: "DEFAULT_GROUP", Name: "x"}
	var r roll
	r.put(&registry.ServiceRecord{Key: k, DNS: registry.DNSOptions{Topology: topology}})
	r.put(&registry.Claim{Folded: "x.svc", Service: k})
	for zone, place := range [][]string{{"zone", "a", "region", "eu"}, {"zone", "b", "region", "eu"}, {"zone", "c", "region", "us"}} {
		for i := range n {
			r.instance(k, fmt.Sprintf("10.0.%d.%d", zone, i), 80, float64(i+1), meta(place...))
		}
	}
	return r.snapshot()
}

func TestTopology(t *testing.T) {
	inA := answer.Place{Zone: "a", Region: "eu"}
	tests := []struct {
		about    string
		topology string
		from     answer.Place
		n, max   int
		zones    []byte // of the addresses in order, as often as they come
		tiers    []uint16
	}{
		{"nobody asked for it", "", inA, 1, 0, nil, []uint16{0, 0, 0}},
		{"nobody knows where it comes from", "prefer", answer.Place{}, 1, 0, nil, []uint16{0, 0, 0}},
		{"prefer", "prefer", inA, 1, 0, []byte{0, 1, 2}, []uint16{0, 1, 2}},
		{"prefer, of a large service", "prefer", inA, 20, 50, slices.Concat(slices.Repeat([]byte{0}, 20), slices.Repeat([]byte{1}, 20), slices.Repeat([]byte{2}, 10)),
			slices.Concat(slices.Repeat([]uint16{0}, 20), slices.Repeat([]uint16{1}, 20), slices.Repeat([]uint16{2}, 10))},
		{"prefer, as many as fit", "prefer", inA, 2, 3, []byte{0, 0, 1}, []uint16{0, 0, 1}},
		{"prefer, by the region alone", "prefer", answer.Place{Region: "us"}, 1, 1, []byte{2}, []uint16{1}},
		{"prefer, from where nothing is", "prefer", answer.Place{Zone: "z", Region: "asia"}, 1, 0, nil, []uint16{2, 2, 2}},
		{"pin", "pin", inA, 2, 0, []byte{0, 0}, []uint16{0, 0}},
	}
	for _, tt := range tests {
		t.Run(tt.about, func(t *testing.T) {
			var r answer.Resolver
			snap := spread(tt.topology, tt.n)
			a := r.Resolve(snap, answer.Question{Name: "x.svc", Type: answer.A, Max: tt.max, From: tt.from}, random(1))
			var zones []byte
			for _, addr := range a.Addrs {
				zones = append(zones, addr.As4()[2])
			}
			if tt.zones != nil && !slices.Equal(zones, tt.zones) {
				t.Errorf("A from zones %v, want %v", zones, tt.zones)
			}
			if want := tt.topology != ""; a.Placed != want {
				t.Errorf("placed = %v, want %v", a.Placed, want)
			}
			a = r.Resolve(snap, answer.Question{Name: "x.svc", Type: answer.SRV, Max: tt.max, From: tt.from}, random(1))
			var tiers []uint16
			for _, s := range a.Servers {
				tiers = append(tiers, s.Priority)
			}
			if !slices.Equal(tiers, tt.tiers) {
				t.Errorf("SRV of priorities %v, want %v", tiers, tt.tiers)
			}
			a = r.Resolve(snap, answer.Question{Name: "x.svc", Type: answer.A, From: tt.from, Mode: registry.ModeSampled}, random(1))
			if tt.zones != nil && slices.ContainsFunc(a.Addrs, func(addr netip.Addr) bool { return addr.As4()[2] != tt.zones[0] }) {
				t.Errorf("sampled %v, want the nearest zone alone", a.Addrs)
			}
		})
	}
}

func TestPinnedToAZoneWithoutAnyone(t *testing.T) {
	var r answer.Resolver
	for _, typ := range []answer.Type{answer.A, answer.SRV} {
		a := r.Resolve(spread("pin", 1), answer.Question{Name: "x.svc", Type: typ, From: answer.Place{Zone: "z"}}, random(1))
		if a.Status != answer.NoData || a.Reason != answer.Plain {
			t.Errorf("%v: %+v, want no data, though others are healthy", typ, a)
		}
	}
}

// An address has one zone for each of its ports, and is answered once all the same.
func TestAddressInTwoTiersIsAnsweredOnce(t *testing.T) {
	k := registry.ServiceKey{Namespace: "public", Group: "DEFAULT_GROUP", Name: "x"}
	var r roll
	r.put(&registry.ServiceRecord{Key: k, DNS: registry.DNSOptions{Topology: "prefer"}})
	r.put(&registry.Claim{Folded: "x.svc", Service: k})
	r.instance(k, "10.9.0.1", 80, 1, meta("zone", "a"))
	r.instance(k, "10.9.0.1", 81, 1, meta("zone", "b"))
	r.instance(k, "10.9.0.2", 80, 1, meta("zone", "b"))
	var resolver answer.Resolver
	for limit, want := range map[int]int{0: 2, 1: 1, 2: 2, 3: 2} {
		a := resolver.Resolve(r.snapshot(), answer.Question{Name: "x.svc", Type: answer.A, Max: limit, From: answer.Place{Zone: "a"}}, answer.Random)
		if len(a.Addrs) != want || a.Addrs[0] != netip.MustParseAddr("10.9.0.1") {
			t.Errorf("at most %d: %v, want %d with the near one first", limit, a.Addrs, want)
		}
	}
}

// Within a tier the weights hold, and the numbers of SRV do not depend on the tier.
func TestWeightsWithinATier(t *testing.T) {
	var r answer.Resolver
	weights := []float64{1, 2, 3}
	snap, rnd, counts := spread("prefer", 3), random(9), make([]int, 3)
	from := answer.Place{Zone: "b", Region: "eu"}
	for range queries {
		a := r.Resolve(snap, answer.Question{Name: "x.svc", Type: answer.A, Max: 8, From: from}, rnd)
		counts[a.Addrs[0].As4()[3]]++
	}
	wantShares(t, counts, weights)
	for _, s := range r.Resolve(snap, answer.Question{Name: "x.svc", Type: answer.SRV, From: from}, rnd).Servers {
		if want := uint16(s.Addr.As4()[3]+1) * 1000; s.Weight != want {
			t.Errorf("%s has weight %d, want %d", s.Addr, s.Weight, want)
		}
	}
}
