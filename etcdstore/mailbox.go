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
// is no error. It begins with what was left since this server took the judge's
// office, and misses nothing when a watch breaks: a letter stays until the next
// one of its server takes its place.
func (s *Store) ReadMail(ctx context.Context, hear func(witnesses []string) error) error {
	pause := newPause()
	for revision := s.office.Load(); ctx.Err() == nil; {
		was := revision
		revision = s.readMail(ctx, revision, hear)
		if revision > was {
			pause.reset()
		}
		_ = pause.wait(ctx) // only fails with ctx, which the loop asks
	}
	return nil
}

// readMail reads the letters that came after a revision, and those that come,
// until the watch ends. It returns the revision of the last one.
func (s *Store) readMail(ctx context.Context, revision int64, hear func([]string) error) int64 {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	within, done := context.WithTimeout(ctx, commitTimeout)
	resp, err := s.client.Get(within, mailPrefix, clientv3.WithPrefix(), clientv3.WithMinModRev(revision+1))
	done()
	if err != nil {
		return revision
	}
	for _, kv := range resp.Kvs {
		s.readLetter(kv, hear)
	}
	revision = max(revision, resp.Header.Revision)
	for resp := range s.client.Watch(clientv3.WithRequireLeader(ctx), mailPrefix,
		clientv3.WithPrefix(), clientv3.WithFilterDelete(), clientv3.WithRev(revision+1)) {
		if resp.Err() != nil {
			return revision
		}
		for _, e := range resp.Events {
			revision = e.Kv.ModRevision
			s.readLetter(e.Kv, hear)
		}
	}
	return revision
}

func (s *Store) readLetter(kv *mvccpb.KeyValue, hear func([]string) error) {
	var letter []string
	if err := json.Unmarshal(kv.Value, &letter); err != nil {
		s.unreadable(fmt.Errorf("mail of server %s: %w", strings.TrimPrefix(string(kv.Key), mailPrefix), err))
		return
	}
	if err := hear(letter); err != nil && !errors.Is(err, registry.ErrUnavailable) {
		s.log.Warn("mail of another server is not taken", "err", err)
	}
}
