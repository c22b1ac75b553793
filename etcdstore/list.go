package etcdstore

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	listPage = 5000 // keys of the first page, and of each without values
	// leap is more than revisions ever grow by themselves between two writes of a
	// domain; a restore raises them by twice as much.
	leap = 1 << 29
)

// relist lists the domain and publishes what it found, and tells those who
// waited for it. It returns the revision to watch from.
func (s *Store) relist(ctx context.Context, f *feed) (int64, error) {
	f.listing.Store(true)
	defer f.listing.Store(false)
	select {
	case o := <-f.orders:
		f.take(o)
	default:
	}
	complete, err := s.list(ctx, f)
	for _, done := range f.waiting {
		done <- err
	}
	f.waiting = nil
	if err != nil {
		return 0, fmt.Errorf("list %s: %w", f.prefix, err)
	}
	return complete, nil
}

// list publishes the whole domain as it is at one revision. What the snapshot is
// numbered is the revision of the last change of the domain, not of the list, so
// that servers that show the same call it the same.
func (s *Store) list(ctx context.Context, f *feed) (int64, error) {
	was, era := f.shown.Load(), s.era.Load()
	restored := was != nil && f.era != era
	found, err := s.read(ctx, f)
	if err != nil {
		return 0, err
	}
	if was != nil && !restored && found.complete < was.complete {
		s.newEra(fmt.Sprintf("its revision went back from %d to %d", was.complete, found.complete))
		return 0, errOrdered
	}
	if restored || found.generation == 0 || found.complete-found.generation > leap {
		// What is shown next needs a number that nothing was shown under before.
		put, err := s.putGeneration(ctx, f, found.generation)
		if err != nil {
			return 0, err
		}
		if found, err = s.read(ctx, f); err != nil {
			return 0, err
		}
		if !put {
			found.newest = found.complete
		}
	}
	revision := found.newest
	if was != nil && !restored {
		revision = max(revision, was.revision)
	}
	f.next(revision, nil)
	epoch := s.epoch.Load()
	if f.domain == registryDomain {
		if epoch, err = s.settleEpoch(ctx, revision, restored); err != nil {
			return 0, err
		}
	}
	f.era = era
	f.publish(epoch)
	s.show(f, found.complete)
	return found.complete, nil
}

// listed is what a list says beside the records.
type listed struct {
	complete   int64 // revision of etcd that was read
	newest     int64 // the last change among what was read
	generation int64 // the last change of the generation, 0: there is none
}

// read begins a snapshot with all that the domain holds.
func (s *Store) read(ctx context.Context, f *feed) (out listed, err error) {
	f.begin()
	out.complete, err = s.pages(ctx, f, 0, func(kvs []*mvccpb.KeyValue) {
		events := make([]*clientv3.Event, len(kvs))
		for i, kv := range kvs {
			events[i] = &clientv3.Event{Type: mvccpb.Event_PUT, Kv: kv}
			out.newest = max(out.newest, kv.ModRevision)
			if string(kv.Key) == f.generation {
				out.generation = kv.ModRevision
			}
		}
		f.next(0, events)
	})
	return out, err
}

func (s *Store) page(ctx context.Context, from string, options []clientv3.OpOption) (*clientv3.GetResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*commitTimeout)
	defer cancel()
	return s.client.Get(ctx, from, options...)
}

// putGeneration puts the generation of a domain, if it was last changed at
// revision was; otherwise somebody else has put it. It returns false when this
// store writes nothing, or etcd has no room for it.
func (s *Store) putGeneration(ctx context.Context, f *feed, was int64) (bool, error) {
	if s.cfg.ReadOnly {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	_, err := s.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(f.generation), "=", was)).
		Then(clientv3.OpPut(f.generation, "")).Commit()
	if errors.Is(err, rpctypes.ErrNoSpace) {
		return false, nil
	}
	return err == nil, err
}
