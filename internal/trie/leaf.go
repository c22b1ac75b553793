package trie

import (
	"math/bits"
	"slices"
)

// most is how many entries a leaf holds before it becomes a branch.
const most = 32

// leaf holds entries in no order. The tags of all of them lie in one cache line with
// what leads to the entries, so that a key that is not there mostly costs no more than
// this line.
type leaf[K comparable, V any] struct {
	owner   *Edit
	tags    [most / perWord]uint64 // an octet of each entry's hash
	entries []entry[K, V]          // more than there are tags where hashes are used up
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

// A word holds the tags of so many entries.
const (
	perWord = 8
	ones    = 0x0101_0101_0101_0101
	highs   = 0x80 * ones
)

// tagOf returns bits of a hash that choose no way to a leaf, unless the table is huge.
func tagOf(hash uint64) uint64 { return hash >> 56 }

// find returns where a key is, -1 when it is not there.
func (l *leaf[K, V]) find(tag uint64, key K) int {
	if l == nil {
		return -1
	}
	n := min(len(l.entries), most)
	for from := 0; from < n; from += perWord {
		// The high bit of each octet that is equal, and now and then of one above such
		// a one: the key tells.
		differ := l.tags[from/perWord] ^ tag*ones
		for equal := (differ - ones) &^ differ & highs; equal != 0; equal &= equal - 1 {
			i := from + bits.TrailingZeros64(equal)/perWord
			if i >= n {
				break
			}
			if l.entries[i].key == key {
				return i
			}
		}
	}
	for i := n; i < len(l.entries); i++ {
		if l.entries[i].key == key {
			return i
		}
	}
	return -1
}

// own returns l itself when this edit made it, else a copy, of nil an empty leaf.
func (l *leaf[K, V]) own(e *Edit) *leaf[K, V] {
	switch {
	case l == nil:
		return &leaf[K, V]{owner: e}
	case l.owner == e:
		return l
	}
	return &leaf[K, V]{e, l.tags, slices.Clone(l.entries)}
}

// add adds an entry whose key is not there.
func (l *leaf[K, V]) add(tag uint64, v entry[K, V]) {
	if n := len(l.entries); n == cap(l.entries) { // by little: there are many leaves
		l.entries = append(slices.Grow([]entry[K, V](nil), n+1+n/8), l.entries...)
	}
	l.entries = append(l.entries, v)
	l.tag(len(l.entries)-1, tag)
}

// drop takes out an entry.
func (l *leaf[K, V]) drop(i int) {
	last := len(l.entries) - 1
	l.entries[i] = l.entries[last]
	if i < most { // of what lies behind there are no tags
		l.tag(i, tagOf(hashOf(l.entries[i].key)))
	}
	l.entries[last] = entry[K, V]{}
	l.entries = l.entries[:last]
}

// tag notes the tag of an entry.
func (l *leaf[K, V]) tag(i int, tag uint64) {
	if i < most {
		word, at := &l.tags[i/perWord], i%perWord*8
		*word = *word&^(0xff<<at) | tag<<at
	}
}
