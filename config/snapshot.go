package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/musterhq/muster/internal/digest"
	"github.com/musterhq/muster/internal/trie"
	"github.com/musterhq/muster/internal/view"
)

// Snapshot holds all records at one revision. It never changes; [Snapshot.Apply]
// returns another one that shares what did not change.
type Snapshot struct {
	revision   int64
	count      int // of documents
	entries    trie.Map[Key, entry]
	policies   trie.Map[scope, *Policy]
	tallies    trie.Map[string, int64]    // revisions, by namespace
	unreadable trie.Map[RecordKey, int64] // revisions of what nobody can tell what it says
	usage      trie.Map[scope, Usage]
	names      trie.Map[scope, uint64] // sums of the hashes of the data ids, by group
	digests    Digests
	order      order
}

// entry is what stands under the name of one document.
type entry struct {
	document *Document
	releases []*Release // the highest priority first
	parts    []*Part    // by datum id
	last     int64      // number of its history
	numbered int64      // the revision at which that changed
}

func (e entry) empty() bool {
	return e.document == nil && len(e.releases) == 0 && len(e.parts) == 0 && e.last == 0
}

// Change is one record as it stands after a commit.
type Change struct {
	Key      RecordKey
	Record   Record // nil: deleted
	Revision int64  // of the commit, above 0
	// Unreadable means that there is a record and nobody can tell what it says:
	// readers see none, but the digests count it, as they count what the store has.
	Unreadable bool
}

// Apply returns the snapshot at revision, after changes; the receiver may be nil.
func (s *Snapshot) Apply(revision int64, changes []Change) *Snapshot {
	next := &Snapshot{revision: revision}
	if s != nil {
		next.order.after(&s.order, changes)
		next.count, next.entries, next.policies, next.tallies = s.count, s.entries, s.policies, s.tallies
		next.unreadable, next.usage, next.names, next.digests = s.unreadable, s.usage, s.names, s.digests
	}
	e := new(trie.Edit)
	for _, c := range changes {
		if c.Unreadable {
			c.Record = nil
		}
		next.account(e, c)
		next.put(e, c)
	}
	return next
}

// put makes one change to s, which is in the making.
func (s *Snapshot) put(e *trie.Edit, c Change) {
	k := c.Key
	switch k.Kind {
	case KindPolicy:
		if p, ok := c.Record.(*Policy); ok {
			s.policies = s.policies.With(e, scope{k.Namespace, k.Group}, p)
		} else {
			s.policies = s.policies.Without(e, scope{k.Namespace, k.Group})
		}
		return
	case KindTally:
		if c.Record != nil {
			s.tallies = s.tallies.With(e, k.Namespace, c.Revision)
		} else {
			s.tallies = s.tallies.Without(e, k.Namespace)
		}
		return
	}
	stands, _ := s.entries.Get(k.Key)
	next := stands.with(c)
	s.count += there(next.document) - there(stands.document)
	s.use(e, k.Key, stands.document, next.document)
	if next.empty() {
		s.entries = s.entries.Without(e, k.Key)
	} else {
		s.entries = s.entries.With(e, k.Key, next)
	}
}

// with returns the entry after a change; what other snapshots share is left alone.
func (e entry) with(c Change) entry {
	switch c.Key.Kind {
	case KindDocument:
		e.document, _ = c.Record.(*Document)
	case KindSequence:
		q, _ := c.Record.(Sequence)
		if e.last = q.Last; e.last != 0 {
			e.numbered = c.Revision
		} else {
			e.numbered = 0
		}
	case KindRelease:
		e.releases = slices.DeleteFunc(slices.Clone(e.releases), func(r *Release) bool { return r.Name == c.Key.Name })
		if r, ok := c.Record.(*Release); ok {
			e.releases = append(e.releases, r)
			slices.SortFunc(e.releases, func(a, b *Release) int {
				return cmp.Or(cmp.Compare(b.Priority, a.Priority), strings.Compare(a.Name, b.Name))
			})
		}
	case KindPart:
		at, found := slices.BinarySearchFunc(e.parts, c.Key.Name, func(p *Part, id string) int { return strings.Compare(p.DatumID, id) })
		e.parts = slices.Clone(e.parts)
		p, ok := c.Record.(*Part)
		switch {
		case ok && found:
			e.parts[at] = p
		case ok:
			e.parts = slices.Insert(e.parts, at, p)
		case found:
			e.parts = slices.Delete(e.parts, at, at+1)
		}
	}
	return e
}

func there(d *Document) int {
	if d == nil {
		return 0
	}
	return 1
}

// use counts a document that was, and one that is in its place.
func (s *Snapshot) use(e *trie.Edit, k Key, was, is *Document) {
	if was == is {
		return
	}
	if there(was) != there(is) {
		s.rename(e, k, is != nil)
	}
	d := usageOf(is).minus(usageOf(was))
	for _, o := range []scope{{k.Namespace, ""}, {k.Namespace, k.Group}} {
		u, _ := s.usage.Get(o)
		u.Count += d.Count
		u.Total += d.Total
		if u == (Usage{}) {
			s.usage = s.usage.Without(e, o)
		} else {
			s.usage = s.usage.With(e, o, u)
		}
	}
}

// rename counts a data id that came into its group, or went.
func (s *Snapshot) rename(e *trie.Edit, k Key, came bool) {
	group, sum := scope{k.Namespace, k.Group}, digest.Key("name", k.DataID).At(0)
	if !came {
		sum = -sum
	}
	was, _ := s.names.Get(group)
	if was+sum == 0 {
		s.names = s.names.Without(e, group)
	} else {
		s.names = s.names.With(e, group, was+sum)
	}
}

func usageOf(d *Document) Usage {
	if d == nil {
		return Usage{}
	}
	return Usage{1, int64(d.Size)}
}

func (u Usage) minus(o Usage) Usage { return Usage{u.Count - o.Count, u.Total - o.Total} }

// Digests tells which records the snapshot holds.
func (s *Snapshot) Digests() Digests { return s.digests }

// Revision returns the store's revision this snapshot shows.
func (s *Snapshot) Revision() int64 { return s.revision }

// Len returns how many documents there are.
func (s *Snapshot) Len() int { return s.count }

// Names returns a number for the set of documents that a group has: the same in
// every process for the same data ids, and another for others; 0 for none.
func (s *Snapshot) Names(namespace, group string) uint64 {
	sum, _ := s.names.Get(scope{namespace, group})
	return sum
}

// Head returns the head of a document, or nil.
func (s *Snapshot) Head(k Key) *Document {
	e, _ := s.entries.Get(k)
	return e.document
}

// Absent returns why there is no document under a key: ErrNotFound, or that it is not
// legible.
func (s *Snapshot) Absent(k Key) error {
	return cmp.Or(s.Legible(k), fmt.Errorf("document %s: %w", k, ErrNotFound))
}

// Legible returns ErrUnavailable where there is a document and nobody here can tell
// what it says. Told as absence that would have clients drop what they have.
func (s *Snapshot) Legible(k Key) error {
	if _, ok := s.unreadable.Get(RecordKey{Kind: KindDocument, Key: k}); ok {
		return fmt.Errorf("document %s in the store cannot be read: %w", k, ErrUnavailable)
	}
	return nil
}

// Releases returns the gray releases of a document, the highest priority first;
// the slice is shared and not to be modified.
func (s *Snapshot) Releases(k Key) []*Release {
	e, _ := s.entries.Get(k)
	return e.releases
}

// Release returns a gray release of a document, or nil.
func (s *Snapshot) Release(k Key, name string) *Release {
	for _, r := range s.Releases(k) {
		if r.Name == name {
			return r
		}
	}
	return nil
}

// Parts returns the parts of an aggregate, by datum id; the slice is shared and
// not to be modified.
func (s *Snapshot) Parts(k Key) []*Part {
	e, _ := s.entries.Get(k)
	return e.parts
}

// Sequence returns where the history of a document stands.
func (s *Snapshot) Sequence(k Key) Sequence {
	e, _ := s.entries.Get(k)
	return Sequence{k, e.last, e.numbered}
}

// Keys calls yield for each name that a document, a gray release, a part or a
// history stands under, in no order.
func (s *Snapshot) Keys(yield func(Key) bool) {
	for k := range s.entries.All() {
		if !yield(k) {
			return
		}
	}
}

// View holds the current snapshot.
type View = view.View[Snapshot, *Snapshot]
