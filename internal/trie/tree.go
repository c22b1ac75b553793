package trie

// tree is a map below some bits of a hash: a branch, or a leaf, or neither when it is
// empty.
type tree[K comparable, V any] struct {
	branch *branch[K, V]
	leaf   *leaf[K, V]
}

const (
	levelBits = 4
	width     = 1 << levelBits
	hashBits  = 64 // when they are used up, a leaf takes all
)

// branch is what trees lie below, by the next bits of the hash.
type branch[K comparable, V any] struct {
	owner    *Edit
	branches *[width]*branch[K, V] // nil for none: most branches have leaves alone
	leaves   [width]*leaf[K, V]
}

func (b *branch[K, V]) at(slot uint64) (t tree[K, V]) {
	if t.leaf = b.leaves[slot]; t.leaf == nil && b.branches != nil {
		t.branch = b.branches[slot]
	}
	return t
}

func (b *branch[K, V]) set(slot uint64, t tree[K, V]) {
	b.leaves[slot] = t.leaf
	if t.branch != nil && b.branches == nil {
		b.branches = new([width]*branch[K, V])
	}
	if b.branches != nil {
		b.branches[slot] = t.branch
	}
}

func (b *branch[K, V]) empty() bool {
	return b.leaves == [width]*leaf[K, V]{} && (b.branches == nil || *b.branches == [width]*branch[K, V]{})
}

// own returns b itself when this edit made it, else a copy.
func (b *branch[K, V]) own(e *Edit) *branch[K, V] {
	if b.owner == e {
		return b
	}
	c := *b
	c.owner = e
	if b.branches != nil {
		c.branches = new(*b.branches)
	}
	return &c
}

func slotOf(hash uint64, shift uint) uint64 { return hash >> shift % width }

func (t tree[K, V]) get(hash uint64, shift uint, key K) (value V, ok bool) {
	for t.leaf == nil {
		if t.branch == nil {
			return value, false
		}
		t = t.branch.at(slotOf(hash, shift))
		shift += levelBits
	}
	if i := t.leaf.find(tagOf(hash), key); i >= 0 {
		return t.leaf.entries[i].value, true
	}
	return value, false
}

func (t tree[K, V]) put(e *Edit, shift uint, hash uint64, v entry[K, V], added *bool) tree[K, V] {
	if t.branch != nil {
		b, slot := t.branch.own(e), slotOf(hash, shift)
		b.set(slot, b.at(slot).put(e, shift+levelBits, hash, v, added))
		return tree[K, V]{branch: b}
	}
	l := t.leaf.own(e)
	if i := l.find(tagOf(hash), v.key); i >= 0 {
		l.entries[i].value = v.value
		return tree[K, V]{leaf: l}
	}
	*added = true
	if len(l.entries) < most || shift >= hashBits {
		l.add(tagOf(hash), v)
		return tree[K, V]{leaf: l}
	}
	b := &branch[K, V]{owner: e}
	t = tree[K, V]{branch: b}
	for _, was := range l.entries {
		t.put(e, shift, hashOf(was.key), was, added)
	}
	return t.put(e, shift, hash, v, added)
}

// remove is called only for a key that is there.
func (t tree[K, V]) remove(e *Edit, shift uint, hash uint64, key K) tree[K, V] {
	if t.branch == nil {
		l := t.leaf.own(e)
		if l.drop(l.find(tagOf(hash), key)); len(l.entries) == 0 {
			return tree[K, V]{}
		}
		return tree[K, V]{leaf: l}
	}
	b, slot := t.branch.own(e), slotOf(hash, shift)
	b.set(slot, b.at(slot).remove(e, shift+levelBits, hash, key))
	if b.empty() {
		return tree[K, V]{}
	}
	return tree[K, V]{branch: b}
}

func (t tree[K, V]) walk(yield func(K, V) bool) bool {
	switch {
	case t.leaf != nil:
		for i := range t.leaf.entries {
			if !yield(t.leaf.entries[i].key, t.leaf.entries[i].value) {
				return false
			}
		}
	case t.branch != nil:
		for slot := range uint64(width) {
			if !t.branch.at(slot).walk(yield) {
				return false
			}
		}
	}
	return true
}

// diff is Diff for what lies below the first bits of a hash.
func diff[K comparable, V any](was, is tree[K, V], shift uint, f func(key K, was, is V)) {
	if was == is {
		return
	}
	if was.branch != nil && is.branch != nil {
		for slot := range uint64(width) {
			diff(was.branch.at(slot), is.branch.at(slot), shift+levelBits, f)
		}
		return
	}
	was.walk(func(k K, v V) bool {
		now, _ := is.get(hashOf(k), shift, k)
		f(k, v, now)
		return true
	})
	is.walk(func(k K, v V) bool {
		if old, there := was.get(hashOf(k), shift, k); !there {
			f(k, old, v)
		}
		return true
	})
}
