// Package digest adds up what a snapshot holds, by namespace.
package digest

import (
	"iter"

	"github.com/musterhq/muster/internal/trie"
)

// Digests tells by namespace which records stand and at which revisions: two
// snapshots with equal digests hold the same. Digests never change; the zero
// Digests are of nothing.
type Digests struct {
	sums trie.Map[string, uint64] // without zeros, so that what came and went leaves no trace
	sum  uint64
}

// All yields the digest of every namespace that holds something, in no order.
func (d Digests) All() iter.Seq2[string, uint64] { return d.sums.All() }

// Equal reports whether both are of the same records.
func (d Digests) Equal(o Digests) bool {
	if d.sum != o.sum || d.sums.Len() != o.sums.Len() {
		return false
	}
	for namespace, sum := range d.sums.All() {
		if other, _ := o.sums.Get(namespace); other != sum {
			return false
		}
	}
	return true
}

// Sum returns one number for all namespaces, 0 for nothing.
func (d Digests) Sum() uint64 { return d.sum }

// With returns the digests with sum added to the namespace's: what is said of one
// more record by [Hash.At], or of many, added up.
func (d Digests) With(namespace string, sum uint64) Digests {
	return d.Add(new(trie.Edit), namespace, sum)
}

// Add is With as part of an edit.
func (d Digests) Add(e *trie.Edit, namespace string, sum uint64) Digests {
	was, _ := d.sums.Get(namespace)
	if was+sum == 0 {
		return Digests{d.sums.Without(e, namespace), d.sum + sum}
	}
	return Digests{d.sums.With(e, namespace, was+sum), d.sum + sum}
}

// Hash is the FNV-1a hash of a record's key, yet to be mixed with a revision. It
// is the same in every process and version.
type Hash uint64

const (
	fnvOffset Hash = 14695981039346656037
	fnvPrime  Hash = 1099511628211
)

// Key returns the hash of a kind of record and the parts of its name, with 0xff
// between them, which no UTF-8 text holds.
func Key(kind string, parts ...string) Hash {
	h := fnvOffset.text(kind)
	for _, part := range parts {
		h = ((h ^ 0xff) * fnvPrime).text(part)
	}
	return h
}

func (h Hash) text(s string) Hash {
	for i := range len(s) {
		h = (h ^ Hash(s[i])) * fnvPrime
	}
	return h
}

// At returns what a record that was last changed at revision adds to a digest.
// Sums of plain FNV hashes would cancel out, as neighbouring revisions differ in
// few bits; the finalizer of splitmix64 spreads them over all.
func (h Hash) At(revision int64) uint64 {
	for shift := 0; shift < 64; shift += 8 {
		h = (h ^ Hash(revision>>shift&0xff)) * fnvPrime
	}
	z := uint64(h)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
