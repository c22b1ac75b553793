package etcdstore

import (
	"context"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// span is a range of keys that is yet to be read.
type span struct{ from, end string }

// spans cuts a range where an earlier reading had the ends of its pages.
//
// To answer a page etcd passes over all keys up to the end of the range that it was asked
// for, and takes no write meanwhile: with a million keys that is tenths of a second for
// each page, and 95 % of what a comparison with the snapshot costs. A range that ends
// where the page does has none of it.
func spans(prefix string, cuts []string) []span {
	all := make([]span, 0, len(cuts)+1)
	for _, cut := range cuts {
		all = append(all, span{prefix, cut})
		prefix = cut
	}
	return append(all, span{from: prefix})
}

// cutAtLeast is how many keys lie between two cuts: of fewer etcd makes nothing.
const cutAtLeast = listPage

// pages reads all keys of a domain at one revision, 0: the newest, and returns it. While
// each sees one page the next one is on its way: a start waits for both. Where pages
// ended is kept for the next reading.
func (s *Store) pages(ctx context.Context, f *feed, revision int64, each func([]*mvccpb.KeyValue), options ...clientv3.OpOption) (int64, error) {
	var known, cuts []string
	if was := f.cuts.Load(); was != nil {
		known = *was
	}
	left := spans(f.prefix, known)
	left[len(left)-1].end = clientv3.GetPrefixRangeEnd(f.prefix)
	limit, since := listPage, 0
	for coming := s.askPage(ctx, left[0], limit, revision, options); ; {
		got := <-coming
		if got.err != nil {
			return 0, got.err
		}
		page := got.page
		if revision == 0 {
			revision = page.Header.Revision
		}
		limit = nextLimit(limit, page.Kvs)
		if page.More {
			left[0].from = string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
		} else {
			left = left[1:]
		}
		if len(left) > 0 {
			if since += len(page.Kvs); since >= cutAtLeast {
				cuts, since = append(cuts, left[0].from), 0
			}
			coming = s.askPage(ctx, left[0], limit, revision, options)
		}
		each(page.Kvs)
		if len(left) == 0 {
			f.cuts.Store(&cuts)
			return revision, nil
		}
	}
}

// answered is a page, or why there is none.
type answered struct {
	page *clientv3.GetResponse
	err  error
}

// askPage asks for a page without waiting for it.
func (s *Store) askPage(ctx context.Context, of span, limit int, revision int64, options []clientv3.OpOption) <-chan answered {
	options = append(slices.Clip(options), clientv3.WithRange(of.end), clientv3.WithLimit(int64(limit)), clientv3.WithRev(revision))
	c := make(chan answered, 1)
	go func() {
		page, err := s.page(ctx, of.from, options)
		c <- answered{page, err}
	}()
	return c
}
