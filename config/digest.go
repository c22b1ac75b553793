package config

import (
	"github.com/musterhq/muster/internal/digest"
	"github.com/musterhq/muster/internal/trie"
)

// Digests tells by namespace which documents and sequences stand and at which
// revisions.
type Digests = digest.Digests

// RecordDigest returns what a document's head, or else its sequence, that was
// last changed at revision adds to the digest of its namespace. The sum is the
// same in every process and version.
func RecordDigest(k Key, isHead bool, revision int64) (namespace string, sum uint64) {
	kind := "seq"
	if isHead {
		kind = "doc"
	}
	return k.Namespace, digest.Key(kind, k.Namespace, k.Group, k.DataID).At(revision)
}

// recordKey names a head or a sequence.
type recordKey struct {
	Key
	isHead bool
}

// account moves the digest from what stood under the key of c to what does now,
// while s is in the making.
func (s *Snapshot) account(e *trie.Edit, c Change) {
	k := recordKey{c.Key, c.IsHead}
	if was, ok := s.records.Get(k); ok {
		namespace, sum := RecordDigest(c.Key, c.IsHead, was)
		s.digests, s.records = s.digests.Add(e, namespace, -sum), s.records.Without(e, k)
	}
	if c.Unreadable || c.IsHead && c.Head != nil || !c.IsHead && c.Last != 0 {
		namespace, sum := RecordDigest(c.Key, c.IsHead, c.Revision)
		s.digests, s.records = s.digests.Add(e, namespace, sum), s.records.With(e, k, c.Revision)
	}
}
