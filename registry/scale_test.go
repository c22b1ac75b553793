package registry_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/registry/registrytest"
)

var scale = flag.Int("services", 2000, "services of ten instances of the roll that is measured")

// page is how many records one Apply takes, as a list brings them.
const page = 5000

// large returns the snapshot of a large roll, made of records as a store reads them,
// each with memory of its own; and what it takes: bytes and objects.
func large(t testing.TB, services, instances int) (s *registry.Snapshot, octets, objects uint64) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var changes []registry.Change
	revision := int64(0)
	take := func() {
		s, changes = s.Apply(revision, changes), nil
	}
	for r := range registrytest.Records(services, instances) {
		revision++
		if changes = append(changes, stored(t, r, revision)); len(changes) == page {
			take()
		}
	}
	take()
	runtime.GC()
	runtime.ReadMemStats(&after)
	return s, after.HeapAlloc - before.HeapAlloc, after.HeapObjects - before.HeapObjects
}

// stored returns a record as it comes out of a store.
func stored(t testing.TB, r registry.Record, revision int64) registry.Change {
	t.Helper()
	value, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	key := r.RecordKey()
	for i, part := range key.Name {
		key.Name[i] = strings.Clone(part)
	}
	rec, err := registry.Decode(key, value)
	if err != nil {
		t.Fatal(err)
	}
	return registry.Change{Key: key, Record: rec, Revision: revision}
}

// There may be a million instances, in a server with no more than a few gigabytes.
func TestMemoryOfAnInstance(t *testing.T) {
	s, octets, objects := large(t, 4_000, 10)
	_, instances, _ := s.Counts()
	each, pieces := octets/uint64(instances), float64(objects)/float64(instances)
	t.Logf("%d octets and %.1f objects an instance", each, pieces)
	if each > 640 || pieces > 8 {
		t.Errorf("an instance takes %d octets in %.1f objects, want 640 in 8 at the most", each, pieces)
	}
	runtime.KeepAlive(s)
}

// A change of one instance costs what it touches, whatever the size of its service
// and of the roll.
func TestCostOfAChange(t *testing.T) {
	for _, size := range []struct {
		services, instances int
		most                uint64
	}{{4_000, 10, 16 << 10}, {1, 20_000, 32 << 10}} {
		s, _, _ := large(t, size.services, size.instances)
		changes := changesOf(t, s, 200)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for _, c := range changes {
			s = s.Apply(c.Revision, []registry.Change{c})
		}
		runtime.ReadMemStats(&after)
		each := (after.TotalAlloc - before.TotalAlloc) / uint64(len(changes))
		t.Logf("%d services of %d: %d octets are allocated for a change", size.services, size.instances, each)
		if each > size.most {
			t.Errorf("%d services of %d: %d octets are allocated for a change, want %d at the most", size.services, size.instances, each, size.most)
		}
	}
}

// changesOf returns changes of some instances, each of another weight and sick half
// of the time.
func changesOf(t testing.TB, s *registry.Snapshot, n int) (changes []registry.Change) {
	t.Helper()
	services := s.Services()
	for c := range n {
		v := services[c*7919%len(services)]
		at := c * 104729 % v.Instances.Len()
		r := v.Instances.Slice(at, at+1)[0].Declaration()
		r.Weight, r.Healthy = float64(2+c), c%2 == 0
		changes = append(changes, stored(t, &r, s.Revision()+int64(c)+1))
	}
	return changes
}

// BenchmarkRoll measures a roll of many services: -services=100000 is the one of a
// million instances.
func BenchmarkRoll(b *testing.B) {
	began := time.Now()
	s, octets, objects := large(b, *scale, 10)
	built := time.Since(began)
	_, instances, _ := s.Counts()
	changes := changesOf(b, s, 10_000)
	b.Run("memory", func(b *testing.B) {
		for b.Loop() {
			runtime.GC()
		}
		b.ReportMetric(float64(octets)/float64(instances), "B/instance")
		b.ReportMetric(float64(objects)/float64(instances), "objects/instance")
		b.ReportMetric(float64(built.Microseconds())/float64(instances), "us-to-build/instance")
	})
	b.Run("change", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			c := changes[i%len(changes)]
			c.Revision = s.Revision() + 1
			s = s.Apply(c.Revision, []registry.Change{c})
		}
	})
	names := make([]string, *scale)
	for n := range names {
		names[n] = fmt.Sprintf("order-api-%06d.svc.team-%d.ns", n, n%20)
	}
	b.Run("lookup", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if v, _ := s.Named(names[i*7919%len(names)]); v == nil {
				b.Fatal("a service has no name")
			}
		}
	})
}

// BenchmarkLargeService measures a change in a service of 50,000 instances.
func BenchmarkLargeService(b *testing.B) {
	s, _, _ := large(b, 1, 50_000)
	changes := changesOf(b, s, 1000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		c := changes[i%len(changes)]
		c.Revision = s.Revision() + 1
		s = s.Apply(c.Revision, []registry.Change{c})
	}
}
