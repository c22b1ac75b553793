package etcdstore

import (
	"iter"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/registry"
)

// registryFeed builds registry snapshots.
func (s *Store) registryFeed() *feed {
	var next *registry.Snapshot
	return &feed{
		domain: registryDomain, name: "registry", prefix: registryPrefix, generation: registryGeneration,
		orders: make(chan order, 1),
		begin:  func() { next = registry.Empty(s.cfg.Policy) },
		next: func(revision int64, events []*clientv3.Event) {
			changes := make([]registry.Change, 0, len(events))
			for _, e := range events {
				c, ok, err := recordChange(e)
				if err != nil {
					s.unreadable(err) // one bad key must not take the others along
				}
				if ok {
					changes = append(changes, c)
				}
			}
			next = next.Apply(revision, changes)
		},
		publish: func(epoch uint32) { s.publish(next, epoch) },
		stands: func() (int64, iter.Seq2[string, uint64]) {
			snap := s.view.Snapshot()
			return snap.Revision(), snap.Digests().All()
		},
		digest: func(key string, revision int64) (string, uint64, bool) {
			k, ok, _ := parseRecordKey(key)
			if !ok {
				return "", 0, false
			}
			namespace, sum := registry.RecordDigest(k, revision)
			return namespace, sum, true
		},
	}
}

func (s *Store) unreadable(err error) {
	s.metrics.unreadable.Inc()
	s.log.Error("a record in etcd cannot be read and is left out", "err", err)
}
