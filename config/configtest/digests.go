package configtest

import (
	"maps"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/config"
)

// testDigests checks that the digests follow heads and sequences.
func testDigests(s contract) {
	t := s.t
	none := s.View().Snapshot().Digests()
	check := func(when string, snap *config.Snapshot, k config.Key, head, seq int64) {
		t.Helper()
		want := none.With(config.RecordDigest(config.RecordKey{Kind: config.KindSequence, Key: k}, seq))
		if head != 0 {
			want = want.With(config.RecordDigest(config.RecordKey{Kind: config.KindDocument, Key: k}, head))
		}
		if got := snap.Digests(); !got.Equal(want) {
			t.Errorf("digests %s (-want +got):\n%s", when, cmp.Diff(maps.Collect(want.All()), maps.Collect(got.All())))
		}
	}
	w := first(key("digests"), []byte("1"))
	revision, snap := s.commit(t, w)
	check("after a publish", snap, w.Key, revision, revision)
	revision, snap = s.commit(t, next(snap, w.Key, []byte("2")))
	check("after another one", snap, w.Key, revision, revision)
	gone := next(snap, w.Key, nil)
	gone.Head, gone.Content, gone.History.Op = nil, nil, config.OpDelete
	revision, snap = s.commit(t, gone)
	check("after a delete", snap, w.Key, 0, revision)
}
