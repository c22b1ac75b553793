package config_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/musterhq/muster/config"
)

func TestDiffFindsWhatChanged(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(4, seed))
		snapshots := []*config.Snapshot{nil}
		for revision := range int64(20) {
			var batch []config.Change
			for range r.IntN(4) {
				batch = append(batch, randomChange(r, revision+1))
			}
			snapshots = append(snapshots, snapshots[revision].Apply(revision+1, batch))
		}
		was, is := snapshots[r.IntN(len(snapshots))], snapshots[r.IntN(len(snapshots))]
		want := make(map[config.Key]bool)
		for i := range 8 {
			k := key(fmt.Sprint(i))
			if was, is := answers(was, k), answers(is, k); !slices.Equal(was, is) {
				want[k] = true
			}
		}
		got := make(map[config.Key]bool)
		for k := range config.Diff(was, is) {
			if got[k] {
				t.Fatalf("Diff yields %s twice", k)
			}
			got[k] = true
		}
		if !maps.Equal(got, want) {
			t.Fatalf("Diff yields %v, want %v", got, want)
		}
		for k := range config.Diff(was, is) { // ends when asked
			if !want[k] {
				t.Fatalf("Diff yields %s", k)
			}
			break
		}
	}
}

// randomChange changes a document, a release of it, or what no client is answered.
func randomChange(r *rand.Rand, revision int64) config.Change {
	k := config.RecordKey{Key: key(fmt.Sprint(r.IntN(8)))}
	c := config.Change{Revision: revision}
	gone := r.IntN(3) == 0
	doc := config.Document{Key: k.Key, Revision: revision}
	switch r.IntN(3) {
	case 0:
		k.Kind = config.KindSequence
		c.Record = config.Sequence{Key: k.Key, Last: revision}
	case 1:
		k.Kind = config.KindDocument
		c.Record = &doc
	case 2:
		k.Kind, k.Name = config.KindRelease, fmt.Sprint(r.IntN(2))
		c.Record = &config.Release{Name: k.Name, Document: doc}
	}
	if c.Key = k; gone {
		c.Record = nil
	}
	return c
}

// answers returns what clients are answered of a document.
func answers(s *config.Snapshot, k config.Key) (all []*config.Document) {
	if s == nil {
		return nil
	}
	if head := s.Head(k); head != nil {
		all = append(all, head)
	}
	for _, r := range s.Releases(k) {
		all = append(all, &r.Document)
	}
	return all
}
