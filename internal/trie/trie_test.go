package trie_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/internal/trie"
)

// hashes are the qualities of hash that every property is tested with: the last
// two lead to lists of keys whose whole hash is equal.
var hashes = []struct {
	name string
	bits uint64
}{
	{"good hash", ^uint64(0)},
	{"hash that differs at the top alone", 0xf << 60},
	{"hash that differs at the bottom alone", 0x3ff},
	{"hash of two bits, far apart", 1<<63 | 1},
	{"one hash for all", 0},
}

// trial is one round of a property, with its own random source.
type trial struct {
	*testing.T

	r *rand.Rand
}

func each(t *testing.T, test func(t trial)) {
	t.Helper()
	for _, h := range hashes {
		t.Run(h.name, func(t *testing.T) {
			trie.WeakHash(t, h.bits)
			for round := range uint64(6) {
				test(trial{t, rand.New(rand.NewPCG(1, round))})
			}
		})
	}
}

// change makes n random changes to a map and to its model alike.
func change(r *rand.Rand, m trie.Map[string, int], model map[string]int, n int) trie.Map[string, int] {
	e := new(trie.Edit)
	for range n {
		key := fmt.Sprint(r.IntN(100))
		if r.IntN(3) == 0 {
			m = m.Without(e, key)
			delete(model, key)
		} else {
			value := r.IntN(5)
			m = m.With(e, key, value)
			model[key] = value
		}
	}
	return m
}

func compare(t *testing.T, what string, m trie.Map[string, int], model map[string]int) {
	t.Helper()
	if m.Len() != len(model) {
		t.Fatalf("%s: Len() = %d, want %d", what, m.Len(), len(model))
	}
	got := map[string]int{}
	for k, v := range m.All() {
		if _, twice := got[k]; twice {
			t.Fatalf("%s: All() yields %q twice", what, k)
		}
		got[k] = v
	}
	if diff := cmp.Diff(model, got); diff != "" {
		t.Fatalf("%s: All() (-want +got):\n%s", what, diff)
	}
	for i := range 100 {
		key := fmt.Sprint(i)
		value, ok := m.Get(key)
		if want, there := model[key]; value != want || ok != there {
			t.Fatalf("%s: Get(%q) = %d, %v, want %d, %v", what, key, value, ok, want, there)
		}
	}
}

func TestMapIsAMap(t *testing.T) {
	each(t, func(t trial) {
		var m trie.Map[string, int]
		model := map[string]int{}
		for range 20 {
			m = change(t.r, m, model, t.r.IntN(30))
			compare(t.T, "after a batch", m, model)
		}
	})
}

// Every map made on the way keeps showing what it showed.
func TestSnapshotsStayAsTheyWere(t *testing.T) {
	each(t, func(t trial) {
		type version struct {
			m     trie.Map[string, int]
			model map[string]int
		}
		versions := []version{{trie.Map[string, int]{}, map[string]int{}}}
		for range 15 {
			from := versions[t.r.IntN(len(versions))] // an older one too: versions branch
			model := maps.Clone(from.model)
			versions = append(versions, version{change(t.r, from.m, model, t.r.IntN(20)), model})
		}
		for i, v := range versions {
			compare(t.T, fmt.Sprint("version ", i), v.m, v.model)
		}
	})
}

func TestDiffFindsEveryChange(t *testing.T) {
	each(t, func(t trial) {
		model := map[string]int{}
		was := change(t.r, trie.Map[string, int]{}, model, 150)
		before := maps.Clone(model)
		is := change(t.r, was, model, t.r.IntN(40))
		checkDiff(t.T, was, is, before, model)
		checkDiff(t.T, is, was, model, before)

		other := map[string]int{} // shares nothing with the first
		checkDiff(t.T, was, change(t.r, trie.Map[string, int]{}, other, 150), before, other)
		checkDiff(t.T, trie.Map[string, int]{}, was, nil, before)
		checkDiff(t.T, was, trie.Map[string, int]{}, before, nil)
	})
}

func checkDiff(t *testing.T, was, is trie.Map[string, int], before, after map[string]int) {
	t.Helper()
	reported := map[string]bool{}
	trie.Diff(was, is, func(key string, a, b int) {
		if a != before[key] || b != after[key] {
			t.Fatalf("Diff says that %q was %d and is %d, want %d and %d", key, a, b, before[key], after[key])
		}
		if reported[key] {
			t.Fatalf("Diff reports %q twice", key)
		}
		reported[key] = true
		if _, a := before[key]; !a {
			if _, b := after[key]; !b {
				t.Fatalf("Diff reports %q, which is in neither map", key)
			}
		}
	})
	for i := range 100 {
		key := fmt.Sprint(i)
		a, inA := before[key]
		b, inB := after[key]
		if (a != b || inA != inB) && !reported[key] {
			t.Fatalf("Diff does not report %q, which changed from %d, %v to %d, %v", key, a, inA, b, inB)
		}
	}
}

func TestDiffCostsWhatChanged(t *testing.T) {
	var m trie.Map[int, int]
	e := new(trie.Edit)
	for i := range 100_000 {
		m = m.With(e, i, i)
	}
	reported := 0
	trie.Diff(m, m.With(new(trie.Edit), 7, 8).Without(new(trie.Edit), 9), func(int, int, int) { reported++ })
	if reported > 2*32 { // the neighbours in two leaves
		t.Errorf("Diff of two changes in 100,000 reports %d keys", reported)
	}
	trie.Diff(m, m, func(key, _, _ int) { t.Errorf("Diff of a map and itself reports %d", key) })
}

func TestAllStopsWhenAsked(t *testing.T) {
	each(t, func(t trial) {
		m := change(t.r, trie.Map[string, int]{}, map[string]int{}, 100)
		seen := 0
		for range m.All() {
			if seen++; seen == 3 {
				break
			}
		}
		if seen != 3 {
			t.Errorf("loop of three over %d entries saw %d", m.Len(), seen)
		}
	})
}

func BenchmarkGet(b *testing.B) {
	var m trie.Map[int, int]
	e := new(trie.Edit)
	for i := range 100_000 {
		m = m.With(e, i, i)
	}
	i := 0
	for b.Loop() {
		if _, ok := m.Get(i % 100_000); !ok {
			b.Fatal("key is missing")
		}
		i += 7919
	}
}

func BenchmarkWith(b *testing.B) {
	var m trie.Map[int, int]
	e := new(trie.Edit)
	for i := range 100_000 {
		m = m.With(e, i, i)
	}
	i := 0
	for b.Loop() {
		m.With(new(trie.Edit), i%100_000, i)
		i += 7919
	}
}
