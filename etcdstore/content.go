package etcdstore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/config"
)

// chunkBytes keeps every value well below etcd's limit for a request.
const chunkBytes = 512 << 10

// blob is the head of a stored content.
type blob struct {
	Size   int `json:"size"` // bytes, as stored
	Chunks int `json:"chunks"`
}

func blobHead(digest string) string { return blobPrefix + digest + "/head" }

// blobChunk sorts before the head and in order.
func blobChunk(digest string, n int) string { return fmt.Sprintf("%s%s/%04d", blobPrefix, digest, n) }

// alongBytes is how long a content may be that goes along without asking whether
// it is there already: to ask takes longer than to write it again.
const alongBytes = 32 << 10

// storeContent makes sure that a content lies under its digest once r is
// committed. The head is put again in any case, so that a collector that saw the
// content unused finds it changed. A short one goes along when it is the only one.
func (c *Configs) storeContent(ctx context.Context, r *request, content config.Content, alone bool) error {
	ctx, cancel := context.WithTimeout(ctx, 4*commitTimeout)
	defer cancel()
	if err := c.store.ready(r.demand); err != nil {
		return configError(err)
	}
	stored, err := c.seal(content)
	if err != nil {
		return err
	}
	head, err := json.Marshal(blob{len(stored), (len(stored) + chunkBytes - 1) / chunkBytes})
	if err != nil {
		return err
	}
	key := blobHead(content.Digest)
	if !alone || len(stored) > alongBytes {
		resp, err := c.store.client.Get(ctx, key)
		if err != nil {
			return configError(outward(err))
		}
		if kv := only(resp.Kvs); kv != nil {
			r.put(key, string(kv.Value))
			r.kept(key, resp.Header.Revision) // else its chunks may be gone
			return nil
		}
	}
	r.put(key, string(head))
	if alone && len(stored) <= chunkBytes {
		r.put(blobChunk(content.Digest, 0), string(stored))
		return nil
	}
	for n := 0; len(stored) > 0; n++ {
		if err := c.store.ready(r.demand); err != nil {
			return configError(err)
		}
		chunk := stored[:min(len(stored), chunkBytes)]
		put, err := c.store.client.Put(ctx, blobChunk(content.Digest, n), string(chunk))
		if err != nil {
			if full(err) {
				c.store.noSpace()
			}
			return configError(outward(err))
		}
		if n == 0 {
			r.kept(blobChunk(content.Digest, n), put.Header.Revision) // they go all at once
		}
		stored = stored[len(chunk):]
	}
	return nil
}

// Content implements config.Store. What is read is checked against its digest.
func (c *Configs) Content(ctx context.Context, digest string) ([]byte, error) {
	if content, ok := c.cache.get(digest); ok {
		return content, nil
	}
	if err := ctx.Err(); err != nil { // an etcd in this process may answer all the same
		return nil, err
	}
	stored, err := c.stored(ctx, digest, true)
	if err != nil { // it may not be here yet, or this member is busy
		if away := c.store.health.err(c.store.now()); away != nil {
			return nil, configError(away)
		}
		stored, err = c.stored(ctx, digest, false)
	}
	if err != nil {
		return nil, fmt.Errorf("content %s: %w", digest, err)
	}
	content, err := c.open(digest, stored)
	if err != nil {
		return nil, err
	}
	c.cache.put(digest, content)
	return content, nil
}

// stored returns what lies under a digest. The member of etcd that is here may say
// so without the others, from which it may be cut off: under a digest there is
// never anything else, and what it lacks the others may have.
func (c *Configs) stored(ctx context.Context, digest string, here bool) ([]byte, error) {
	patience, options := 2*commitTimeout, []clientv3.OpOption{clientv3.WithPrefix()}
	if here {
		patience, options = readHere, append(options, clientv3.WithSerializable())
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	resp, err := c.store.client.Get(ctx, blobPrefix+digest+"/", options...)
	if err != nil {
		return nil, configError(outward(err))
	}
	return whole(resp.Kvs)
}

// readHere is how long the member here is asked by itself.
const readHere = 500 * time.Millisecond

// whole joins the chunks of a content, of which the last pair is the head.
func whole(pairs []*mvccpb.KeyValue) ([]byte, error) {
	if len(pairs) == 0 || !strings.HasSuffix(string(pairs[len(pairs)-1].Key), "/head") {
		return nil, config.ErrNotFound
	}
	var stored []byte
	for _, kv := range pairs[:len(pairs)-1] {
		stored = append(stored, kv.Value...)
	}
	var head blob
	if err := json.Unmarshal(pairs[len(pairs)-1].Value, &head); err != nil || head.Size != len(stored) {
		return nil, errors.New("is damaged: it is not as long as it was stored")
	}
	return stored, nil
}

// Holding implements config.Store. A few contents are read one by one; else all
// there are, in the order they lie in, as that takes far fewer requests.
func (c *Configs) Holding(ctx context.Context, digests map[string]bool, text string) (map[string]bool, error) {
	found := map[string]bool{}
	if len(digests) <= fewContents {
		for digest := range digests {
			content, err := c.Content(ctx, digest)
			if errors.Is(err, config.ErrNotFound) {
				continue // deleted, and collected, since the caller looked
			}
			if err != nil {
				return nil, err
			}
			if bytes.Contains(content, []byte(text)) {
				found[digest] = true
			}
		}
		return found, nil
	}
	err := c.scan(ctx, func(digest string, pairs []*mvccpb.KeyValue) error {
		if !digests[digest] {
			return nil
		}
		stored, err := whole(pairs)
		if err != nil {
			return nil //nolint:nilerr // half stored, so nothing refers to it yet
		}
		if !config.Sealed(digest) && !bytes.Contains(stored, []byte(text)) {
			return nil // whatever it should have been: to check each takes longer than to look into it
		}
		content, err := c.open(digest, stored)
		if err == nil && bytes.Contains(content, []byte(text)) {
			found[digest] = true
		}
		return err
	})
	return found, err
}

const (
	fewContents = 32 // are read one by one
	firstBlobs  = 64 // keys of contents that are read at first: 32 MiB at the most
)

// scan calls f with the pairs of each content that is stored, chunks and head.
func (c *Configs) scan(ctx context.Context, f func(digest string, pairs []*mvccpb.KeyValue) error) error {
	var pairs []*mvccpb.KeyValue
	digest := ""
	err := c.store.walk(ctx, blobPrefix, clientv3.GetPrefixRangeEnd(blobPrefix), firstBlobs, func(page []*mvccpb.KeyValue) error {
		for _, kv := range page {
			name, _, _ := strings.Cut(strings.TrimPrefix(string(kv.Key), blobPrefix), "/")
			if name != digest && len(pairs) > 0 {
				if err := f(digest, pairs); err != nil {
					return err
				}
				pairs = nil
			}
			digest = name
			pairs = append(pairs, kv)
		}
		return nil
	}, clientv3.WithSerializable())
	if err != nil {
		return configError(err)
	}
	if len(pairs) == 0 {
		return nil
	}
	return f(digest, pairs)
}
