package config

import (
	"slices"

	"github.com/musterhq/muster/internal/digest"
	"github.com/musterhq/muster/internal/trie"
)

// Digests tells by namespace which records stand and at which revisions.
type Digests = digest.Digests

// RecordDigest returns what a record that was last changed at revision adds to
// the digest of its namespace. The sum is the same in every process and version.
func RecordDigest(k RecordKey, revision int64) (namespace string, sum uint64) {
	return k.Namespace, digest.Key(string(k.Kind), k.Names()...).At(revision)
}

// account moves the digest from what stood under the key of c to what does now,
// while s is in the making.
func (s *Snapshot) account(e *trie.Edit, c Change) {
	if was := s.revisionOf(c.Key); was != 0 {
		namespace, sum := RecordDigest(c.Key, was)
		s.digests = s.digests.Add(e, namespace, -sum)
	}
	if c.Unreadable {
		s.unreadable = s.unreadable.With(e, c.Key, c.Revision)
	} else {
		s.unreadable = s.unreadable.Without(e, c.Key)
	}
	if c.Unreadable || c.Record != nil {
		namespace, sum := RecordDigest(c.Key, c.Revision)
		s.digests = s.digests.Add(e, namespace, sum)
	}
}

// revisionOf returns the revision of a record, 0 when there is none.
func (s *Snapshot) revisionOf(k RecordKey) int64 {
	if revision, ok := s.unreadable.Get(k); ok {
		return revision
	}
	switch k.Kind {
	case KindPolicy:
		return s.Policy(k.Namespace, k.Group).Revision
	case KindTally:
		revision, _ := s.tallies.Get(k.Namespace)
		return revision
	}
	e, _ := s.entries.Get(k.Key)
	switch k.Kind {
	case KindDocument:
		if e.document != nil {
			return e.document.Revision
		}
	case KindSequence:
		return e.numbered
	case KindRelease:
		if r := s.Release(k.Key, k.Name); r != nil {
			return r.Revision
		}
	case KindPart:
		if p := e.part(k.Name); p != nil {
			return p.Revision
		}
	}
	return 0
}

func (e entry) part(datumID string) *Part {
	at, found := slices.BinarySearchFunc(e.parts, datumID, byDatum)
	if !found {
		return nil
	}
	return e.parts[at]
}
