package config

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Kind is the kind of a record of the configuration centre.
type Kind string

// The kinds of records.
const (
	KindDocument Kind = "doc"
	KindRelease  Kind = "rel" // gray
	KindPart     Kind = "prt" // of an aggregate
	KindSequence Kind = "seq"
	KindPolicy   Kind = "pol"
	KindTally    Kind = "tly"
)

// Parts returns how many of namespace, group, data id and name a key of this
// kind has, 0 for an unknown kind.
func (k Kind) Parts() int {
	switch k {
	case KindDocument, KindSequence:
		return 3
	case KindRelease, KindPart:
		return 4
	case KindPolicy:
		return 2
	case KindTally:
		return 1
	}
	return 0
}

// RecordKey names a record.
type RecordKey struct {
	Kind Kind
	Key
	Name string // of a release or part
}

// Names returns the parts of the key that its kind has.
func (k RecordKey) Names() []string {
	return []string{k.Namespace, k.Group, k.DataID, k.Name}[:k.Kind.Parts()]
}

// RecordKeyOf returns the key of a kind that has these names; false when it has
// more or fewer.
func RecordKeyOf(kind Kind, names []string) (RecordKey, bool) {
	if n := kind.Parts(); n == 0 || n != len(names) {
		return RecordKey{}, false
	}
	var all [4]string
	copy(all[:], names)
	return RecordKey{kind, Key{all[0], all[1], all[2]}, all[3]}, true
}

// Record is one stored thing: a [*Document], [*Release], [*Part], [Sequence],
// [*Policy] or [Tally].
type Record interface {
	// RecordKey returns the key that the record is stored under.
	RecordKey() RecordKey
}

// Sequence is the last number of a document's history; it outlives the document.
type Sequence struct {
	Key      Key
	Last     int64
	Revision int64 // of its last change, 0 when there is none
}

// RecordKey implements [Record].
func (q Sequence) RecordKey() RecordKey { return RecordKey{Kind: KindSequence, Key: q.Key} }

// MarshalJSON returns the number.
func (q Sequence) MarshalJSON() ([]byte, error) { return json.Marshal(q.Last) }

// Tally is written by every write that a quota of its namespace bears on, so
// that of two that there is room for but one of, one fails.
type Tally struct {
	Namespace string `json:"-"`
	Revision  int64  `json:"-"`
}

// RecordKey implements [Record].
func (t Tally) RecordKey() RecordKey {
	return RecordKey{Kind: KindTally, Key: Key{Namespace: t.Namespace}}
}

// Decode returns the record that value is the stored form of, last changed at
// revision.
func Decode(k RecordKey, value []byte, revision int64) (Record, error) {
	switch k.Kind {
	case KindDocument:
		d := &Document{Key: k.Key, Revision: revision}
		err := json.Unmarshal(value, d)
		d.intern()
		return d, err
	case KindRelease:
		r := &Release{Name: k.Name, Document: Document{Key: k.Key, Revision: revision}}
		return r, json.Unmarshal(value, r)
	case KindPart:
		p := &Part{Key: k.Key, DatumID: k.Name, Revision: revision}
		return p, json.Unmarshal(value, p)
	case KindPolicy:
		p := &Policy{Namespace: k.Namespace, Group: k.Group, Revision: revision}
		return p, json.Unmarshal(value, p)
	case KindTally:
		return Tally{k.Namespace, revision}, nil
	case KindSequence:
		q := Sequence{Key: k.Key, Revision: revision}
		err := json.Unmarshal(value, &q.Last)
		if err == nil && q.Last < 1 {
			err = errors.New("is not above 0")
		}
		return q, err
	}
	return nil, fmt.Errorf("kind %q is unknown", k.Kind)
}
