package etcdstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/musterhq/muster/registry"
)

// Commit implements registry.Store.
func (s *Store) Commit(ctx context.Context, w registry.Write) (int64, error) {
	if s.cfg.ReadOnly {
		return 0, fmt.Errorf("%w: the store is read only", registry.ErrUnavailable)
	}
	r := newRequest(registryGeneration)
	office := s.office.Load()
	if w.Judge {
		if office == 0 {
			return 0, ErrNotJudge
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
			return 0, fmt.Errorf("encode %v: %w", rec.RecordKey(), err)
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
	res := s.submit(ctx, r)
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

// submit hands a request to the committer and waits for its result. While etcd is
// away it does not wait; what is on its way then may still be written.
func (s *Store) submit(ctx context.Context, r *request) result {
	ctx, cancel := context.WithTimeout(ctx, 2*commitTimeout)
	defer cancel()
	away := s.health.gone()
	if ctx.Err() != nil { // the choice below is no order
		return result{err: unsent(ctx)}
	}
	if err := s.admit(r.demand); err != nil {
		return result{err: err}
	}
	select {
	case <-away:
		return result{err: s.away()}
	default:
	}
	select {
	case s.commits <- r:
	case <-s.ended:
		return result{err: errStopping}
	case <-away:
		return result{err: s.away()}
	case <-ctx.Done():
		return result{err: unsent(ctx)}
	}
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
		return result{err: outward(ctx.Err())}
	}
	select {
	case res := <-r.done:
		return res
	case <-ctx.Done():
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

// commitLoop sends the requests that came while the last group was on its way
// as the next group. What is under way when ctx ends is still finished.
func (s *Store) commitLoop(ctx context.Context) error {
	defer close(s.ended)
	var waiting []*request
	for {
		waiting = slices.DeleteFunc(waiting, func(r *request) bool { return r.state.Load() == withdrawn })
		if ctx.Err() != nil {
			for _, r := range waiting {
				r.done <- result{err: errStopping}
			}
			return nil
		}
		if len(waiting) == 0 {
			select {
			case r := <-s.commits:
				waiting = append(waiting, r)
			case <-ctx.Done():
				return nil
			}
		}
		waiting = s.drain(waiting)
		var group []*request
		group, waiting = nextGroup(waiting)
		s.askSpace()
		if group = s.admitted(group); len(group) > 0 {
			s.send(context.WithoutCancel(ctx), group)
		}
	}
}

// lastChance is how long a transaction that was sent may still be answered once
// etcd is known to be away.
const lastChance = time.Second

var errGivenUp = errors.New("it went away")

// watchAway gives a transaction up when etcd goes away and stays away, and ends
// with ctx.
func (s *Store) watchAway(ctx context.Context, giveUp func()) {
	select {
	case <-s.health.gone():
	case <-ctx.Done():
		return
	}
	select {
	case <-time.After(lastChance):
	case <-ctx.Done():
		return
	}
	if s.Away() != nil {
		giveUp()
	}
}

func (s *Store) drain(waiting []*request) []*request {
	for len(waiting) < maxWaiting {
		select {
		case r := <-s.commits:
			waiting = append(waiting, r)
		default:
			return waiting
		}
	}
	return waiting
}

// admitted returns the requests of a group that may be sent, and answers those
// that there is no room for any more.
func (s *Store) admitted(group []*request) []*request {
	return s.roomFor(slices.DeleteFunc(group, func(r *request) bool { return !r.begin() }))
}

func (s *Store) roomFor(group []*request) []*request {
	return slices.DeleteFunc(group, func(r *request) bool {
		err := s.admit(r.demand)
		if err != nil {
			r.done <- result{err: err}
		}
		return err != nil
	})
}

// send commits one group and tells each caller what became of its request. All
// of it has been admitted, so that while etcd is full it only deletes.
func (s *Store) send(ctx context.Context, group []*request) {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	began, bare := s.now(), s.guard.alarm.Load()
	patient, giveUp := context.WithCancel(ctx)
	defer giveUp()
	go s.watchAway(patient, giveUp)
	resp, err := s.transaction(patient, group, bare).Commit()
	if err != nil && patient.Err() != nil && ctx.Err() == nil {
		err = errGivenUp
	}
	s.metrics.commit(len(group), s.now()-began, err)
	switch {
	case full(err) && !bare:
		s.noSpace()
		if group = s.roomFor(group); len(group) > 0 {
			s.send(ctx, group)
		}
		return
	case refused(err) && len(group) > 1: // one of them cannot be written: the others need not share its fate
		for _, r := range group {
			s.send(ctx, []*request{r})
		}
		return
	case err != nil:
		if !refused(err) {
			s.health.suspect()
		}
		for _, r := range group {
			r.done <- result{err: uncertain(err)}
		}
		return
	}
	s.health.answer(began)
	if bare {
		s.askProgress(ctx) // there is no generation to show that the transaction was
	}
	if group[0].alone() {
		group[0].done <- result{revision: resp.Header.Revision, ok: resp.Succeeded}
		return
	}
	for i, r := range group {
		r.done <- result{revision: resp.Header.Revision, ok: resp.Responses[i].GetResponseTxn().Succeeded}
	}
}
