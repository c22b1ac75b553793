package etcdstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/registry"
)

// Configs is the configuration centre's side of a Store, a config.Store.
type Configs struct {
	store *Store
	view  config.View
	cache *cache
}

// chunkBytes keeps every value well below etcd's limit for a request.
const chunkBytes = 512 << 10

// View returns the view of the configuration centre's snapshots.
func (c *Configs) View() *config.View { return &c.view }

// blob is the head of a stored content.
type blob struct {
	Size   int `json:"size"`
	Chunks int `json:"chunks"`
}

func blobHead(digest string) string { return blobPrefix + digest + "/head" }

// blobChunk sorts before the head and in order.
func blobChunk(digest string, n int) string { return fmt.Sprintf("%s%s/%04d", blobPrefix, digest, n) }

// Commit implements config.Store. Content longer than one chunk is stored ahead
// of the transaction that refers to it; only then is any of it visible.
func (c *Configs) Commit(ctx context.Context, w config.Write) (int64, error) {
	if c.store.cfg.ReadOnly {
		return 0, fmt.Errorf("%w: the store is read only", config.ErrUnavailable)
	}
	tail := docTail(w.Key)
	r := newRequest(configGeneration)
	r.check(docPrefix+tail, w.HeadWas)
	r.check(seqPrefix+tail, w.SeqWas)
	if r.demand = creates; w.Head == nil {
		r.demand = notes
		r.delete(docPrefix + tail)
	} else {
		head, err := json.Marshal(w.Head)
		if err != nil {
			return 0, fmt.Errorf("encode %s: %w", w.Key, err)
		}
		if err := c.storeContent(ctx, r, w.Head.Digest, w.Content); err != nil {
			return 0, err
		}
		r.put(docPrefix+tail, string(head))
	}
	history, err := json.Marshal(w.History)
	if err != nil {
		return 0, fmt.Errorf("encode history of %s: %w", w.Key, err)
	}
	r.put(seqPrefix+tail, strconv.FormatInt(w.Sequence, 10))
	r.put(fmt.Sprintf("%s%s/%016d", historyPrefix, tail, w.Sequence), string(history))
	res := c.store.submit(ctx, r)
	if res.err != nil {
		return 0, configError(res.err)
	}
	if !res.ok {
		return 0, &config.StaleError{Revision: res.revision}
	}
	if w.Head != nil {
		c.cache.put(w.Head.Digest, w.Content)
	}
	return res.revision, nil
}

// storeContent makes sure that content lies under its digest once r is
// committed. The head is put again in any case, so that a collector that saw the
// content unused finds it changed.
func (c *Configs) storeContent(ctx context.Context, r *request, digest string, content []byte) error {
	ctx, cancel := context.WithTimeout(ctx, 4*commitTimeout)
	defer cancel()
	if err := c.store.ready(r.demand); err != nil {
		return configError(err)
	}
	resp, err := c.store.client.Get(ctx, blobHead(digest))
	if err != nil {
		return configError(outward(err))
	}
	head, err := json.Marshal(blob{len(content), (len(content) + chunkBytes - 1) / chunkBytes})
	if err != nil {
		return err
	}
	r.put(blobHead(digest), string(head))
	if len(resp.Kvs) == 1 {
		r.same(blobHead(digest), resp.Kvs[0].CreateRevision) // else its chunks may be gone
		return nil
	}
	if len(content) <= chunkBytes {
		r.put(blobChunk(digest, 0), string(content))
		return nil
	}
	for n := 0; len(content) > 0; n++ {
		if err := c.store.ready(r.demand); err != nil {
			return configError(err)
		}
		chunk := content[:min(len(content), chunkBytes)]
		if _, err := c.store.client.Put(ctx, blobChunk(digest, n), string(chunk)); err != nil {
			if full(err) {
				c.store.noSpace()
			}
			return configError(outward(err))
		}
		content = content[len(chunk):]
	}
	return nil
}

// Content implements config.Store. What is read is checked against its digest.
func (c *Configs) Content(ctx context.Context, digest string) ([]byte, error) {
	if content, ok := c.cache.get(digest); ok {
		return content, nil
	}
	if err := c.store.health.err(c.store.now()); err != nil {
		return nil, configError(err)
	}
	if err := ctx.Err(); err != nil { // an etcd in this process may answer all the same
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*commitTimeout)
	defer cancel()
	resp, err := c.store.client.Get(ctx, blobPrefix+digest+"/", clientv3.WithPrefix())
	if err != nil {
		return nil, configError(outward(err))
	}
	if len(resp.Kvs) == 0 {
		return nil, fmt.Errorf("content %s: %w", digest, config.ErrNotFound)
	}
	var content []byte
	for _, kv := range resp.Kvs[:len(resp.Kvs)-1] { // the last one is the head
		content = append(content, kv.Value...)
	}
	if _, got := config.Sum(content); got != digest {
		return nil, fmt.Errorf("content %s is damaged: what is stored has digest %s", digest, got)
	}
	c.cache.put(digest, content)
	return content, nil
}

// configError names the registry's sentinels as the configuration centre does.
func configError(err error) error {
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
				change, ok, err := configChange(e)
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
			k, isHead, ok, _ := parseConfigKey(key)
			if !ok {
				return "", 0, false
			}
			namespace, sum := config.RecordDigest(k, isHead, revision)
			return namespace, sum, true
		},
	}
}

// configChange decodes one event; false means that its key is none of a record.
// What cannot be read is a change too, with an error.
func configChange(e *clientv3.Event) (config.Change, bool, error) {
	k, isHead, ok, err := parseConfigKey(string(e.Kv.Key))
	change := config.Change{Key: k, IsHead: isHead, Revision: e.Kv.ModRevision}
	if !ok || e.Type != mvccpb.Event_PUT {
		return change, ok, err
	}
	if isHead {
		head := &config.Document{Key: k, Revision: e.Kv.ModRevision}
		if err := json.Unmarshal(e.Kv.Value, head); err != nil {
			change.Unreadable = true
			return change, true, fmt.Errorf("document %s: %w", k, err)
		}
		change.Head = head
		return change, true, nil
	}
	change.Last, err = strconv.ParseInt(string(e.Kv.Value), 10, 64)
	if err == nil && change.Last < 1 {
		err = errors.New("is not above 0")
	}
	if err != nil {
		change.Last, change.Unreadable = 0, true
		return change, true, fmt.Errorf("sequence %q of %s: %w", e.Kv.Value, k, err)
	}
	return change, true, nil
}
