// Package trie is a persistent hash map: changing one makes another that shares
// all that did not change, so that an immutable snapshot of a large table costs
// as much as what changed since the one before it.
package trie

import (
	"hash/maphash"
	"iter"
	"math/bits"
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

type node[K comparable, V any] struct {
	owner  *Edit
	bitmap uint32       // which of the 32 children exist; unused below the last level
	slots  []slot[K, V] // in the order of the bits
}

// slot holds either a child or a key and its value.
type slot[K comparable, V any] struct {
	child *node[K, V]
	key   K
	value V
}

const (
	levelBits = 5
	lastLevel = 60 // below this shift the hash is used up: slots are a plain list
)

var (
	seed = maphash.MakeSeed()
	mask = ^uint64(0) // fewer bits in tests, so that hashes collide
)

func hashOf[K comparable](key K) uint64 { return maphash.Comparable(seed, key) & mask }

// Get returns the value of a key, and false when it is absent.
func (t Map[K, V]) Get(key K) (value V, ok bool) {
	hash := hashOf(key)
	n := t.root
	for shift := uint(0); n != nil; shift += levelBits {
		if shift > lastLevel {
			for i := range n.slots {
				if n.slots[i].key == key {
					return n.slots[i].value, true
				}
			}
			return value, false
		}
		bit := uint32(1) << (hash >> shift & 31)
		if n.bitmap&bit == 0 {
			return value, false
		}
		s := &n.slots[bits.OnesCount32(n.bitmap&(bit-1))]
		if s.child == nil {
			if s.key == key {
				return s.value, true
			}
			return value, false
		}
		n = s.child
	}
	return value, false
}

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
	if n == nil {
		return &node[K, V]{owner: e}
	}
	if n.owner == e {
		return n
	}
	slots := make([]slot[K, V], len(n.slots), len(n.slots)+1)
	copy(slots, n.slots)
	return &node[K, V]{e, n.bitmap, slots}
}

func (n *node[K, V]) put(e *Edit, shift uint, hash uint64, key K, value V, added *bool) *node[K, V] {
	n = n.own(e)
	if shift > lastLevel {
		for i := range n.slots {
			if n.slots[i].key == key {
				n.slots[i].value = value
				return n
			}
		}
		*added = true
		n.slots = append(n.slots, slot[K, V]{key: key, value: value})
		return n
	}
	bit := uint32(1) << (hash >> shift & 31)
	i := bits.OnesCount32(n.bitmap & (bit - 1))
	if n.bitmap&bit == 0 {
		*added = true
		n.bitmap |= bit
		n.slots = append(n.slots, slot[K, V]{})
		copy(n.slots[i+1:], n.slots[i:])
		n.slots[i] = slot[K, V]{key: key, value: value}
		return n
	}
	s := &n.slots[i]
	switch {
	case s.child != nil:
		s.child = s.child.put(e, shift+levelBits, hash, key, value, added)
	case s.key == key:
		s.value = value
	default: // two keys share the slot: both move one level down
		var child *node[K, V]
		child = child.put(e, shift+levelBits, hashOf(s.key), s.key, s.value, added)
		*s = slot[K, V]{child: child.put(e, shift+levelBits, hash, key, value, added)}
	}
	return n
}

// remove is called only for a key that is there. It returns nil for a node
// that became empty.
func (n *node[K, V]) remove(e *Edit, shift uint, hash uint64, key K) *node[K, V] {
	n = n.own(e)
	i, bit := 0, uint32(0)
	if shift > lastLevel {
		for n.slots[i].key != key {
			i++
		}
	} else {
		bit = uint32(1) << (hash >> shift & 31)
		i = bits.OnesCount32(n.bitmap & (bit - 1))
		if s := &n.slots[i]; s.child != nil {
			if s.child = s.child.remove(e, shift+levelBits, hash, key); s.child != nil {
				return n
			}
		}
	}
	n.bitmap &^= bit
	n.slots = append(n.slots[:i], n.slots[i+1:]...)
	clear(n.slots[len(n.slots):cap(n.slots)][:1])
	if len(n.slots) == 0 {
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
	for i := range n.slots {
		s := &n.slots[i]
		if s.child != nil && !s.child.walk(yield) || s.child == nil && !yield(s.key, s.value) {
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
	if a == nil || b == nil || a.bitmap == 0 || b.bitmap == 0 {
		a.walk(func(k K, _ V) bool { f(k); return true })
		b.walk(func(k K, _ V) bool {
			if _, seen := was.Get(k); !seen || a == nil {
				f(k)
			}
			return true
		})
		return
	}
	for all := a.bitmap | b.bitmap; all != 0; all &= all - 1 {
		bit := all & -all
		diffSlots(was, is, a.at(bit), b.at(bit), f)
	}
}

// at returns the slot of one bit, nil when there is none.
func (n *node[K, V]) at(bit uint32) *slot[K, V] {
	if n.bitmap&bit == 0 {
		return nil
	}
	return &n.slots[bits.OnesCount32(n.bitmap&(bit-1))]
}

func diffSlots[K comparable, V any](was, is Map[K, V], a, b *slot[K, V], f func(K)) {
	if a != nil && b != nil && a.child != nil && b.child != nil {
		diffNodes(was, is, a.child, b.child, f)
		return
	}
	each := func(s *slot[K, V], f func(K)) {
		if s == nil {
			return
		}
		if s.child == nil {
			f(s.key)
			return
		}
		s.child.walk(func(k K, _ V) bool { f(k); return true })
	}
	each(a, f)
	each(b, func(k K) {
		if _, seen := was.Get(k); !seen { // else it was reported from a: both lie in this slot
			f(k)
		}
	})
}
