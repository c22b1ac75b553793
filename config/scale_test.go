package config_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/musterhq/muster/config"
)

// many are documents of ten namespaces, each with its sequence, as a store
// decodes them.
func many(t testing.TB, from, to int) []config.Change {
	t.Helper()
	now := time.Now().UTC()
	changes := make([]config.Change, 0, 2*(to-from))
	for i := from; i < to; i++ {
		k := config.Key{Namespace: fmt.Sprint("team-", i%10), Group: "DEFAULT_GROUP", DataID: fmt.Sprintf("service-%06d.properties", i)}
		d := &config.Document{Key: k, Seq: 1, Type: "properties", App: "order-api", Size: 100, Created: now, Modified: now,
			User: "nacos", IP: "192.0.2.1"}
		d.MD5, d.Digest = config.Sum([]byte(k.DataID))
		for _, rec := range []config.Record{d, config.Sequence{Key: k, Last: 1}} {
			value, err := json.Marshal(rec)
			if err != nil {
				t.Fatal(err)
			}
			// names of its own for each record, as they come out of keys
			key := rec.RecordKey()
			key.Key = config.Key{Namespace: fmt.Sprint("team-", i%10), Group: string([]byte(k.Group)), DataID: string([]byte(k.DataID))}
			stored, err := config.Decode(key, value, int64(i+2))
			if err != nil {
				t.Fatal(err)
			}
			changes = append(changes, config.Change{Key: key, Record: stored, Revision: int64(i + 2)})
		}
	}
	return changes
}

const large = 100000

// BenchmarkMemory reports what a document takes in a snapshot.
func BenchmarkMemory(b *testing.B) {
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		var s *config.Snapshot
		for i := 0; i < large; i += 5000 { // as a list reads it
			s = s.Apply(int64(i+1), many(b, i, i+5000))
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(s.Len()), "B/document")
		runtime.KeepAlive(s)
	}
}

// BenchmarkListAfterChange is the first list after a publish, of one namespace.
func BenchmarkListAfterChange(b *testing.B) {
	all := many(b, 0, large)
	s := (*config.Snapshot)(nil).Apply(1, all)
	s.Documents()
	n := 0
	for b.Loop() {
		n++
		s = s.Apply(int64(large+n), all[n%large*2:n%large*2+1])
		if got := len(s.In("team-3")); got != large/10 {
			b.Fatalf("%d documents, want %d", got, large/10)
		}
	}
}
