package etcdstore

import (
	"context"
	"errors"
	"slices"
	"time"
)

// commitLoop sends the requests that came while the last group was on its way
// as the next group. What is under way when ctx ends is still finished.
//
// One transaction at a time: with several under way groups are smaller, each of
// them has its own cost at both ends, and etcd writes its log one after another.
func (s *Store) commitLoop(ctx context.Context) error {
	var waiting []*request
	defer func() { s.inbox.close(waiting) }()
	for ctx.Err() == nil {
		if waiting = s.inbox.take(waiting); len(waiting) == 0 {
			select {
			case <-s.inbox.some:
			case <-ctx.Done():
			}
			continue
		}
		var group []*request
		group, waiting = nextGroup(waiting)
		s.askSpace()
		if group = s.admitted(group); len(group) > 0 {
			s.send(context.WithoutCancel(ctx), group)
		}
	}
	return nil
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
