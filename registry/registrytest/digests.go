package registrytest

import (
	"maps"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/registry"
)

// testDigests checks that the digests follow what is put and deleted, record by
// record.
func testDigests(s contract) {
	t := s.t
	reg := instance("digests", 1)
	svc, agent := &registry.ServiceRecord{Key: reg.Key.Service}, &registry.AgentRecord{ID: "digests"}
	none := s.View().Snapshot().Digests()
	standing := map[registry.Key]int64{}
	check := func(when string, revision int64) {
		t.Helper()
		want := none
		for k, last := range standing {
			want = want.With(registry.RecordDigest(k, last))
		}
		if got := s.wait(t, revision).Digests(); !got.Equal(want) {
			t.Errorf("digests %s (-want +got):\n%s", when, cmp.Diff(maps.Collect(want.All()), maps.Collect(got.All())))
		}
	}
	first := s.commit(t, put(reg, svc, agent))
	standing[reg.RecordKey()], standing[svc.RecordKey()], standing[agent.RecordKey()] = first, first, first
	check("after puts", first)
	second := s.commit(t, put(reg))
	standing[reg.RecordKey()] = second
	check("after one was put again", second)
	third := s.commit(t, registry.Write{Deletes: []registry.Key{reg.RecordKey(), agent.RecordKey()}})
	delete(standing, reg.RecordKey())
	delete(standing, agent.RecordKey())
	check("after deletes", third)
	fourth := s.commit(t, registry.Write{Deletes: []registry.Key{svc.RecordKey()}})
	delete(standing, svc.RecordKey())
	check("with nothing left", fourth)
}
