package etcdstore

import (
	"context"
	"fmt"

	"github.com/musterhq/muster/registry"
)

// Newest implements registry.Store.
func (s *Store) Newest(ctx context.Context) (int64, error) {
	return s.newest(ctx, s.feeds[registryDomain])
}

// Newest implements config.Store.
func (c *Configs) Newest(ctx context.Context) (int64, error) {
	revision, err := c.store.newest(ctx, c.store.feeds[configDomain])
	return revision, configError(err)
}

// newest asks etcd for the last change of a domain. The question is linearizable,
// so that it comes after every commit that was answered before.
func (s *Store) newest(ctx context.Context, f *feed) (int64, error) {
	if err := s.health.err(s.now()); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, probeEvery)
	defer cancel()
	resp, err := s.client.Get(ctx, f.generation)
	if err != nil {
		s.health.suspect()
		return 0, fmt.Errorf("%w: etcd: %w", registry.ErrUnavailable, err)
	}
	if kv := only(resp.Kvs); kv != nil {
		return kv.ModRevision, nil
	}
	f.askProgress(ctx, s.client) // transactions leave no trace for now: go by the revision of etcd
	return resp.Header.Revision, nil
}
