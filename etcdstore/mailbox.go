package etcdstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/registry"
)

// mailBytes bounds the witnesses in one letter.
const mailBytes = 512 << 10

// Mail leaves word for the judge that witnesses were heard by this server: the
// way for a server that reaches etcd and no other server. The letters go with
// the lease of [Store.Announce]; without it, or without etcd, the error is
// registry.ErrUnavailable.
func (s *Store) Mail(ctx context.Context, from string, witnesses []string) error {
	lease := clientv3.LeaseID(s.presence.lease.Load())
	if lease == 0 {
		return fmt.Errorf("%w: this server is not announced in etcd", registry.ErrUnavailable)
	}
	for n := 0; len(witnesses) > 0; n++ {
		letter, rest := letterOf(witnesses)
		value, err := json.Marshal(letter)
		if err != nil {
			return fmt.Errorf("mail: %w", err)
		}
		if err := s.putOnce(ctx, mailPrefix+from+"/"+strconv.Itoa(n), string(value), lease); err != nil {
			return outward(err)
		}
		witnesses = rest
	}
	return nil
}

// letterOf returns as many witnesses as one letter takes, at least one.
func letterOf(witnesses []string) (letter, rest []string) {
	bytes := 0
	for i, w := range witnesses {
		if bytes += len(w) + 3; bytes > mailBytes && i > 0 {
			return witnesses[:i], witnesses[i:]
		}
	}
	return witnesses, nil
}

// ReadMail hands what servers leave in the mailbox to hear until ctx ends, which
// is no error. What was left before it began is not read: a judge starts with
// full timers.
func (s *Store) ReadMail(ctx context.Context, hear func(witnesses []string) error) error {
	pause := newPause()
	revision := int64(0) // 0: from now on
	for ctx.Err() == nil {
		was := revision
		revision = s.readMail(ctx, revision, hear)
		if revision > was {
			pause.reset()
		}
		_ = pause.wait(ctx) // only fails with ctx, which the loop asks
	}
	return nil
}

// readMail reads until the watch ends, and returns the revision to go on from.
func (s *Store) readMail(ctx context.Context, revision int64, hear func([]string) error) int64 {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	options := []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithFilterDelete()}
	if revision > 0 {
		options = append(options, clientv3.WithRev(revision+1))
	}
	for resp := range s.client.Watch(clientv3.WithRequireLeader(ctx), mailPrefix, options...) {
		if resp.CompactRevision != 0 {
			return 0
		}
		if resp.Err() != nil {
			return revision
		}
		for _, e := range resp.Events {
			revision = e.Kv.ModRevision
			var letter []string
			if e.Type != mvccpb.Event_PUT {
				continue
			}
			if err := json.Unmarshal(e.Kv.Value, &letter); err != nil {
				s.unreadable(fmt.Errorf("mail of server %s: %w", strings.TrimPrefix(string(e.Kv.Key), mailPrefix), err))
				continue
			}
			if err := hear(letter); err != nil && !errors.Is(err, registry.ErrUnavailable) {
				s.log.Warn("mail of another server is not taken", "err", err)
			}
		}
	}
	return revision
}
