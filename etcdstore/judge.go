package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/registry"
)

// officeTTL is how long the judge's office outlives a judge that vanished.
const officeTTL = 10 // seconds

// ErrNotJudge refuses a verdict of a server that does not hold the judge's office,
// or holds it no more. It is registry.ErrUnavailable.
var ErrNotJudge = fmt.Errorf("%w: this server is not the judge", registry.ErrUnavailable)

// Office runs judge whenever this server holds the judge's office, which one
// server at a time does, and cancels it when the office is lost. id must be the
// same over restarts of one server and different between servers: a server takes
// its own office back at once. It returns nil when ctx ends.
func (s *Store) Office(ctx context.Context, id string, judge func(context.Context) error) error {
	pause := newPause()
	for ctx.Err() == nil {
		err := s.term(ctx, id, judge)
		var failed *judgeError
		switch {
		case errors.As(err, &failed):
			return failed.err
		case err == nil:
			pause.reset()
		case ctx.Err() == nil:
			s.log.Warn("not the judge", "err", err)
		}
		if ctx.Err() == nil {
			_ = pause.wait(ctx) // only fails with ctx, which the loop asks
		}
	}
	return nil
}

// judgeError tells a failure of the judge from one of the office.
type judgeError struct{ err error }

func (e *judgeError) Error() string { return e.err.Error() }

// term takes the office, runs judge while it is held, and gives it up.
func (s *Store) term(ctx context.Context, id string, judge func(context.Context) error) error {
	lease, err := s.grant(ctx, officeTTL)
	if err != nil {
		return fmt.Errorf("the judge's office: %w", err)
	}
	defer s.revoke(ctx, lease)
	alive, err := s.client.KeepAlive(ctx, lease)
	if err != nil {
		return fmt.Errorf("keep the judge's office: %w", err)
	}
	revision, err := s.takeOffice(ctx, id, lease)
	if err != nil {
		return err
	}
	s.officeHeard.Store(int64(s.now()))
	s.office.Store(revision)
	defer s.office.Store(0)
	s.log.Info("this server judges beats now", "revision", revision)

	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	done, lost := make(chan error, 1), make(chan error, 1)
	running.Go(func() { done <- judge(ctx) })
	running.Go(func() { lost <- s.awaitLoss(ctx, id, revision) })
	for {
		select {
		case _, ok := <-alive:
			if !ok {
				return errOfficeEnded
			}
			s.officeHeard.Store(int64(s.now()))
		case err := <-lost:
			if ctx.Err() == nil {
				return err
			}
			lost = nil
		case err := <-done:
			if err != nil && ctx.Err() == nil {
				return &judgeError{err}
			}
			return nil
		}
	}
}

// takeOffice puts the key of the office when it is free or this server's own,
// and waits for it otherwise. It returns the revision of the put, which every
// verdict then compares.
func (s *Store) takeOffice(ctx context.Context, id string, lease clientv3.LeaseID) (int64, error) {
	for {
		resp, err := s.client.Get(ctx, judgeKey)
		if err != nil {
			return 0, fmt.Errorf("read the judge's office: %w", err)
		}
		var held int64
		if len(resp.Kvs) == 1 {
			if held = resp.Kvs[0].ModRevision; string(resp.Kvs[0].Value) != id {
				s.log.Info("standing by: another server judges beats", "judge", string(resp.Kvs[0].Value))
				if err := s.anyChanged(ctx, resp.Header.Revision, judgeKey); err != nil {
					return 0, err
				}
				continue
			}
		}
		put, err := s.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(judgeKey), "=", held)).
			Then(clientv3.OpPut(judgeKey, id, clientv3.WithLease(lease))).Commit()
		if err != nil {
			return 0, fmt.Errorf("take the judge's office: %w", err)
		}
		if put.Succeeded {
			return put.Header.Revision, nil
		}
	}
}

var errOfficeEnded = errors.New("the lease of the judge's office ended")

// awaitLoss returns why the key of the office is not as it was put at revision
// any more, or when ctx ends: the lease alone does not tell, as it may outlive
// the key.
func (s *Store) awaitLoss(ctx context.Context, id string, revision int64) error {
	pause := newPause()
	for from := revision; ctx.Err() == nil; {
		err := s.anyChanged(ctx, from, judgeKey)
		if resp, failed := s.client.Get(ctx, judgeKey); failed == nil {
			switch {
			case len(resp.Kvs) == 1 && resp.Kvs[0].ModRevision == revision:
			case len(resp.Kvs) == 1 && string(resp.Kvs[0].Value) == id:
				return errors.New("a server of the same id took the judge's office: does it use a copy of this data directory?")
			default:
				return errOfficeEnded
			}
			from = resp.Header.Revision
		}
		if err != nil {
			_ = pause.wait(ctx) // only fails with ctx, which the loop asks
		}
	}
	return ctx.Err()
}

// deposed reports whether the office taken at revision is known to be lost. A
// verdict whose compares failed asks: the judge's own goroutine may learn of it
// later, after a stop of the whole process.
func (s *Store) deposed(ctx context.Context, revision int64) bool {
	resp, err := s.client.Get(ctx, judgeKey)
	if err != nil || len(resp.Kvs) == 1 && resp.Kvs[0].ModRevision == revision {
		return false
	}
	s.office.CompareAndSwap(revision, 0)
	return true
}

// Judging reports whether this server holds the judge's office. It is false at
// once after this process stood still for longer than the lease of the office
// lasts: before anybody has told it, another server may judge.
func (s *Store) Judging() bool {
	return s.office.Load() != 0 && s.now()-time.Duration(s.officeHeard.Load()) < officeTTL*time.Second
}
