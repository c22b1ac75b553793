package config

import (
	"slices"
	"strings"
	"sync"

	"github.com/musterhq/muster/internal/trie"
	"github.com/musterhq/muster/internal/view"
)

// Snapshot holds the head of every document at one revision. It never changes;
// [Snapshot.Apply] returns another one that shares what did not change.
type Snapshot struct {
	revision int64
	heads    trie.Map[Key, *Document]
	seqs     trie.Map[Key, Sequence]
	records  trie.Map[recordKey, int64] // revisions of all heads and sequences, also of what cannot be read
	digests  Digests

	sortOnce sync.Once
	sorted   []*Document
}

// Sequence is the last number of a document's history; it outlives the document.
type Sequence struct {
	Last     int64
	Revision int64 // of its last change, 0 when there is none
}

// Change is one head or sequence as it stands after a commit.
type Change struct {
	Key      Key
	Head     *Document // nil with IsHead: deleted
	IsHead   bool      // else it is a sequence
	Last     int64     // 0 without IsHead: deleted
	Revision int64     // of the commit, above 0
	// Unreadable means that there is a head or sequence and nobody can tell what
	// it says: readers see none, but the digests count it, as they count what the
	// store has.
	Unreadable bool
}

// Apply returns the snapshot at revision, after changes; the receiver may be nil.
func (s *Snapshot) Apply(revision int64, changes []Change) *Snapshot {
	next := &Snapshot{revision: revision}
	if s != nil {
		next.heads, next.seqs, next.records, next.digests = s.heads, s.seqs, s.records, s.digests
	}
	e := new(trie.Edit)
	for _, c := range changes {
		if c.Unreadable {
			c.Head, c.Last = nil, 0
		}
		switch {
		case c.IsHead && c.Head != nil:
			next.heads = next.heads.With(e, c.Key, c.Head)
		case c.IsHead:
			next.heads = next.heads.Without(e, c.Key)
		case c.Last != 0:
			next.seqs = next.seqs.With(e, c.Key, Sequence{c.Last, c.Revision})
		default:
			next.seqs = next.seqs.Without(e, c.Key)
		}
		next.account(e, c)
	}
	return next
}

// Digests tells which heads and sequences the snapshot holds.
func (s *Snapshot) Digests() Digests { return s.digests }

// Revision returns the store's revision this snapshot shows.
func (s *Snapshot) Revision() int64 { return s.revision }

// Len returns how many documents there are.
func (s *Snapshot) Len() int { return s.heads.Len() }

// Head returns the head of a document, or nil.
func (s *Snapshot) Head(k Key) *Document {
	d, _ := s.heads.Get(k)
	return d
}

// Sequence returns where the history of a document stands.
func (s *Snapshot) Sequence(k Key) Sequence {
	q, _ := s.seqs.Get(k)
	return q
}

// MD5 returns the digest of a document's content as clients compare it, empty
// when there is none.
func (s *Snapshot) MD5(k Key) string {
	if d := s.Head(k); d != nil {
		return d.MD5
	}
	return ""
}

// Documents returns all heads ordered by namespace, group and data id; the slice
// is shared and not to be modified.
func (s *Snapshot) Documents() []*Document {
	s.sortOnce.Do(func() {
		s.sorted = make([]*Document, 0, s.heads.Len())
		for _, d := range s.heads.All() {
			s.sorted = append(s.sorted, d)
		}
		slices.SortFunc(s.sorted, func(a, b *Document) int { return a.Key.compare(b.Key) })
	})
	return s.sorted
}

func (k Key) compare(o Key) int {
	if c := strings.Compare(k.Namespace, o.Namespace); c != 0 {
		return c
	}
	if c := strings.Compare(k.Group, o.Group); c != 0 {
		return c
	}
	return strings.Compare(k.DataID, o.DataID)
}

// View holds the current snapshot.
type View = view.View[Snapshot, *Snapshot]
