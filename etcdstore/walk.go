package etcdstore

import (
	"context"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// etcd passes over all keys of a range to answer any page of it, so pages are as
// long as they may be.
const (
	walkBytes = 8 << 20 // a page, roughly
	leastKeys = 16      // of a page
	mostKeys  = 20000
)

// walk calls each with all pairs from one key up to another, in order, page by
// page, each page as it is when it is read. The first one has so many keys at the
// most.
func (s *Store) walk(ctx context.Context, from, end string, first int, each func([]*mvccpb.KeyValue) error, options ...clientv3.OpOption) error {
	for limit := first; ; {
		page, err := s.page(ctx, from, append(slices.Clip(options), clientv3.WithRange(end), clientv3.WithLimit(int64(limit))))
		if err != nil {
			return outward(err)
		}
		if err := each(page.Kvs); err != nil || !page.More {
			return err
		}
		from = string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
		limit = nextLimit(limit, page.Kvs)
	}
}

// nextLimit returns how many keys the page after one has: as many as come to
// walkBytes if they are alike. Without values nobody can tell.
func nextLimit(limit int, page []*mvccpb.KeyValue) int {
	keys, values := 0, 0
	for _, kv := range page {
		keys, values = keys+len(kv.Key), values+len(kv.Value)
	}
	if values == 0 {
		return limit
	}
	limit = min(walkBytes*len(page)/(keys+values), 4*limit) // what comes next may be larger
	return min(max(limit, leastKeys), mostKeys)
}
