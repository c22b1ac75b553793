package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/registry"
)

// Configs is the configuration centre's side of a Store, a config.Store.
type Configs struct {
	store  *Store
	view   config.View
	recent recent
	cache  *cache
	vault  Vault // nil: nothing is encrypted
}

// View returns the view of the configuration centre's snapshots.
func (c *Configs) View() *config.View { return &c.view }

// Commit implements config.Store. Contents that are long, or several, are stored
// ahead of the transaction that refers to them; only then is any of them visible.
func (c *Configs) Commit(ctx context.Context, w config.Write) (int64, error) {
	if c.store.cfg.ReadOnly {
		return 0, fmt.Errorf("%w: the store is read only", config.ErrUnavailable)
	}
	r := newRequest(configGeneration)
	for _, check := range w.Checks {
		r.check(configKey(check.Key), check.Revision)
	}
	r.demand = notes
	if len(w.Contents) > 0 {
		r.demand = creates
	}
	for _, content := range w.Contents {
		if err := c.storeContent(ctx, r, content, len(w.Contents) == 1); err != nil {
			return 0, err
		}
	}
	for _, rec := range w.Puts {
		value, err := c.encode(rec)
		if err != nil {
			return 0, fmt.Errorf("encode %v: %w", rec.RecordKey(), err)
		}
		r.put(configKey(rec.RecordKey()), string(value))
	}
	for _, k := range w.Deletes {
		if k.Kind == config.KindPart && k.Name == "" {
			r.clear(partsPrefix(k.Key))
			continue
		}
		r.delete(configKey(k))
	}
	for _, h := range w.History {
		value, err := c.encodeHistory(h)
		if err != nil {
			return 0, fmt.Errorf("encode history of %s: %w", h.Key, err)
		}
		r.put(historyKey(h.Key, h.Seq), string(value))
	}
	res := c.store.submit(ctx, r)[0]
	if res.err != nil {
		return 0, configError(res.err)
	}
	if !res.ok {
		return 0, &config.StaleError{Revision: res.revision}
	}
	for _, content := range w.Contents {
		c.cache.put(content.Digest, content.Bytes)
	}
	return res.revision, nil
}

// configError names the registry's sentinels as the configuration centre does.
func configError(err error) error {
	switch {
	case errors.Is(err, rpctypes.ErrTooManyOps):
		return &config.InvalidError{Field: "edits", Reason: "are more than this etcd takes in one transaction: raise its --max-txn-ops, or make fewer"}
	case errors.Is(err, rpctypes.ErrRequestTooLarge):
		return &config.InvalidError{Field: "edits", Reason: "tell of their documents more than etcd takes in one transaction: make fewer"}
	}
	for was, is := range map[error]error{registry.ErrFull: config.ErrFull, registry.ErrUnavailable: config.ErrUnavailable} {
		if errors.Is(err, was) {
			return fmt.Errorf("%w: %s", is, strings.TrimPrefix(err.Error(), was.Error()+": "))
		}
	}
	return err
}

// feed builds configuration snapshots.
func (c *Configs) feed() *feed {
	var next *config.Snapshot
	return &feed{
		domain: configDomain, name: "config", prefix: configPrefix, generation: configGeneration,
		orders: make(chan order, 1),
		begin:  func() { next = nil },
		next: func(revision int64, events []*clientv3.Event) {
			changes := make([]config.Change, 0, len(events))
			for _, e := range events {
				change, ok, err := configChange(e, c.decode)
				if err != nil {
					c.store.unreadable(err)
				}
				if ok {
					changes = append(changes, change)
				}
			}
			next = next.Apply(revision, changes)
		},
		publish: func(uint32) { c.view.Publish(next) },
		stands: func() (int64, iter.Seq2[string, uint64]) {
			snap := c.view.Snapshot()
			return snap.Revision(), snap.Digests().All()
		},
		digest: func(key string, revision int64) (string, uint64, bool) {
			k, ok, _ := parseConfigKey(key)
			if !ok {
				return "", 0, false
			}
			namespace, sum := config.RecordDigest(k, revision)
			return namespace, sum, true
		},
	}
}

// configChange decodes one event; false means that its key is none of a record.
// What cannot be read is a change too, with an error.
func configChange(e *clientv3.Event, decode decodeConfig) (config.Change, bool, error) {
	k, ok, err := parseConfigKey(string(e.Kv.Key))
	change := config.Change{Key: k, Revision: e.Kv.ModRevision}
	if !ok || e.Type != mvccpb.Event_PUT {
		return change, ok, err
	}
	if change.Record, err = decode(k, e.Kv.Value, e.Kv.ModRevision); err != nil {
		change.Record, change.Unreadable = nil, true
		return change, true, fmt.Errorf("record %s of %s: %w", k.Kind, k.Key, err)
	}
	return change, true, nil
}

// decodeConfig reads the stored form of a record.
type decodeConfig func(k config.RecordKey, value []byte, revision int64) (config.Record, error)
