package etcdstore

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/registry"
)

// serialSlack is how far above the highest serial known a raised epoch leads, as
// other servers may have served higher ones.
const serialSlack = 1 << 16

// serial is the epoch in effect with what it must lead above.
type serial struct {
	turns atomic.Uint64 // odd while epoch and snapshot change together
	now   atomic.Uint32 // the epoch

	mu      sync.Mutex
	highest uint32 // of all serials shown, 0: none yet; guarded by mu
}

// epochUnread stands for the revision of the epoch before it was first read.
const epochUnread = -1

// Load returns the epoch. It waits for a change of epoch and snapshot that is
// under way, which takes no longer than to publish a snapshot.
func (n *serial) Load() uint32 {
	for {
		turn := n.turns.Load()
		epoch := n.now.Load()
		if turn%2 == 0 && turn == n.turns.Load() {
			return epoch
		}
		runtime.Gosched()
	}
}

// Epoch is added to the revision of the registry's snapshot to make the SOA
// serial. It changes when etcd was restored, together with the snapshot: whoever
// reads one between two equal readings of the other has a pair that belongs
// together.
func (s *Store) Epoch() uint32 { return s.epoch.Load() }

// Serial returns the SOA serial: epoch and revision of the registry's snapshot,
// added up as serials are (RFC 1982). It never goes back, not even when etcd is
// restored; before the first snapshot it is what the Config said.
func (s *Store) Serial() uint32 {
	for {
		turn := s.epoch.turns.Load()
		epoch, snap := s.epoch.now.Load(), s.view.Snapshot()
		switch {
		case turn%2 != 0 || turn != s.epoch.turns.Load():
			runtime.Gosched()
		case snap == nil:
			return s.cfg.HighestSerial
		default:
			return epoch + uint32(snap.Revision())
		}
	}
}

// publish shows a registry snapshot under an epoch.
func (s *Store) publish(next *registry.Snapshot, epoch uint32) {
	n := &s.epoch
	serial := epoch + uint32(next.Revision())
	n.mu.Lock()
	if n.highest == 0 || before(n.highest, serial) {
		n.highest = serial
	}
	n.mu.Unlock()
	if epoch == n.now.Load() {
		s.view.Publish(next)
		return
	}
	n.turns.Add(1)
	n.now.Store(epoch)
	s.view.Publish(next)
	n.turns.Add(1)
}

// before compares serials (RFC 1982).
func before(a, b uint32) bool { return int32(a-b) < 0 }

// settleEpoch returns the epoch to publish a revision under so that the serial
// does not go back, and is a new one after a restore. It raises the epoch in etcd
// if need be. Others may do so at the same time: each raises it only for as long
// as it is too low for its own serials.
func (s *Store) settleEpoch(ctx context.Context, revision int64, restored bool) (uint32, error) {
	n := &s.epoch
	n.mu.Lock()
	highest := n.highest
	n.mu.Unlock()
	for {
		epoch, was, err := s.readEpoch(ctx)
		if err != nil {
			return 0, err
		}
		serial := epoch + uint32(revision)
		if highest == 0 || before(highest, serial) || !restored && serial == highest {
			s.epochRead.Store(was)
			return epoch, nil
		}
		raised := highest + serialSlack - uint32(revision)
		s.log.Error("the SOA serial would go back: raising the epoch; was etcd restored?",
			"serial", serial, "served", highest, "epoch_was", epoch, "epoch", raised)
		s.metrics.epochs.Inc()
		stored, err := s.raiseEpoch(ctx, raised, was)
		if err != nil {
			return 0, err
		}
		if stored == notStored {
			s.epochRead.Store(was)
			if own := n.now.Load(); !restored && !before(own+uint32(revision), highest) {
				return own, nil // raised before, for this server alone
			}
			return raised, nil
		}
		if stored != 0 {
			s.epochRead.Store(stored)
			return raised, nil
		}
	}
}

func (s *Store) readEpoch(ctx context.Context) (epoch uint32, revision int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	resp, err := s.client.Get(ctx, epochKey)
	if err != nil {
		return 0, 0, err
	}
	kv := only(resp.Kvs)
	return parseEpoch(kv), kv.GetModRevision(), nil
}

// notStored means that a raised epoch counts for this server alone: it may not
// write, or etcd is full.
const notStored = -1

// raiseEpoch puts the epoch if it was last changed at revision was, and returns
// the revision of the put; 0 when somebody else was faster.
func (s *Store) raiseEpoch(ctx context.Context, epoch uint32, was int64) (int64, error) {
	if s.cfg.ReadOnly {
		return notStored, nil
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	resp, err := s.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(epochKey), "=", was)).
		Then(clientv3.OpPut(epochKey, strconv.FormatUint(uint64(epoch), 10))).Commit()
	switch {
	case errors.Is(err, rpctypes.ErrNoSpace):
		return notStored, nil
	case err != nil:
		return 0, err
	case !resp.Succeeded:
		return 0, nil
	}
	return resp.Header.Revision, nil
}
