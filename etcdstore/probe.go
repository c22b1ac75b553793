package etcdstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	probeEvery = time.Second
	staleAfter = 3 * time.Second
	// stuckAfter is how long a watch may stay behind what etcd says there is.
	stuckAfter = 5 * time.Second
	// retryProbe parts the attempts of one probe: a connection that broke may be
	// another one at once.
	retryProbe = 100 * time.Millisecond
)

// now is the time since the store's start, on the monotonic clock.
func (s *Store) now() time.Duration { return time.Since(s.start) }

// Stale returns how old the published snapshots may be, and whether that is so
// old that those who read them should be told. The age is never understated: it
// counts from the moment before etcd was last asked for what both of them show.
func (s *Store) Stale() (time.Duration, bool) {
	age := s.now() - time.Duration(s.proof.proven.Load())
	return age, age > staleAfter
}

// Cluster returns the id of the etcd cluster, which a restored one does not share
// with the one it was made of; 0 before etcd has answered.
func (s *Store) Cluster() uint64 { return s.cluster.Load() }

// Away returns why etcd is taken not to answer, as registry.ErrUnavailable; nil
// while it does.
func (s *Store) Away() error { return s.health.err(s.now()) }

// Ready reports whether both domains have been listed in full and were then
// proven to be current.
func (s *Store) Ready() bool {
	return s.view.Snapshot() != nil && s.configs.view.Snapshot() != nil && s.proof.proven.Load() != 0
}

// probe asks etcd once a second, and at once when somebody suspects it, what
// there is, until ctx ends.
func (s *Store) probe(ctx context.Context) error {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	var h history
	for {
		s.ask(ctx, &h)
		select {
		case <-tick.C:
		case <-s.health.ask:
		case <-ctx.Done():
			return nil
		}
	}
}

// ask is one probe: attempts for as long as a probe may take. The first one that
// fails may have met a connection that just broke, the second one tells.
func (s *Store) ask(ctx context.Context, h *history) {
	began := s.now()
	within, cancel := context.WithTimeout(ctx, probeEvery)
	defer cancel()
	for attempt := 1; ; attempt++ {
		err := s.readGenerations(within, h)
		if err == nil || ctx.Err() != nil {
			return
		}
		if attempt > 1 || forbidden(err) || within.Err() != nil {
			s.health.fail(began, err)
		}
		if conn := s.client.ActiveConnection(); conn != nil {
			conn.ResetConnectBackoff() // it grows to minutes otherwise
		}
		select {
		case <-within.Done():
			s.health.fail(began, err)
			return
		case <-time.After(retryProbe/2 + rand.N(retryProbe)):
		}
	}
}

// readGenerations reads epoch and generations in one linearizable transaction.
func (s *Store) readGenerations(ctx context.Context, h *history) error {
	began, era := s.now(), s.era.Load()
	floor := max(h.revision, s.proof.complete(era))
	epochWas := s.epochRead.Load()
	resp, err := s.client.Txn(ctx).Then(clientv3.OpGet(epochKey),
		clientv3.OpGet(registryGeneration), clientv3.OpGet(configGeneration)).Commit()
	if err != nil {
		return err
	}
	s.health.answer(began)
	if era != s.era.Load() {
		return nil // it is known already that there is another history now
	}
	kv := func(i int) *mvccpb.KeyValue { return only(resp.Responses[i].GetResponseRange().Kvs) }
	var why string
	switch {
	case h.cluster != 0 && h.cluster != resp.Header.ClusterId:
		why = "it is another cluster"
	case resp.Header.Revision < floor:
		why = fmt.Sprintf("its revision went back from %d to %d", floor, resp.Header.Revision)
	case kv(0).GetModRevision() != epochWas && epochWas != epochUnread && s.epochRead.Load() == epochWas:
		why = "the epoch was changed"
	}
	h.cluster, h.revision = resp.Header.ClusterId, resp.Header.Revision
	s.cluster.Store(h.cluster)
	if why != "" {
		s.newEra(why)
		return nil
	}
	r := reading{began: began, era: era}
	for d := range domains {
		r.need[d] = kv(1 + int(d)).GetModRevision()
		if r.need[d] == 0 {
			// Nothing was written yet, or transactions leave no trace there for now: a
			// snapshot must be complete up to this very revision.
			r.need[d] = resp.Header.Revision
			s.feeds[d].askProgress(ctx, s.client)
		}
	}
	s.proof.read(r)
	s.endStuckWatches()
	return nil
}

// endStuckWatches lists a domain again whose watch stays behind although etcd
// answers: etcd has lost watch events in released versions.
func (s *Store) endStuckWatches() {
	for _, f := range s.feeds {
		if !f.listing.Load() && s.proof.behind(f.domain, s.now()-stuckAfter) && f.listAgain(order{why: "the watch is stuck"}) {
			s.metrics.stuck.Inc()
			s.log.Error("a watch does not bring what etcd has: listing again", "prefix", f.prefix, "behind_for", stuckAfter)
		}
	}
}

// history tells one sequence of revisions from another: a restored etcd begins a
// new one. It is owned by the probe.
type history struct {
	cluster  uint64
	revision int64 // the highest that was seen
}

// newEra is called when etcd has another history than what was published: nothing
// proves that to be current, and everything is listed again.
func (s *Store) newEra(why string) {
	s.era.Add(1)
	s.metrics.histories.Inc()
	s.log.Error("etcd has another history than what was shown, as after a restore: listing everything again", "why", why)
	for _, f := range s.feeds {
		f.listAgain(order{why: why})
	}
}

func only(kvs []*mvccpb.KeyValue) *mvccpb.KeyValue {
	if len(kvs) == 0 {
		return nil
	}
	return kvs[0]
}

// parseEpoch returns 0 for what cannot be read.
func parseEpoch(kv *mvccpb.KeyValue) uint32 {
	n, _ := strconv.ParseUint(string(kv.GetValue()), 10, 32)
	return uint32(n)
}
