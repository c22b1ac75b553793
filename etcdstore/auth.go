package etcdstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/auth"
	"github.com/musterhq/muster/registry"
)

const (
	authPrefix = prefix + "auth/"
	// maxAuthValue bounds a record, far above the largest role.
	maxAuthValue = 64 << 10
)

// Auth is the side of a Store that keeps users, tokens and keys, an auth.Store.
// They are few and seldom change, so they have a watch of their own that no burst of
// registrations is ahead of, and their own small transactions.
type Auth struct {
	store *Store
	view  auth.View
}

// Auth returns that side of the store.
func (s *Store) Auth() *Auth { return &s.auth }

// View implements auth.Store.
func (a *Auth) View() *auth.View { return &a.view }

// Commit implements auth.Store.
func (a *Auth) Commit(ctx context.Context, w auth.Write) (int64, error) {
	if a.store.cfg.ReadOnly {
		return 0, fmt.Errorf("%w: the store is read only", auth.ErrUnavailable)
	}
	var compares []clientv3.Cmp
	for _, c := range w.Checks {
		compares = append(compares, clientv3.Compare(clientv3.ModRevision(authKey(c.Key)), "=", c.Revision))
	}
	var ops []clientv3.Op
	for _, rec := range w.Puts {
		value, err := json.Marshal(rec)
		if err != nil {
			return 0, fmt.Errorf("encode %s: %w", rec.RecordKey(), err)
		}
		if len(value) > maxAuthValue {
			return 0, fmt.Errorf("%w: %s is over %d bytes", auth.ErrInvalid, rec.RecordKey(), maxAuthValue)
		}
		ops = append(ops, clientv3.OpPut(authKey(rec.RecordKey()), string(value)))
	}
	for _, k := range w.Deletes {
		ops = append(ops, clientv3.OpDelete(authKey(k)))
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	resp, err := a.store.client.Txn(ctx).If(compares...).Then(ops...).Commit()
	if err != nil {
		return 0, authError(outward(err))
	}
	if !resp.Succeeded {
		return 0, auth.ErrConflict
	}
	return resp.Header.Revision, nil
}

// authError names the registry's sentinels as auth does.
func authError(err error) error {
	if errors.Is(err, registry.ErrFull) || errors.Is(err, registry.ErrUnavailable) {
		return fmt.Errorf("%w: %w", auth.ErrUnavailable, err)
	}
	return err
}

func authKey(k auth.Key) string { return authPrefix + string(k.Kind) + "/" + escaped(k.Name) }

// parseAuthKey reverses authKey.
func parseAuthKey(s string) (auth.Key, error) {
	parts, err := unescaped(strings.TrimPrefix(s, authPrefix))
	if err != nil || len(parts) != 2 {
		return auth.Key{}, fmt.Errorf("key %q is no record", s)
	}
	k := auth.Key{Kind: auth.Kind(parts[0]), Name: parts[1]}
	if authKey(k) != s {
		return auth.Key{}, fmt.Errorf("key %q is no record: it should be spelled %q", s, authKey(k))
	}
	return k, nil
}

// follow lists all records, publishes them, and goes on with the watch until ctx ends.
// After a time it lists again, whatever the watch says: etcd has lost events, and one
// of them may be a revocation.
func (a *Auth) follow(ctx context.Context) error {
	if a.store.cfg.ReadOnly {
		return nil // who only answers questions needs no secrets
	}
	pause := newPause()
	for ctx.Err() == nil {
		began := time.Now()
		err := a.listAndWatch(ctx)
		if ctx.Err() != nil {
			break
		}
		if time.Since(began) > a.listEvery()/2 {
			pause.reset()
		}
		if !errors.Is(err, errListAgain) {
			a.store.log.Warn("users and keys are read again", "err", err)
			_ = a.store.beforeRetry(ctx, pause) // only fails with ctx, which the loop asks
		}
	}
	return nil
}

// maxListAge bounds how long a revocation goes unheard that etcd did not tell: every server
// is to know of it within 5 s. The records are few.
const maxListAge = 4 * time.Second

// listEvery is after what time all is listed again.
func (a *Auth) listEvery() time.Duration { return min(a.store.cfg.ReconcileEvery, maxListAge) }

// errListAgain ends a watch that did nothing wrong.
var errListAgain = errors.New("time to list again")

func (a *Auth) listAndWatch(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(clientv3.WithRequireLeader(ctx), a.listEvery(), errListAgain)
	defer cancel()
	resp, err := a.list(ctx)
	if err != nil {
		return fmt.Errorf("list %s: %w", authPrefix, err)
	}
	revision := resp.Header.Revision
	var none *auth.Snapshot
	a.view.Publish(none.Apply(revision, slices.Values(a.changes(resp.Kvs))))
	for resp := range a.store.client.Watch(ctx, authPrefix, clientv3.WithPrefix(), clientv3.WithRev(revision+1)) {
		if err := resp.Err(); err != nil {
			return fmt.Errorf("watch %s: %w", authPrefix, err)
		}
		events := resp.Events
		if a.store.spoil != nil {
			events = a.store.spoil(events)
		}
		if len(events) == 0 {
			continue
		}
		// Of several changes of one record the last counts.
		last := map[string]*mvccpb.KeyValue{}
		for _, e := range events {
			revision = e.Kv.ModRevision
			last[string(e.Kv.Key)] = e.Kv
		}
		a.view.Publish(a.view.Snapshot().Apply(revision, slices.Values(a.changes(slices.Collect(maps.Values(last))))))
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return errBroken
}

func (a *Auth) list(ctx context.Context) (*clientv3.GetResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*commitTimeout)
	defer cancel()
	return a.store.client.Get(ctx, authPrefix, clientv3.WithPrefix())
}

// changes decodes records; a key with no value was deleted. One that cannot be read is
// what Decode makes of it, or left out as if it was not there: then somebody is refused,
// and nobody let in.
func (a *Auth) changes(kvs []*mvccpb.KeyValue) []auth.Change {
	all := make([]auth.Change, 0, len(kvs))
	for _, kv := range kvs {
		k, err := parseAuthKey(string(kv.Key))
		if err != nil {
			a.store.unreadable(err)
			continue
		}
		c := auth.Change{Key: k, Revision: kv.ModRevision}
		if len(kv.Value) > 0 {
			if c.Record, err = auth.Decode(k, kv.Value); err != nil {
				a.store.unreadable(err)
			}
		}
		all = append(all, c)
	}
	return all
}
