package registry_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/registry"
)

// digestsOf computes from a list of keys what a snapshot that holds them says.
func digestsOf(standing []registry.Change) registry.Digests {
	var d registry.Digests
	for _, c := range standing {
		d = d.With(registry.RecordDigest(c.Key, c.Revision))
	}
	return d
}

func wantDigests(t *testing.T, when string, got, want registry.Digests) {
	t.Helper()
	if !got.Equal(want) || !want.Equal(got) || got.Sum() != want.Sum() {
		t.Fatalf("%s (-want +got):\n%s", when, cmp.Diff(maps.Collect(want.All()), maps.Collect(got.All())))
	}
}

// Servers of different versions compare their digests, so these numbers stand.
func TestRecordDigestIsPinned(t *testing.T) {
	for _, c := range []struct {
		name      string
		key       registry.Key
		revision  int64
		namespace string
		sum       uint64
	}{
		{"a namespace", registry.Key{Kind: registry.KindNamespace, Name: [4]string{"dev"}}, 2, "dev", 0x13394b643542eb6},
		{"a claim is of no namespace", registry.Key{Kind: registry.KindClaim, Name: [4]string{"order-api.svc"}}, 2, "", 0xfe1249651d99c9fd},
		{"a service", registry.Key{Kind: registry.KindService, Name: [4]string{"public", "DEFAULT_GROUP", "order-api"}}, 2, "public", 0xe7c97a33b53f3fba},
		{"the next revision of it", registry.Key{Kind: registry.KindService, Name: [4]string{"public", "DEFAULT_GROUP", "order-api"}}, 3, "public", 0xe07c923b6884c9b0},
		{"a registration", registry.Key{Kind: registry.KindRegistration, Name: [4]string{"public", "DEFAULT_GROUP", "é", "10.0.0.1:80"}}, 1<<40 + 7, "public", 0xa7eaed637657106d},
		{"an override of it", registry.Key{Kind: registry.KindOverride, Name: [4]string{"public", "DEFAULT_GROUP", "é", "10.0.0.1:80"}}, 1<<40 + 7, "public", 0x8dac51002817628e},
		{"a tombstone of it", registry.Key{Kind: registry.KindTombstone, Name: [4]string{"public", "DEFAULT_GROUP", "é", "10.0.0.1:80"}}, 1<<40 + 7, "public", 0x35fd6fcf3068cf39},
		{"a verdict is of no namespace", registry.Key{Kind: registry.KindVerdict, Name: [4]string{"agent/a", "15000-30000"}}, 9, "", 0xd34a3dcb1eeb815a},
		{"an agent is of no namespace", registry.Key{Kind: registry.KindAgent, Name: [4]string{"a"}}, 9, "", 0x801774b3340bb6e0},
	} {
		namespace, sum := registry.RecordDigest(c.key, c.revision)
		if namespace != c.namespace || sum != c.sum {
			t.Errorf("%s: RecordDigest(%v, %d) = %q, %#x, want %q, %#x", c.name, c.key, c.revision, namespace, sum, c.namespace, c.sum)
		}
	}
}

// Digests kept from change to change are those of what stands, and a server that
// missed one change, whichever, has others.
func TestDigestsAreOfWhatStands(t *testing.T) {
	for seed := range uint64(20) {
		changes := history(rand.New(rand.NewPCG(11, seed)), 80)
		var s *registry.Snapshot
		for i, c := range changes {
			s = s.Apply(c.Revision, []registry.Change{c})
			wantDigests(t, fmt.Sprintf("seed %d after %v", seed, c), s.Digests(), digestsOf(last(changes[:i+1])))
		}
		for i, c := range changes {
			without := slices.Delete(slices.Clone(changes), i, i+1)
			lacks := (*registry.Snapshot)(nil).Apply(80, without).Digests()
			same := cmp.Equal(revisions(without), revisions(changes)) // it came to nothing, or was replaced
			if s.Digests().Equal(lacks) != same {
				t.Fatalf("seed %d: Equal without %v = %v, want %v", seed, c, !same, same)
			}
		}
	}
}

func revisions(changes []registry.Change) map[registry.Key]int64 {
	all := map[registry.Key]int64{}
	for _, c := range last(changes) {
		all[c.Key] = c.Revision
	}
	return all
}

func TestUnreadableRecordIsCountedAndNotSeen(t *testing.T) {
	k := endpoint("order-api", "10.0.0.1", 80)
	reg := registration(k)
	key := reg.RecordKey()
	readable := registry.Change{Key: key, Record: &reg, Revision: 2}
	var s *registry.Snapshot
	s = s.Apply(2, []registry.Change{readable})
	seen := s.Digests()

	s = s.Apply(3, []registry.Change{{Key: key, Unreadable: true, Revision: 3}})
	if s.Instance(k) != nil {
		t.Error("an instance that cannot be read is shown")
	}
	wantDigests(t, "unreadable at 3", s.Digests(), registry.Digests{}.With(registry.RecordDigest(key, 3)))

	if back := s.Apply(4, []registry.Change{readable}); back.Instance(k) == nil || !back.Digests().Equal(seen) {
		t.Error("a readable put does not replace the unreadable record")
	}
	if gone := s.Apply(4, []registry.Change{{Key: key, Revision: 4}}); !gone.Digests().Equal(registry.Digests{}) {
		t.Errorf("Digests() after a delete = %v, want none", maps.Collect(gone.Digests().All()))
	}
}

// A write that takes an unreadable record for absent could never be committed.
func TestWriteOverAnUnreadableRecordFailsAtOnce(t *testing.T) {
	s := newSetting(t)
	k := endpoint("order-api", "10.0.0.1", 80)
	reg := registration(k)
	s.store.View().Publish(s.Snapshot().Apply(2, []registry.Change{{Key: reg.RecordKey(), Unreadable: true, Revision: 2}}))
	_, err := s.Register(t.Context(), reg)
	if !errors.Is(err, registry.ErrUnavailable) || !strings.Contains(err.Error(), "10.0.0.1:80") {
		t.Errorf("Register over a record that cannot be read = %v, want ErrUnavailable and its name", err)
	}
	if n := s.store.Commits(); n != 0 {
		t.Errorf("%d commits, want none", n)
	}
}

// A key that spells an endpoint otherwise is another key: neither what lies there
// nor its deletion may touch the instance.
func TestOddSpellingLeavesTheInstanceAlone(t *testing.T) {
	k := endpoint("order-api", "10.0.0.1", 80)
	reg := registration(k)
	odd := reg.RecordKey()
	odd.Name[3] = "10.0.0.1:080"
	s := (*registry.Snapshot)(nil).Apply(2, []registry.Change{{Key: reg.RecordKey(), Record: &reg, Revision: 2}})
	before := s.Digests()
	for _, c := range []registry.Change{{Key: odd, Unreadable: true, Revision: 3}, {Key: odd, Revision: 4}} {
		if s = s.Apply(c.Revision, []registry.Change{c}); s.Instance(k) == nil {
			t.Fatalf("Instance(%s) = nil after %v of another key", k, c)
		}
	}
	wantDigests(t, "after it came and went", s.Digests(), before)
}

// FuzzDigests takes bytes as a sequence of puts, unreadable puts and deletes of a
// few records, and compares with a list.
func FuzzDigests(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5})
	f.Add([]byte{0, 0, 1, 16, 16, 17, 255, 254, 253})
	f.Fuzz(func(t *testing.T, script []byte) {
		var s *registry.Snapshot
		var changes []registry.Change
		for i, b := range script[:min(len(script), 200)] {
			seed := binary.LittleEndian.AppendUint64(nil, uint64(b>>2))
			rec := record(rand.New(rand.NewChaCha8([32]byte(append(seed, make([]byte, 24)...)))), int64(i))
			c := registry.Change{Key: rec.RecordKey(), Record: rec, Revision: int64(i + 1)}
			if b&3 > 1 {
				c.Record, c.Unreadable = nil, b&3 == 3
			}
			changes = append(changes, c)
			s = s.Apply(c.Revision, changes[i:])
		}
		if s != nil {
			wantDigests(t, fmt.Sprint("after ", changes), s.Digests(), digestsOf(last(changes)))
		}
	})
}

// BenchmarkApply measures one changed instance of 10,000 services in 100
// namespaces with ten instances each.
func BenchmarkApply(b *testing.B) {
	var changes []registry.Change
	for n := range 100_000 {
		r := registration(registry.InstanceKey{
			Service:  registry.ServiceKey{Namespace: fmt.Sprint("team-", n%100), Group: registry.DefaultGroup, Name: fmt.Sprint("order-api-", n/10)},
			Endpoint: registry.Endpoint{Host: fmt.Sprintf("10.%d.%d.%d", n>>16, n>>8&255, n&255), Port: 80},
		})
		changes = append(changes, registry.Change{Key: r.RecordKey(), Record: &r, Revision: int64(n + 1)})
	}
	b.Run("one", func(b *testing.B) {
		s := (*registry.Snapshot)(nil).Apply(100_000, changes)
		for i := 0; b.Loop(); i++ {
			c := changes[i*7919%len(changes)]
			c.Revision = s.Revision() + 1
			s = s.Apply(c.Revision, []registry.Change{c})
		}
	})
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			(*registry.Snapshot)(nil).Apply(100_000, changes)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(changes)), "ns/change")
	})
}
