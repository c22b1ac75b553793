package auth

import (
	"crypto/sha256"
	"iter"
	"maps"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/internal/view"
)

// Snapshot is all that is known at a revision of the store. It is never modified.
type Snapshot struct {
	revision int64
	records  map[Key]kept
	digests  map[[sha256.Size]byte]*Token
	policy   *access.Policy
}

// kept is a record with the revision that it was put at.
type kept struct {
	Record

	revision int64
}

// View holds the current Snapshot; it holds none until the first list is done.
type View = view.View[Snapshot, *Snapshot]

// Change is one record that was put at a revision, or deleted: Record is nil then.
type Change struct {
	Key      Key
	Record   Record
	Revision int64
}

// Apply returns the snapshot that shows revision: s with changes. A nil Snapshot is
// an empty one.
func (s *Snapshot) Apply(revision int64, changes iter.Seq[Change]) *Snapshot {
	next := &Snapshot{revision: revision, records: map[Key]kept{}, digests: map[[sha256.Size]byte]*Token{}}
	if s != nil {
		maps.Copy(next.records, s.records)
	}
	for c := range changes {
		if c.Record == nil {
			delete(next.records, c.Key)
		} else {
			next.records[c.Key] = kept{c.Record, c.Revision}
		}
	}
	rules := map[string][]access.Rule{}
	for _, rec := range next.records {
		switch rec := rec.Record.(type) {
		case *Token:
			if len(rec.Digest) == sha256.Size {
				next.digests[[sha256.Size]byte(rec.Digest)] = rec
			}
		case *Role:
			rules[rec.Name] = rec.Rules
		}
	}
	// Every role was checked when it was decoded; one that is wrong for all that leaves
	// nobody with rights.
	next.policy, _ = access.NewPolicy(rules)
	return next
}

// Revision returns the revision that s shows.
func (s *Snapshot) Revision() int64 { return s.revision }

// Policy returns what the roles allow.
func (s *Snapshot) Policy() *access.Policy { return s.policy }

// User returns the user of a name, nil when there is none.
func (s *Snapshot) User(name string) *User { return find[*User](s, Key{KindUser, name}) }

// Role returns the role of a name, nil when there is none that was made.
func (s *Snapshot) Role(name string) *Role { return find[*Role](s, Key{KindRole, name}) }

// Token returns the token of an id, nil when there is none.
func (s *Snapshot) Token(id string) *Token { return find[*Token](s, Key{KindToken, id}) }

// Users yields all users, in no order.
func (s *Snapshot) Users() iter.Seq[*User] { return all[*User](s) }

// Roles yields all roles that were made, in no order.
func (s *Snapshot) Roles() iter.Seq[*Role] { return all[*Role](s) }

// Tokens yields all tokens, in no order.
func (s *Snapshot) Tokens() iter.Seq[*Token] { return all[*Token](s) }

// Keys yields all signing keys, in no order.
func (s *Snapshot) Keys() iter.Seq[*SigningKey] { return all[*SigningKey](s) }

// started reports whether the first administrator was made.
func (s *Snapshot) started() bool { return s.records[startKey].Record != nil }

func find[R Record](s *Snapshot, k Key) (rec R) {
	rec, _ = s.records[k].Record.(R)
	return rec
}

func all[R Record](s *Snapshot) iter.Seq[R] {
	return func(yield func(R) bool) {
		for _, rec := range s.records {
			if r, ok := rec.Record.(R); ok && !yield(r) {
				return
			}
		}
	}
}
