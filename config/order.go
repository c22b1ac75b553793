package config

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// order is the documents of a snapshot, sorted when somebody asks. To sort them
// all after each change would make lists of many documents slow: those that an
// earlier snapshot has sorted are gone by, as long as few have changed since.
type order struct {
	once   sync.Once
	sorted atomic.Pointer[[]*Document] // nil: nobody has asked yet

	base    []*Document // of an earlier snapshot, nil: there is none
	changed *changed    // since then
}

// changed is a batch of keys, of which some may have changed more than once.
type changed struct {
	keys   []Key
	before *changed
	count  int // with those before
}

// fewChanges is how many changes are always few; of many documents an eighth is.
const fewChanges = 1000

// after readies the order of the snapshot that comes after one, with changes.
func (o *order) after(was *order, changes []Change) {
	o.base, o.changed = was.base, was.changed
	if sorted := was.sorted.Load(); sorted != nil {
		o.base, o.changed = *sorted, nil
	}
	if o.base == nil {
		return
	}
	next := &changed{before: o.changed}
	for _, c := range changes {
		if c.Key.Kind == KindDocument {
			next.keys = append(next.keys, c.Key.Key)
		}
	}
	if len(next.keys) == 0 {
		return
	}
	next.count = len(next.keys)
	if o.changed != nil {
		next.count += o.changed.count
	}
	if o.changed = next; next.count > max(fewChanges, len(o.base)/8) {
		o.base, o.changed = nil, nil
	}
}

// all returns the changed keys in order, each once.
func (c *changed) all() []Key {
	var keys []Key
	for ; c != nil; c = c.before {
		keys = append(keys, c.keys...)
	}
	slices.SortFunc(keys, Key.Compare)
	return slices.Compact(keys)
}

// Documents returns all heads ordered by namespace, group and data id; the slice
// is shared and not to be modified.
func (s *Snapshot) Documents() []*Document {
	s.order.once.Do(func() {
		sorted := s.merge()
		s.order.sorted.Store(&sorted)
	})
	return *s.order.sorted.Load()
}

func (s *Snapshot) merge() []*Document {
	out := make([]*Document, 0, s.count)
	rest := s.order.base
	if rest == nil {
		for _, e := range s.entries.All() {
			if e.document != nil {
				out = append(out, e.document)
			}
		}
		slices.SortFunc(out, func(a, b *Document) int { return a.Key.Compare(b.Key) })
		return out
	}
	for _, k := range s.order.changed.all() {
		at, found := slices.BinarySearchFunc(rest, k, func(d *Document, k Key) int { return d.Key.Compare(k) })
		out = append(out, rest[:at]...)
		if rest = rest[at:]; found {
			rest = rest[1:]
		}
		if d := s.Head(k); d != nil {
			out = append(out, d)
		}
	}
	return append(out, rest...)
}

// In returns the heads of one namespace, ordered by group and data id; the slice
// is shared and not to be modified.
func (s *Snapshot) In(namespace string) []*Document {
	all := s.Documents()
	from, _ := slices.BinarySearchFunc(all, namespace, func(d *Document, ns string) int { return strings.Compare(d.Key.Namespace, ns) })
	n, _ := slices.BinarySearchFunc(all[from:], namespace+"\x00", func(d *Document, ns string) int { return strings.Compare(d.Key.Namespace, ns) })
	return all[from : from+n]
}

// InGroup is In for one group of the namespace.
func (s *Snapshot) InGroup(namespace, group string) []*Document {
	all := s.In(namespace)
	from, _ := slices.BinarySearchFunc(all, group, func(d *Document, g string) int { return strings.Compare(d.Key.Group, g) })
	n, _ := slices.BinarySearchFunc(all[from:], group+"\x00", func(d *Document, g string) int { return strings.Compare(d.Key.Group, g) })
	return all[from : from+n]
}
