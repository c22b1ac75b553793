package config_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/config"
)

// put is the change that a record's put comes to.
func put(rec config.Record, revision int64) config.Change {
	return config.Change{Key: rec.RecordKey(), Record: rec, Revision: revision}
}

func TestDocumentsAreOrdered(t *testing.T) {
	want := []config.Key{
		{Namespace: "a", Group: "a", DataID: "b"}, {Namespace: "a", Group: "b", DataID: "a"}, {Namespace: "a", Group: "b", DataID: "b"},
		{Namespace: "b", Group: "a", DataID: "a"},
	}
	var changes []config.Change
	for i, k := range slices.Backward(want) {
		changes = append(changes, put(&config.Document{Key: k, MD5: fmt.Sprint(i)}, 2))
	}
	s := (*config.Snapshot)(nil).Apply(2, changes)
	var got []config.Key
	for _, d := range s.Documents() {
		got = append(got, d.Key)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Documents() (-want +got):\n%s", diff)
	}
	if s.Len() != 4 || s.MD5(want[2], config.Client{}) != "2" || s.MD5(config.Key{}, config.Client{}) != "" {
		t.Errorf("Len() = %d, MD5 = %q and %q of an unknown one", s.Len(), s.MD5(want[2], config.Client{}), s.MD5(config.Key{}, config.Client{}))
	}
}

// However changes are cut into batches, the snapshot is what they come to, and
// none on the way is changed by what came after.
func TestApply(t *testing.T) {
	type state struct {
		heads map[config.Key]*config.Document
		seqs  map[config.Key]config.Sequence
	}
	keys := []config.Key{key("a"), key("b"), key("c"), key("d")}
	check := func(s *config.Snapshot, want state, when string) {
		t.Helper()
		for _, k := range keys {
			if got := s.Head(k); got != want.heads[k] {
				t.Fatalf("%s: Head(%s) = %v, want %v", when, k, got, want.heads[k])
			}
			if got := s.Sequence(k); got.Last != want.seqs[k].Last || got.Revision != want.seqs[k].Revision {
				t.Fatalf("%s: Sequence(%s) = %v, want %v", when, k, got, want.seqs[k])
			}
		}
		if s.Len() != len(want.heads) {
			t.Fatalf("%s: Len() = %d, want %d", when, s.Len(), len(want.heads))
		}
	}
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(3, seed))
		now := state{map[config.Key]*config.Document{}, map[config.Key]config.Sequence{}}
		var s, old *config.Snapshot
		var then state
		for revision := int64(2); revision < 60; {
			var batch []config.Change
			for range 1 + r.IntN(5) {
				k := keys[r.IntN(len(keys))]
				switch r.IntN(3) {
				case 0:
					now.seqs[k] = config.Sequence{Key: k, Last: revision, Revision: revision}
					batch = append(batch, put(now.seqs[k], revision))
				case 1:
					delete(now.heads, k)
					batch = append(batch, config.Change{Key: config.RecordKey{Kind: config.KindDocument, Key: k}, Revision: revision})
				case 2:
					now.heads[k] = &config.Document{Key: k, Revision: revision}
					batch = append(batch, put(now.heads[k], revision))
				}
				revision++
			}
			s = s.Apply(revision, batch)
			check(s, now, "after a batch")
			if old != nil {
				check(old, then, "an older one")
			}
			if r.IntN(5) == 0 {
				old, then = s, state{maps.Clone(now.heads), maps.Clone(now.seqs)}
			}
		}
	}
}

// The number of a group's names tells one set of documents from another, however
// it came about, and nothing else.
func TestNames(t *testing.T) {
	key := func(group string, i int) config.Key {
		return config.Key{Namespace: "public", Group: group, DataID: fmt.Sprint(i)}
	}
	numbers := map[uint64]string{0: "[]"}
	var s *config.Snapshot
	s = s.Apply(1, nil)
	there := map[int]bool{}
	for revision := int64(2); revision < 500; revision++ {
		i := rand.IntN(6)
		k := key("g", i)
		c := put(&config.Document{Key: k, MD5: fmt.Sprint(revision), Revision: revision}, revision)
		if rand.IntN(2) == 0 {
			c.Record = nil
			delete(there, i)
		} else {
			there[i] = true
		}
		s = s.Apply(revision, []config.Change{c, put(&config.Document{Key: key("h", int(revision)), Revision: revision}, revision)})
		want := fmt.Sprint(slices.Sorted(maps.Keys(there)))
		var got []int
		for _, d := range s.InGroup("public", "g") {
			var n int
			_, _ = fmt.Sscan(d.Key.DataID, &n)
			got = append(got, n)
		}
		if fmt.Sprint(got) != want {
			t.Fatalf("InGroup = %v, want %s", got, want)
		}
		if before, ok := numbers[s.Names("public", "g")]; ok && before != want {
			t.Fatalf("Names of %s and of %s are the same", before, want)
		}
		numbers[s.Names("public", "g")] = want
	}
	if len(numbers) > 64 {
		t.Errorf("%d numbers for 64 sets", len(numbers))
	}
}
