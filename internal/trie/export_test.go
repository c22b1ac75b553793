package trie

import "testing"

// WeakHash leaves only some bits of every hash for the time of a test, so that
// keys collide.
func WeakHash(t *testing.T, bits uint64) {
	t.Helper()
	was := mask
	mask = bits
	t.Cleanup(func() { mask = was })
}
