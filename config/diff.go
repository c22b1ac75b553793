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
		trie.Diff(was.entries, is.entries, func(k Key) {
			if more && (was.Head(k) != is.Head(k) || !slices.Equal(was.Releases(k), is.Releases(k))) {
				more = yield(k)
			}
		})
	}
}
