package config_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/config/configtest"
)

// Servers of different versions compare their digests, so these numbers stand.
func TestRecordDigestIsPinned(t *testing.T) {
	k := config.Key{Namespace: "public", Group: "DEFAULT_GROUP", DataID: "app.properties"}
	accent := config.Key{Namespace: "public", Group: "DEFAULT_GROUP", DataID: "é"}
	for _, c := range []struct {
		name     string
		key      config.Key
		kind     config.Kind
		revision int64
		sum      uint64
	}{
		{"a head", k, config.KindDocument, 2, 0xae6a376de7df6fad},
		{"its sequence", k, config.KindSequence, 2, 0x8e989ee075a4318c},
		{"a name beyond ASCII, a large revision", accent, config.KindDocument, 1<<40 + 7, 0x13a2adcc63560b4b},
	} {
		namespace, sum := config.RecordDigest(config.RecordKey{Kind: c.kind, Key: c.key}, c.revision)
		if namespace != "public" || sum != c.sum {
			t.Errorf("%s: RecordDigest(%s, %s, %d) = %q, %#x, want %q, %#x",
				c.name, c.key, c.kind, c.revision, namespace, sum, "public", c.sum)
		}
	}
}

// change makes up a put, an unreadable put or a delete of one of few records, of
// all kinds.
func change(kind int, revision int64) config.Change {
	k := key(string(rune('a' + kind>>3&1)))
	if kind&64 != 0 {
		k.Namespace = "dev"
	}
	rec := []config.Record{
		&config.Document{Key: k, Revision: revision}, config.Sequence{Key: k, Last: revision},
		&config.Release{Name: "r", Document: config.Document{Key: k, Revision: revision}}, &config.Part{Key: k, DatumID: "p", Revision: revision},
		&config.Policy{Namespace: k.Namespace, Revision: revision}, &config.Policy{Namespace: k.Namespace, Group: k.Group, Revision: revision},
		config.Tally{Namespace: k.Namespace}, &config.Part{Key: k, DatumID: "q", Revision: revision},
	}[kind&7]
	c := config.Change{Key: rec.RecordKey(), Revision: revision}
	switch kind >> 4 & 3 {
	case 0: // deleted
	case 1:
		c.Unreadable = true
	default:
		c.Record = rec
	}
	return c
}

// standing returns the revisions of what stands after changes.
func standing(changes []config.Change) map[config.RecordKey]int64 {
	all := map[config.RecordKey]int64{}
	for _, c := range changes {
		if c.Record == nil && !c.Unreadable {
			delete(all, c.Key)
		} else {
			all[c.Key] = c.Revision
		}
	}
	return all
}

// wantDigests compares with what a list of the records comes to.
func wantDigests(t *testing.T, when string, got config.Digests, records map[config.RecordKey]int64) {
	t.Helper()
	var want config.Digests
	for k, revision := range records {
		want = want.With(config.RecordDigest(k, revision))
	}
	if !got.Equal(want) || !want.Equal(got) || got.Sum() != want.Sum() {
		t.Fatalf("%s (-want +got):\n%s", when, cmp.Diff(maps.Collect(want.All()), maps.Collect(got.All())))
	}
}

// FuzzDigests compares digests kept from change to change with those of a list,
// and with those of a server that missed one change.
func FuzzDigests(f *testing.F) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(4, seed))
		script := make([]byte, 60)
		for i := range script {
			script[i] = byte(r.Uint32())
		}
		f.Add(script)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		var s *config.Snapshot
		var changes []config.Change
		for i, b := range script[:min(len(script), 200)] {
			c := change(int(b), int64(i+1))
			changes = append(changes, c)
			s = s.Apply(c.Revision, changes[i:])
			wantDigests(t, fmt.Sprint("after ", changes), s.Digests(), standing(changes))
			if head := s.Head(c.Key.Key); c.Key.Kind == config.KindDocument && (head != nil) != (c.Record != nil) {
				t.Fatalf("Head(%s) = %v after %v", c.Key.Key, head, c)
			}
			if last := s.Sequence(c.Key.Key).Last; c.Key.Kind == config.KindSequence && (last != 0) != (c.Record != nil) {
				t.Fatalf("Sequence(%s) = %d after %v", c.Key.Key, last, c)
			}
		}
		for i, c := range changes {
			without := append(changes[:i:i], changes[i+1:]...)
			missed := (*config.Snapshot)(nil).Apply(200, without)
			same := maps.Equal(standing(without), standing(changes)) // it came to nothing, or was replaced
			if s.Digests().Equal(missed.Digests()) != same {
				t.Fatalf("Equal without %v = %v, want %v", c, !same, same)
			}
		}
	})
}

func TestDeletedSequenceLeavesNothing(t *testing.T) {
	s := (*config.Snapshot)(nil).Apply(2, []config.Change{put(config.Sequence{Key: key("a"), Last: 1}, 2)})
	s = s.Apply(3, []config.Change{{Key: config.RecordKey{Kind: config.KindSequence, Key: key("a")}, Revision: 3}})
	if got := s.Sequence(key("a")); got != (config.Sequence{Key: key("a")}) {
		t.Errorf("Sequence after its deletion = %v, want none: the next write must expect none", got)
	}
	wantDigests(t, "after its deletion", s.Digests(), nil)
}

// A write that takes an unreadable head or sequence for absent could never be
// committed.
func TestWriteOverAnUnreadableRecordFailsAtOnce(t *testing.T) {
	for _, kind := range []config.Kind{config.KindDocument, config.KindSequence} {
		store := configtest.NewStore()
		store.View().Publish(store.View().Snapshot().Apply(2, []config.Change{{Key: config.RecordKey{Kind: kind, Key: key("a")}, Unreadable: true, Revision: 2}}))
		_, _, err := config.New(store, config.Config{}).Publish(t.Context(), config.Draft{Key: key("a"), Content: []byte("x")})
		if !errors.Is(err, config.ErrUnavailable) || !strings.Contains(err.Error(), key("a").String()) {
			t.Errorf("Publish over what cannot be read (%s) = %v, want ErrUnavailable and its name", kind, err)
		}
	}
}
