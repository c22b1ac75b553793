package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/registry"
)

// Shown is a revision that this store has shown, with the digests of what it
// showed.
type Shown struct {
	Revision int64
	Digests  registry.Digests // which are of the same kind in both domains
}

// recentShown is how many revisions a store remembers.
const recentShown = 64

// recent is the ring of what was shown last.
type recent struct {
	mu   sync.Mutex
	ring []Shown // oldest first
}

func (r *recent) add(now Shown) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.ring); n > 0 && r.ring[n-1].Revision == now.Revision {
		r.ring[n-1] = now // listed again: only the last one stands
		return
	}
	if len(r.ring) == recentShown {
		r.ring = append(r.ring[:0], r.ring[1:]...)
	}
	r.ring = append(r.ring, now)
}

func (r *recent) newest() []Shown {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := slices.Clone(r.ring)
	slices.Reverse(out)
	return out
}

// Recent returns the last revisions of the registry that this store has shown,
// newest first, to compare servers at a revision that both have shown.
func (s *Store) Recent() []Shown { return s.recent.newest() }

// Recent is that of the configuration centre.
func (c *Configs) Recent() []Shown { return c.recent.newest() }

// reconcileLoop reconciles now and then until ctx ends.
func (s *Store) reconcileLoop(ctx context.Context) error {
	for {
		every := s.cfg.ReconcileEvery
		select {
		case <-time.After(every/10*9 + rand.N(every/5+1)):
		case <-ctx.Done():
			return nil
		}
		if s.health.err(s.now()) != nil {
			continue
		}
		if _, err := s.Reconcile(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("snapshots were not compared with etcd", "err", err)
		}
	}
}

// Reconcile compares the published snapshots with what etcd has, and reports
// whether they differed. Then the domain has been listed again and published when
// Reconcile returns. etcd has lost watch events in released versions.
func (s *Store) Reconcile(ctx context.Context) (differs bool, err error) {
	for _, f := range s.feeds {
		namespaces, err := s.compare(ctx, f)
		if err != nil {
			return differs, fmt.Errorf("compare %s with etcd: %w", f.prefix, outward(err))
		}
		if len(namespaces) == 0 {
			continue
		}
		differs = true
		s.metrics.divergence.WithLabelValues(f.name).Inc()
		s.log.Error("a snapshot differs from what etcd has: listing again", "prefix", f.prefix, "namespaces", namespaces)
		if err := s.listNow(ctx, f); err != nil {
			return true, err
		}
	}
	return differs, nil
}

// listNow has the domain listed again, and waits until it is published.
func (s *Store) listNow(ctx context.Context, f *feed) error {
	done := make(chan error, 1)
	select {
	case f.orders <- order{why: "the snapshot differs from etcd", done: done}:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// maxCompares bounds how often a comparison begins anew because something changed
// meanwhile.
const maxCompares = 20

// compare returns the namespaces in which the published snapshot of a domain
// differs from etcd, none when it does not.
func (s *Store) compare(ctx context.Context, f *feed) ([]string, error) {
	changed := 0 // how often the same snapshot was found to differ from the newest
	var before *shownFeed
	for range maxCompares {
		shown := f.shown.Load()
		if shown == nil {
			return nil, fmt.Errorf("%w: nothing has been listed yet", registry.ErrUnavailable)
		}
		tally, _, err := s.tally(ctx, f, shown.complete)
		if err == nil {
			return differing(tally, shown), nil
		}
		if !errors.Is(err, rpctypes.ErrCompacted) && !errors.Is(err, rpctypes.ErrFutureRev) {
			return nil, err
		}
		// Nothing has changed for so long that the revision is gone: what is there
		// now must be the same, unless something changes right now.
		tally, newest, err := s.tally(ctx, f, 0)
		if err != nil {
			return nil, err
		}
		diff := differing(tally, shown)
		if len(diff) == 0 {
			return nil, nil
		}
		if shown != before {
			changed, before = 0, shown
		}
		if changed++; changed > 2 && f.shown.Load() == shown {
			return diff, nil
		}
		if err := s.awaitShown(ctx, f, newest); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w: it changes too fast to be compared", registry.ErrUnavailable)
}

// awaitShown gives the snapshot of a domain a moment to show a revision.
func (s *Store) awaitShown(ctx context.Context, f *feed, revision int64) error {
	const step, most = 20 * time.Millisecond, time.Second
	for waited := time.Duration(0); waited < most; waited += step {
		if now := f.shown.Load(); now != nil && now.complete >= revision && waited > 0 {
			return nil
		}
		select {
		case <-time.After(step):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// tally adds up the digests of what etcd has at a revision, 0: now. newest is the
// last change of what it has.
func (s *Store) tally(ctx context.Context, f *feed, revision int64) (sums map[string]uint64, newest int64, err error) {
	sums = map[string]uint64{}
	_, err = s.pages(ctx, f, revision, func(kvs []*mvccpb.KeyValue) {
		for _, kv := range kvs {
			newest = max(newest, kv.ModRevision)
			if namespace, sum, ok := f.digest(string(kv.Key), kv.ModRevision); ok {
				sums[namespace] += sum
			}
		}
	}, clientv3.WithKeysOnly())
	return sums, newest, err
}

// differing returns the namespaces whose digests are not equal, ordered.
func differing(tally map[string]uint64, shown *shownFeed) []string {
	is := maps.Collect(shown.digests)
	var out []string
	for namespace, sum := range tally {
		if is[namespace] != sum {
			out = append(out, namespace)
		}
	}
	for namespace, sum := range is {
		if _, found := tally[namespace]; !found && sum != 0 {
			out = append(out, namespace)
		}
	}
	slices.Sort(out)
	return out
}
