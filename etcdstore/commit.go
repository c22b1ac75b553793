package etcdstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/musterhq/muster/registry"
)

// Commit implements registry.Store.
func (s *Store) Commit(ctx context.Context, w registry.Write) (int64, error) {
	office := s.office.Load()
	r, err := s.request(w, office)
	if err != nil {
		return 0, err
	}
	return s.outcome(ctx, w, office, s.submit(ctx, r)[0])
}

// CommitAll implements registry.SetStore: writes that fit into one transaction travel
// in one, whatever else waits.
func (s *Store) CommitAll(ctx context.Context, writes []registry.Write) []registry.Outcome {
	office := s.office.Load()
	outcomes := make([]registry.Outcome, len(writes))
	requests := make([]*request, 0, len(writes))
	for i, w := range writes {
		r, err := s.request(w, office)
		if outcomes[i].Err = err; err == nil {
			r.set = &outcomes[0]
			requests = append(requests, r)
		}
	}
	results := s.submit(ctx, requests...)
	for i, w := range writes {
		if outcomes[i].Err == nil {
			outcomes[i].Revision, outcomes[i].Err = s.outcome(ctx, w, office, results[0])
			results = results[1:]
		}
	}
	return outcomes
}

// request turns a write into what etcd is asked for. office is the revision at which
// this server took the judge's office.
func (s *Store) request(w registry.Write, office int64) (*request, error) {
	if s.cfg.ReadOnly {
		return nil, fmt.Errorf("%w: the store is read only", registry.ErrUnavailable)
	}
	r := newRequest(registryGeneration)
	if w.Judge {
		if office == 0 {
			return nil, ErrNotJudge
		}
		r.check(judgeKey, office)
	}
	for _, c := range w.Checks {
		r.check(recordKey(c.Key), c.Revision)
	}
	for _, c := range w.Settled {
		r.settled(registrationPrefix(c.Service), c.Revision)
	}
	for _, rec := range w.Puts {
		value, err := json.Marshal(rec)
		if err != nil {
			return nil, fmt.Errorf("encode %v: %w", rec.RecordKey(), err)
		}
		key := rec.RecordKey()
		switch {
		case key.Kind == registry.KindTombstone && len(w.Deletes) > 0:
			r.along(recordKey(key), string(value)) // while etcd is full nothing comes back anyway
			continue
		case key.Kind == registry.KindVerdict: // small, and what liveness rests on
			r.demand = max(r.demand, notes)
		case slices.ContainsFunc(w.Checks, func(c registry.Check) bool { return c.Key == key && c.Revision > 0 }):
			r.demand = max(r.demand, updates)
		default:
			r.demand = creates
		}
		r.put(recordKey(key), string(value))
	}
	for _, k := range w.Deletes {
		r.delete(recordKey(k))
	}
	return r, nil
}

// outcome is what became of a write, as the registry knows it.
func (s *Store) outcome(ctx context.Context, w registry.Write, office int64, res result) (int64, error) {
	if res.err != nil {
		return 0, res.err
	}
	if !res.ok && w.Judge && s.deposed(ctx, office) {
		return 0, ErrNotJudge
	}
	if !res.ok {
		return 0, &registry.StaleError{Revision: res.revision}
	}
	return res.revision, nil
}

// submit hands requests to the committer, which keeps them together, and waits for
// their results. While etcd is away it does not wait; what is on its way then may
// still be written.
func (s *Store) submit(ctx context.Context, requests ...*request) []result {
	ctx, cancel := context.WithTimeout(ctx, 2*commitTimeout)
	defer cancel()
	away := s.health.gone()
	results := make([]result, len(requests))
	var sent []*request
	for i, r := range requests {
		if results[i].err = s.mayWait(ctx, r, away); results[i].err == nil {
			sent = append(sent, r)
		}
	}
	taken := s.inbox.put(sent...)
	for i, r := range requests {
		switch {
		case results[i].err != nil:
		case !taken:
			results[i].err = errStopping
		default:
			results[i] = s.await(ctx, r, away)
		}
	}
	return results
}

// mayWait returns why a request is refused at once.
func (s *Store) mayWait(ctx context.Context, r *request, away <-chan struct{}) error {
	if ctx.Err() != nil {
		return unsent(ctx)
	}
	if err := s.admit(r.demand); err != nil {
		return err
	}
	select {
	case <-away:
		return s.away()
	default:
		return nil
	}
}

// await waits for the result of a request that the committer has.
func (s *Store) await(ctx context.Context, r *request, away <-chan struct{}) result {
	select {
	case res := <-r.done:
		return res
	case <-away:
		if r.withdraw() {
			return result{err: s.away()}
		}
	case <-ctx.Done():
		if r.withdraw() {
			return result{err: unsent(ctx)}
		}
	}
	select {
	case res := <-r.done:
		return res
	case <-ctx.Done():
	}
	select {
	case res := <-r.done: // both had come: what became of it is known
		return res
	default:
		return result{err: outward(ctx.Err())}
	}
}

// unsent says why a request whose context has ended was not sent.
func unsent(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%w: the write had to wait too long and was not made", registry.ErrUnavailable)
	}
	return fmt.Errorf("etcd: %w", ctx.Err())
}

// away says that etcd is, also when it has just come back.
func (s *Store) away() error {
	if err := s.health.err(s.now()); err != nil {
		return err
	}
	return fmt.Errorf("%w: etcd was away just now", registry.ErrUnavailable)
}

var errStopping = fmt.Errorf("%w: the store is stopping", registry.ErrUnavailable)
