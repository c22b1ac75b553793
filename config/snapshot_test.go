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

func TestDocumentsAreOrdered(t *testing.T) {
	want := []config.Key{
		{Namespace: "a", Group: "a", DataID: "b"}, {Namespace: "a", Group: "b", DataID: "a"}, {Namespace: "a", Group: "b", DataID: "b"},
		{Namespace: "b", Group: "a", DataID: "a"},
	}
	var changes []config.Change
	for i, k := range slices.Backward(want) {
		changes = append(changes, config.Change{Key: k, IsHead: true, Head: &config.Document{Key: k, MD5: fmt.Sprint(i)}, Revision: 2})
	}
	s := (*config.Snapshot)(nil).Apply(2, changes)
	var got []config.Key
	for _, d := range s.Documents() {
		got = append(got, d.Key)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Documents() (-want +got):\n%s", diff)
	}
	if s.Len() != 4 || s.MD5(want[2]) != "2" || s.MD5(config.Key{}) != "" {
		t.Errorf("Len() = %d, MD5 = %q and %q of an unknown one", s.Len(), s.MD5(want[2]), s.MD5(config.Key{}))
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
			if got := s.Sequence(k); got != want.seqs[k] {
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
				c := config.Change{Key: keys[r.IntN(len(keys))], Revision: revision}
				switch r.IntN(3) {
				case 0:
					c.Last = revision
					now.seqs[c.Key] = config.Sequence{Last: revision, Revision: revision}
				case 1:
					c.IsHead = true
					delete(now.heads, c.Key)
				case 2:
					c.IsHead, c.Head = true, &config.Document{Key: c.Key, Revision: revision}
					now.heads[c.Key] = c.Head
				}
				batch = append(batch, c)
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
