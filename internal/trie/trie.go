// Package trie is a persistent hash map: changing one makes another that shares
// all that did not change, so that an immutable snapshot of a large table costs
// as much as what changed since the one before it.
package trie

import (
	"hash/maphash"
	"iter"
)

// Map is a persistent hash map; the zero Map is empty and a copy of the struct
// is a snapshot. Nodes that were made under the same [Edit] are changed in place,
// so that a batch of changes copies each node once.
type Map[K comparable, V any] struct {
	root tree[K, V]
	n    int
}

// Len returns how many keys there are.
func (t Map[K, V]) Len() int { return t.n }

// Edit is the identity of one batch of changes. It must not be used any more once
// a map changed under it has been handed to others.
type Edit struct{ _ byte }

var (
	seed = maphash.MakeSeed()
	mask = ^uint64(0) // fewer bits in tests, so that hashes collide
)

func hashOf[K comparable](key K) uint64 { return maphash.Comparable(seed, key) & mask }

// Get returns the value of a key, and false when it is absent.
func (t Map[K, V]) Get(key K) (value V, ok bool) {
	if t.n == 0 { // many tables are, most of the time
		return value, false
	}
	return t.root.get(hashOf(key), 0, key)
}

// With returns the map with key set to value.
func (t Map[K, V]) With(e *Edit, key K, value V) Map[K, V] {
	added := false
	t.root = t.root.put(e, 0, hashOf(key), entry[K, V]{key, value}, &added)
	if added {
		t.n++
	}
	return t
}

// Without returns the map without key.
func (t Map[K, V]) Without(e *Edit, key K) Map[K, V] {
	if _, ok := t.Get(key); !ok {
		return t
	}
	t.root = t.root.remove(e, 0, hashOf(key), key)
	t.n--
	return t
}

// All yields every entry, in no order.
func (t Map[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) { t.root.walk(yield) }
}

// Diff calls f with every key whose value may differ between two maps, and with its
// value in each, zero where it is absent. What both share is passed over whole, so the
// cost follows the number of changes and not the size. A key may be reported though its
// value is equal: the caller compares.
func Diff[K comparable, V any](was, is Map[K, V], f func(key K, was, is V)) {
	diff(was.root, is.root, 0, f)
}
