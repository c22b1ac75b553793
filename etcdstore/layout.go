package etcdstore

import (
	"context"
	"errors"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// layout is the version of the keys below prefix that this code writes.
const layout = "1"

var errLayout = errors.New("the store was written by a newer muster")

// openLayout waits for etcd, claims an empty store for this layout and refuses
// one that a newer binary has taken.
func (s *Store) openLayout(ctx context.Context) error {
	pause := newPause()
	for {
		began := s.now()
		err := s.claimLayout(ctx)
		if err == nil {
			err = s.claimName(ctx)
		}
		if err == nil || errors.Is(err, errLayout) || ctx.Err() != nil {
			return err
		}
		s.health.fail(began, err)
		if err := pause.wait(ctx); err != nil {
			return err
		}
	}
}

// claimLayout reads before it writes: an etcd that is full refuses every
// transaction that might put, also one whose compare fails.
func (s *Store) claimLayout(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	for {
		resp, err := s.client.Get(ctx, versionKey)
		if err != nil {
			return err
		}
		if len(resp.Kvs) == 1 {
			if was := string(resp.Kvs[0].Value); was != layout {
				return fmt.Errorf("layout %q, this binary knows %q: %w", was, layout, errLayout)
			}
			return nil
		}
		if s.cfg.ReadOnly {
			return nil
		}
		_, err = s.client.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(versionKey), "=", 0)).
			Then(clientv3.OpPut(versionKey, layout)).Commit()
		if err != nil {
			return err
		}
	}
}
