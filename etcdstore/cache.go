package etcdstore

import (
	"container/list"
	"sync"
)

const (
	contentCacheBytes = 64 << 20 // bounds the contents kept in memory
	entryBytes        = 300      // that a content takes beside itself: short ones are many
)

// cache keeps the contents used last, up to a sum of bytes. A content never
// changes under its digest, so nothing in it is ever out of date.
type cache struct {
	mu    sync.Mutex
	room  int
	order *list.List // of entry, most recent first
	byKey map[string]*list.Element
}

type entry struct {
	digest  string
	content []byte
}

func newCache(room int) *cache {
	return &cache{room: room, order: list.New(), byKey: map[string]*list.Element{}}
}

func (c *cache) get(digest string) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[digest]
	if !ok {
		return nil, false
	}
	c.order.MoveToFront(e)
	return e.Value.(entry).content, true
}

func (c *cache) put(digest string, content []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.byKey[digest]; ok {
		return
	}
	c.byKey[digest] = c.order.PushFront(entry{digest, content})
	for c.room -= len(content) + entryBytes; c.room < 0 && c.order.Len() > 1; {
		oldest := c.order.Remove(c.order.Back()).(entry)
		delete(c.byKey, oldest.digest)
		c.room += len(oldest.content) + entryBytes
	}
}
