// Package trie is a persistent hash map: changing one makes another that shares
// all that did not change, so that an immutable snapshot of a large table costs
// as much as what changed since the one before it.
package trie

import (
	"hash/maphash"
	"iter"
	"math/bits"
	"slices"
)

// Map is a persistent hash map; the zero Map is empty and a copy of the struct
// is a snapshot. Nodes that were made under the same [Edit] are changed in place,
// so that a batch of changes copies each node once.
type Map[K comparable, V any] struct {
	root *node[K, V]
	n    int
}

// Len returns how many keys there are.
func (t Map[K, V]) Len() int { return t.n }

// Edit is the identity of one batch of changes. It must not be used any more once
// a map changed under it has been handed to others.
type Edit struct{ _ byte }

// node keeps its children apart from its entries: the upper levels of a large map
// are children alone, and a change copies a few pointers of each.
type node[K comparable, V any] struct {
	owner    *Edit
	here     uint32        // which of the 32 places hold an entry; unused below the last level
	below    uint32        // and which a child
	entries  []entry[K, V] // in the order of the bits
	children []*node[K, V] // likewise
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

const (
	levelBits = 5
	lastLevel = 60 // below this shift the hash is used up: entries are a plain list
)

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
	hash := hashOf(key)
	n := t.root
	for shift := uint(0); shift <= lastLevel; shift += levelBits {
		bit := uint32(1) << (hash >> shift & 31)
		if n.here&bit != 0 {
			if e := &n.entries[place(n.here, bit)]; e.key == key {
				return e.value, true
			}
			return value, false
		}
		if n.below&bit == 0 {
			return value, false
		}
		n = n.children[place(n.below, bit)]
	}
	for i := range n.entries {
		if n.entries[i].key == key {
			return n.entries[i].value, true
		}
	}
	return value, false
}

// place returns how many bits are set below one.
func place(bitmap, bit uint32) int { return bits.OnesCount32(bitmap & (bit - 1)) }

// With returns the map with key set to value.
func (t Map[K, V]) With(e *Edit, key K, value V) Map[K, V] {
	added := false
	t.root = t.root.put(e, 0, hashOf(key), key, value, &added)
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

// own returns n itself when this edit made it, else a copy.
func (n *node[K, V]) own(e *Edit) *node[K, V] {
	switch {
	case n == nil:
		return &node[K, V]{owner: e}
	case n.owner == e:
		return n
	}
	return &node[K, V]{e, n.here, n.below, slices.Clone(n.entries), slices.Clone(n.children)}
}

// inserted returns a copy of s with v at a place, without room for more: there are
// many, and few grow again.
func inserted[T any](s []T, at int, v T) []T {
	grown := make([]T, len(s)+1)
	copy(grown, s[:at])
	grown[at] = v
	copy(grown[at+1:], s[at:])
	return grown
}

func (n *node[K, V]) put(e *Edit, shift uint, hash uint64, key K, value V, added *bool) *node[K, V] {
	n = n.own(e)
	if shift > lastLevel {
		for i := range n.entries {
			if n.entries[i].key == key {
				n.entries[i].value = value
				return n
			}
		}
		*added = true
		n.entries = inserted(n.entries, len(n.entries), entry[K, V]{key, value})
		return n
	}
	bit := uint32(1) << (hash >> shift & 31)
	if n.below&bit != 0 {
		child := &n.children[place(n.below, bit)]
		*child = (*child).put(e, shift+levelBits, hash, key, value, added)
		return n
	}
	i := place(n.here, bit)
	switch {
	case n.here&bit == 0:
		*added = true
		n.entries = inserted(n.entries, i, entry[K, V]{key, value})
		n.here |= bit
	case n.entries[i].key == key:
		n.entries[i].value = value
	default: // two keys share the place: both move one level down
		was := n.entries[i]
		var child *node[K, V]
		child = child.put(e, shift+levelBits, hashOf(was.key), was.key, was.value, added)
		child = child.put(e, shift+levelBits, hash, key, value, added)
		n.entries = slices.Delete(n.entries, i, i+1)
		n.children = inserted(n.children, place(n.below, bit), child)
		n.here, n.below = n.here&^bit, n.below|bit
	}
	return n
}

// remove is called only for a key that is there. It returns nil for a node
// that became empty.
func (n *node[K, V]) remove(e *Edit, shift uint, hash uint64, key K) *node[K, V] {
	n = n.own(e)
	bit := uint32(1) << (hash >> shift & 31)
	switch {
	case shift > lastLevel:
		i := slices.IndexFunc(n.entries, func(e entry[K, V]) bool { return e.key == key })
		n.entries = slices.Delete(n.entries, i, i+1)
	case n.below&bit != 0:
		i := place(n.below, bit)
		if n.children[i] = n.children[i].remove(e, shift+levelBits, hash, key); n.children[i] != nil {
			return n
		}
		n.children = slices.Delete(n.children, i, i+1)
		n.below &^= bit
	default:
		i := place(n.here, bit)
		n.entries = slices.Delete(n.entries, i, i+1)
		n.here &^= bit
	}
	if len(n.entries)+len(n.children) == 0 {
		return nil
	}
	return n
}

// All yields every entry, in no order.
func (t Map[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) { t.root.walk(yield) }
}

func (n *node[K, V]) walk(yield func(K, V) bool) bool {
	if n == nil {
		return true
	}
	for i := range n.entries {
		if !yield(n.entries[i].key, n.entries[i].value) {
			return false
		}
	}
	for _, child := range n.children {
		if !child.walk(yield) {
			return false
		}
	}
	return true
}

// Diff calls f with every key whose slot may differ between the two maps, with
// its value in each. Shared nodes are passed over whole, so the cost follows the
// number of changes and not the size. A key may be reported though its value is
// equal: the caller compares.
func Diff[K comparable, V any](was, is Map[K, V], f func(key K)) {
	diffNodes(was, is, was.root, is.root, f)
}

func diffNodes[K comparable, V any](was, is Map[K, V], a, b *node[K, V], f func(K)) {
	if a == b {
		return
	}
	if a.isList() || b.isList() {
		a.walk(func(k K, _ V) bool { f(k); return true })
		b.walk(func(k K, _ V) bool {
			if _, seen := was.Get(k); !seen || a == nil {
				f(k)
			}
			return true
		})
		return
	}
	for all := a.here | a.below | b.here | b.below; all != 0; all &= all - 1 {
		bit := all & -all
		if a.below&b.below&bit != 0 {
			diffNodes(was, is, a.children[place(a.below, bit)], b.children[place(b.below, bit)], f)
			continue
		}
		a.at(bit, f)
		b.at(bit, func(k K) {
			if _, seen := was.Get(k); !seen { // else it was reported from a: both lie in this place
				f(k)
			}
		})
	}
}

// isList reports whether a node has no places to compare with those of another one.
func (n *node[K, V]) isList() bool { return n == nil || n.here|n.below == 0 }

// at calls f with the keys at and below a place.
func (n *node[K, V]) at(bit uint32, f func(K)) {
	switch {
	case n.here&bit != 0:
		f(n.entries[place(n.here, bit)].key)
	case n.below&bit != 0:
		n.children[place(n.below, bit)].walk(func(k K, _ V) bool { f(k); return true })
	}
}
