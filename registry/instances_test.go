package registry_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/musterhq/muster/registry"
)

// A service that grows to thousands of instances and shrinks again is the same as
// a sorted list of them, whatever parts they lie in.
func TestInstancesAreASortedList(t *testing.T) {
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 1))
		var snap *registry.Snapshot
		k, model := service("large"), map[registry.Endpoint]int64{}
		for revision := int64(1); revision < 60; revision++ {
			was := snap.Apply(revision, nil).Service(k)
			snap = snap.Apply(revision, crowd(r, k, model, revision))
			is := snap.Service(k)
			wantList(t, is, model)
			checkInstances(t, was, is)
		}
	}
}

// crowd makes changes of many instances, of which few share a host, and takes
// them into the model: at first most come, in the end most go.
func crowd(r *rand.Rand, k registry.ServiceKey, model map[registry.Endpoint]int64, revision int64) []registry.Change {
	var changes []registry.Change
	for range 1 + r.IntN(300) {
		e := registry.Endpoint{Host: fmt.Sprint("10.0.", r.IntN(4), ".", r.IntN(120)), Port: uint16(r.IntN(8))}
		reg := registration(registry.InstanceKey{Service: k, Endpoint: e})
		c := registry.Change{Key: reg.RecordKey(), Record: &reg, Revision: revision}
		if model[e] = revision; r.Int64N(60) < revision {
			c.Record = nil
			delete(model, e)
		}
		changes = append(changes, c)
	}
	return changes
}

func wantList(t *testing.T, s *registry.Service, model map[registry.Endpoint]int64) {
	t.Helper()
	if s == nil {
		if len(model) > 0 {
			t.Fatalf("no service, want one of %d instances", len(model))
		}
		return
	}
	want := slices.SortedFunc(maps.Keys(model), func(a, b registry.Endpoint) int {
		return cmp.Or(strings.Compare(a.Host, b.Host), cmp.Compare(a.Port, b.Port))
	})
	got, all, hosts := []registry.Endpoint{}, s.Instances.List(), map[string]int{}
	for i := range s.Instances.All() {
		e := i.Key.Endpoint
		if got = append(got, e); i.Revision != model[e] || s.Instance(e) != i || all[len(got)-1] != i {
			t.Fatalf("instance %s of revision %d, want %d, at the same place everywhere", e, i.Revision, model[e])
		}
		hosts[e.Host]++
	}
	if !slices.Equal(got, want) || s.Instances.Len() != len(want) || len(all) != len(want) {
		t.Fatalf("All() = %d, Len() = %d, List() = %d, want %d instances in order", len(got), s.Instances.Len(), len(all), len(want))
	}
	for host, n := range hosts {
		if at := s.At(host); len(at) != n {
			t.Fatalf("At(%s) = %d instances, want %d", host, len(at), n)
		}
	}
	if s.Instance(registry.Endpoint{Host: "10.1.0.0"}) != nil || s.At("10.0") != nil || s.At("9") != nil {
		t.Fatal("an instance where none is")
	}
	for from := 0; from < len(all); from += 97 {
		for _, to := range []int{from, from + 1, min(from+200, len(all)), len(all)} {
			if part := s.Instances.Slice(from, to); !slices.Equal(part, all[from:to]) {
				t.Fatalf("Slice(%d, %d) = %d instances, want those of the list", from, to, len(part))
			}
		}
	}
	small := 0
	for _, p := range s.Instances.Parts() {
		if n := len(p.All()); n == 0 || n > 128 {
			t.Fatalf("a part of %d instances", n)
		} else if n < 16 {
			small++
		}
	}
	if small > 2+len(all)/200 {
		t.Errorf("%d instances lie in %d parts, %d of them small", len(all), len(s.Instances.Parts()), small)
	}
}

// Of a service of 50,000 a change of one costs its neighbours and not all of them.
func TestChangeOfOneInstanceOfManySharesTheOthers(t *testing.T) {
	k, model := service("large"), map[registry.Endpoint]int64{}
	r := rand.New(rand.NewPCG(1, 1))
	snap := (*registry.Snapshot)(nil).Apply(1, crowd(r, k, model, 1))
	for n := range int64(20) {
		snap = snap.Apply(2+n, crowd(r, k, model, 1))
	}
	was := snap.Service(k)
	one := registration(was.Instances.List()[was.Instances.Len()/2].Key)
	is := snap.Apply(30, []registry.Change{{Key: one.RecordKey(), Record: &one, Revision: 30}}).Service(k)
	others := 0
	for _, p := range is.Instances.Parts() {
		if !slices.Contains(was.Instances.Parts(), p) {
			others++
		}
	}
	if others != 1 || len(is.Instances.Parts()) < 10 {
		t.Errorf("%d of %d parts are others, want one of many", others, len(is.Instances.Parts()))
	}
}
