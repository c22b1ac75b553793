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
	if c.store.readOnly {
		return 0, fmt.Errorf("%w: the store is read only", config.ErrUnavailable)
	}
	tail := docTail(w.Key)
	r := newRequest(configGeneration)
	r.check(docPrefix+tail, w.HeadWas)
	r.check(seqPrefix+tail, w.SeqWas)
	if w.Head == nil {
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
		chunk := content[:min(len(content), chunkBytes)]
		if _, err := c.store.client.Put(ctx, blobChunk(digest, n), string(chunk)); err != nil {
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
	switch {
	case errors.Is(err, registry.ErrFull):
		return config.ErrFull
	case errors.Is(err, registry.ErrUnavailable):
		return fmt.Errorf("%w: %w", config.ErrUnavailable, err)
	}
	return err
}

// feed builds configuration snapshots.
func (c *Configs) feed() feed {
	var next *config.Snapshot
	return feed{
		prefix: configPrefix,
		reset:  func() { next = nil },
		next: func(revision int64, events []*clientv3.Event) {
			changes := make([]config.Change, 0, len(events))
			for _, e := range events {
				change, ok, err := configChange(e)
				if err != nil {
					c.store.unreadable(err)
				} else if ok {
					changes = append(changes, change)
				}
			}
			next = next.Apply(revision, changes)
		},
		publish: func() {
			if next != c.view.Snapshot() {
				c.view.Publish(next)
			}
		},
	}
}

// configChange decodes one event; a key of neither kind is none of ours to read.
func configChange(e *clientv3.Event) (config.Change, bool, error) {
	key := string(e.Kv.Key)
	change := config.Change{Revision: e.Kv.ModRevision}
	tail, isSeq := strings.CutPrefix(key, seqPrefix)
	if !isSeq {
		if tail, change.IsHead = strings.CutPrefix(key, docPrefix); !change.IsHead {
			return change, false, nil
		}
	}
	var err error
	if change.Key, err = parseDocTail(tail); err != nil {
		return change, false, err
	}
	if e.Type != mvccpb.Event_PUT {
		return change, true, nil
	}
	if isSeq {
		if change.Last, err = strconv.ParseInt(string(e.Kv.Value), 10, 64); err != nil {
			return change, false, fmt.Errorf("sequence of %s: %w", change.Key, err)
		}
		return change, true, nil
	}
	head := &config.Document{Key: change.Key, Revision: e.Kv.ModRevision}
	if err := json.Unmarshal(e.Kv.Value, head); err != nil {
		return change, false, fmt.Errorf("document %s: %w", change.Key, err)
	}
	change.Head = head
	return change, true, nil
}
