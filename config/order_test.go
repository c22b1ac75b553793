package config_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/musterhq/muster/config"
)

// Whatever has changed since somebody asked, a list is what a snapshot that was
// made at once lists.
func TestListsAfterChanges(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var s *config.Snapshot
	stands := map[config.Key]*config.Document{}
	for revision := int64(1); revision < 400; revision++ {
		n := random.IntN(4)
		if random.IntN(50) == 0 {
			n = 1200 // too many to go by what was sorted
		}
		var changes []config.Change
		for range n {
			k := config.Key{Namespace: fmt.Sprint(random.IntN(3)), Group: fmt.Sprint(random.IntN(2)), DataID: fmt.Sprint(random.IntN(300))}
			c := config.Change{Key: config.RecordKey{Kind: config.KindDocument, Key: k}, Revision: revision}
			if random.IntN(3) > 0 {
				d := &config.Document{Key: k, Revision: revision}
				c.Record, stands[k] = d, d
			} else {
				delete(stands, k)
			}
			changes = append(changes, c)
		}
		if s = s.Apply(revision, changes); random.IntN(3) > 0 {
			continue
		}
		want := make([]*config.Document, 0, len(stands))
		for _, d := range stands {
			want = append(want, d)
		}
		slices.SortFunc(want, func(a, b *config.Document) int { return a.Key.Compare(b.Key) })
		if got := s.Documents(); !slices.Equal(got, want) {
			t.Fatalf("at revision %d: %d documents, want %d, ordered", revision, len(got), len(want))
		}
	}
}
