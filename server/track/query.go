package track

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/musterhq/muster/config"
)

// Holders returns what clients hold of a document, by their ids. With an error it
// is what is in memory: who was heard of lately.
func (t *Track) Holders(k config.Key) ([]Holder, error) {
	all := t.holdersInMemory(k)
	known := idsOf(all)
	cut := time.Now().Add(-t.cfg.Keep).UnixMilli()
	prefix := appendDocument(nil, k)
	err := t.file.view(func(docs, _ *bolt.Bucket) error {
		c := docs.Cursor()
		for key, value := c.Seek(prefix); bytes.HasPrefix(key, prefix); key, value = c.Next() {
			_, id, ok := parseKey(key)
			if !ok || known[id] {
				continue
			}
			if r, err := decode(value); err == nil && r.seen >= cut {
				all = append(all, r.holder(id, k))
			}
		}
		return nil
	})
	t.unread(err)
	slices.SortFunc(all, func(a, b Holder) int { return strings.Compare(a.Client.ID, b.Client.ID) })
	return all, err
}

// unread counts a query of which part could not be read.
func (t *Track) unread(err error) {
	if err != nil {
		t.metrics.unread.Inc()
	}
}

// holdersInMemory comes before the file is read: what leaves memory later is in
// the file by then.
func (t *Track) holdersInMemory(k config.Key) []Holder {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := t.docs[k]
	if d == nil {
		return nil
	}
	all := make([]Holder, 0, len(d.holders))
	for c, e := range d.holders {
		all = append(all, e.holder(c.id, k))
	}
	return all
}

func idsOf(all []Holder) map[string]bool {
	ids := make(map[string]bool, len(all))
	for _, h := range all {
		ids[h.Client.ID] = true
	}
	return ids
}

// Held returns what a client holds, by documents. With an error it is what is in
// memory.
func (t *Track) Held(clientID string) ([]Holder, error) {
	all := t.heldInMemory(clientID)
	known := make(map[config.Key]bool, len(all))
	for _, h := range all {
		known[h.Key] = true
	}
	cut := time.Now().Add(-t.cfg.Keep).UnixMilli()
	prefix := appendName(nil, clientID)
	err := t.file.view(func(docs, clients *bolt.Bucket) error {
		c := clients.Cursor()
		for key, _ := c.Seek(prefix); bytes.HasPrefix(key, prefix); key, _ = c.Next() {
			key := byDocumentKey(key)
			k, _, ok := parseKey(key)
			if !ok || known[k] {
				continue
			}
			if r, err := decode(docs.Get(key)); err == nil && r.seen >= cut {
				all = append(all, r.holder(clientID, k))
			}
		}
		return nil
	})
	t.unread(err)
	slices.SortFunc(all, func(a, b Holder) int { return compareKeys(a.Key, b.Key) })
	return all, err
}

func (t *Track) heldInMemory(id string) []Holder {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.clients[id]
	if c == nil {
		return nil
	}
	all := make([]Holder, 0, len(c.docs))
	for d, e := range c.docs {
		all = append(all, e.holder(id, d.key))
	}
	return all
}

func compareKeys(a, b config.Key) int {
	return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Group, b.Group), strings.Compare(a.DataID, b.DataID))
}
