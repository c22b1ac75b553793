package etcdstore

import (
	"context"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	walkBytes = 8 << 20 // a page, roughly
	firstPage = 64      // keys: 32 MiB at the most
	leastKeys = 16      // of a page
	mostKeys  = 4096
)

// walk calls each with all pairs below a prefix, in order, page by page, each page
// as it is when it is read. A page has so many keys, or with 0 keys as many as
// come to walkBytes, by what the page before it came to.
func (s *Store) walk(ctx context.Context, prefix string, keys int, each func([]*mvccpb.KeyValue) error, options ...clientv3.OpOption) error {
	limit := keys
	if keys == 0 {
		limit = firstPage
	}
	for from, end := prefix, clientv3.GetPrefixRangeEnd(prefix); ; {
		page, err := s.page(ctx, from, append(slices.Clip(options), clientv3.WithRange(end), clientv3.WithLimit(int64(limit))))
		if err != nil {
			return outward(err)
		}
		if err := each(page.Kvs); err != nil || !page.More {
			return err
		}
		from = string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
		if keys == 0 {
			limit = nextLimit(limit, page.Kvs)
		}
	}
}

// nextLimit returns how many keys the page after one has.
func nextLimit(limit int, page []*mvccpb.KeyValue) int {
	bytes := 1
	for _, kv := range page {
		bytes += len(kv.Key) + len(kv.Value)
	}
	limit = min(walkBytes*len(page)/bytes, 4*limit) // what comes next may be larger
	return min(max(limit, leastKeys), mostKeys)
}
