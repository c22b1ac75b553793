package configtest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/config"
)

func (s contract) write(t *testing.T, w config.Write) (int64, *config.Snapshot) {
	t.Helper()
	revision, err := s.Commit(t.Context(), w)
	if err != nil {
		t.Fatalf("Commit(%+v) = %v", w.Puts, err)
	}
	return revision, s.wait(t, revision)
}

// testKinds demands that gray releases, parts and policies come back as they were
// put, and go as they are deleted.
func testKinds(s contract) {
	t := s.t
	k := config.Key{Namespace: "kinds", Group: "g:1", DataID: "größe"}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	document := config.Document{Key: k, Seq: 1, Type: "text", MD5: "m", Digest: "d", Created: at, Modified: at}
	puts := []config.Record{
		&config.Release{Name: "tag_blue", Rule: config.Rule{IPs: []string{"10.0.0.1"}, Percent: 2.5, Labels: map[string]string{"a": "b"}}, Priority: 7, Document: document},
		&config.Part{Key: k, DatumID: "one:1", MD5: "m", Digest: "d", Size: 3, Modified: at, User: "u"},
		&config.Policy{Namespace: "kinds", Validate: config.ValidateRefuse, Hard: config.Quota{Count: 3}, HistoryDays: 2},
		&config.Policy{Namespace: "kinds", Group: "g:1", Soft: config.Quota{Total: 9}},
		config.Tally{Namespace: "kinds"},
	}
	revision, snap := s.write(t, config.Write{Puts: puts})
	release, part, policy, ofGroup := snap.Release(k, "tag_blue"), snap.Parts(k), snap.Policy("kinds", ""), snap.Policy("kinds", "g:1")
	if release == nil || len(part) != 1 {
		t.Fatalf("release %v and parts %v, want one of each", release, part)
	}
	for i, got := range []config.Record{release, part[0], policy, ofGroup} {
		want := puts[i]
		switch want := want.(type) {
		case *config.Release:
			want.Revision = revision
		case *config.Part:
			want.Revision = revision
		case *config.Policy:
			want.Revision = revision
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", want.RecordKey(), diff)
		}
	}
	var gone config.Write
	for _, rec := range puts {
		gone.Checks = append(gone.Checks, config.Check{Key: rec.RecordKey(), Revision: revision})
		gone.Deletes = append(gone.Deletes, rec.RecordKey())
	}
	_, snap = s.write(t, gone)
	if snap.Release(k, "tag_blue") != nil || len(snap.Parts(k)) != 0 || snap.Policy("kinds", "").Revision != 0 {
		t.Error("records stand after they were deleted")
	}
}

// testSeveral demands that what is written together is written at one revision,
// or not at all.
func testSeveral(s contract) {
	t := s.t
	var all config.Write
	var keys []config.Key
	for i := range 40 {
		w := first(key(fmt.Sprint("several-", i)), []byte(fmt.Sprint("content ", i))).made()
		all.Checks, all.Puts = append(all.Checks, w.Checks...), append(all.Puts, w.Puts...)
		all.Contents, all.History = append(all.Contents, w.Contents...), append(all.History, w.History...)
		keys = append(keys, key(fmt.Sprint("several-", i)))
	}
	revision, snap := s.write(t, all)
	for _, k := range keys {
		d := snap.Head(k)
		if d == nil || d.Revision != revision {
			t.Fatalf("%s is %+v, want revision %d", k, d, revision)
		}
		if _, err := s.Content(t.Context(), d.Digest); err != nil {
			t.Errorf("content of %s: %v", k, err)
		}
	}
	more := first(key("several-more"), []byte("more"))
	w := more.made()
	w.Checks = append(w.Checks, all.Checks[0]) // which is there by now
	if _, err := s.Commit(t.Context(), w); err == nil {
		t.Error("Commit with one check of many that fails = nil, want a *StaleError")
	}
	if s.View().Snapshot().Head(more.Key) != nil {
		t.Error("a part of a write was made")
	}
}

func testParts(s contract) {
	t := s.t
	var w config.Write
	for i := range 5 {
		w.Puts = append(w.Puts, &config.Part{Key: key("parts"), DatumID: fmt.Sprint(4 - i), Digest: "d"},
			&config.Part{Key: key("parts-other"), DatumID: fmt.Sprint(i), Digest: "d"})
	}
	_, snap := s.write(t, w)
	var ids []string
	for _, p := range snap.Parts(key("parts")) {
		ids = append(ids, p.DatumID)
	}
	if !slices.Equal(ids, []string{"0", "1", "2", "3", "4"}) {
		t.Errorf("parts = %v, want them by datum id", ids)
	}
	_, snap = s.write(t, config.Write{Deletes: []config.RecordKey{{Kind: config.KindPart, Key: key("parts")}}})
	if n, other := len(snap.Parts(key("parts"))), len(snap.Parts(key("parts-other"))); n != 0 || other != 5 {
		t.Errorf("%d parts after all were deleted, and %d of another document, want 0 and 5", n, other)
	}
}

func testHistory(s contract) {
	t := s.t
	k := key("history")
	revision, snap := s.commit(t, first(k, []byte("0")))
	revisions := []int64{revision}
	for i := range 4 {
		revision, snap = s.commit(t, next(snap, k, []byte(fmt.Sprint(i+1))))
		revisions = append(revisions, revision)
	}
	s.commit(t, first(key("history-"), []byte("a neighbour")))
	// What a restore that was not finished left behind.
	s.write(t, config.Write{History: []config.History{{Key: k, Seq: 6, Op: config.OpInsert}, {Key: key("history-none"), Seq: 1}}})
	for _, c := range []struct {
		name   string
		key    config.Key
		before int64
		limit  int
		want   []int64
		total  int
	}{
		{"all", k, 0, 10, []int64{5, 4, 3, 2, 1}, 5},
		{"the newest", k, 0, 2, []int64{5, 4}, 5},
		{"what is older", k, 4, 2, []int64{3, 2}, 5},
		{"from beyond the newest", k, 100, 1, []int64{5}, 5},
		{"before the first", k, 1, 10, nil, 5},
		{"none", key("history-none"), 0, 10, nil, 0},
	} {
		records, total, err := s.History(t.Context(), c.key, c.before, c.limit)
		var got []int64
		for _, h := range records {
			got = append(got, h.Seq)
			if h.Key != c.key || h.Head.Key != c.key || h.Revision != revisions[h.Seq-1] {
				t.Errorf("%s: record %+v, want of %s at revision %d", c.name, h, c.key, revisions[h.Seq-1])
			}
		}
		if err != nil || !slices.Equal(got, c.want) || total != c.total {
			t.Errorf("%s: History = %v of %d, %v, want %v of %d", c.name, got, total, err, c.want, c.total)
		}
	}
}

func testHolding(s contract) {
	t := s.t
	digests := map[string]bool{}
	var want string
	for i := range 50 {
		w := first(key(fmt.Sprint("holding-", i)), []byte(fmt.Sprintf("number <%d>", i)))
		s.commit(t, w)
		digests[w.Head.Digest] = true
		if i == 7 {
			want = w.Head.Digest
		}
	}
	for _, among := range []map[string]bool{digests, {want: true}} {
		got, err := s.Holding(t.Context(), among, "<7>")
		if diff := cmp.Diff(map[string]bool{want: true}, got); err != nil || diff != "" {
			t.Errorf("Holding among %d = %v, %v, want one", len(among), got, err)
		}
	}
}
