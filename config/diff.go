package config

import (
	"iter"
	"slices"

	"github.com/musterhq/muster/internal/trie"
)

// Diff yields the key of each document of which some client may be answered
// something else by one snapshot than by the other; nil has none. The cost follows
// the number of changes.
func Diff(was, is *Snapshot) iter.Seq[Key] {
	if was == nil {
		was = new(Snapshot)
	}
	if is == nil {
		is = new(Snapshot)
	}
	return func(yield func(Key) bool) {
		more := true
		trie.Diff(was.entries, is.entries, func(k Key, a, b entry) {
			if more && (a.document != b.document || !slices.Equal(a.releases, b.releases)) {
				more = yield(k)
			}
		})
	}
}
