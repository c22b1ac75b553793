package config

import (
	"context"
	"hash/maphash"
)

// turns has those who change one aggregate on one server wait for each other. Each
// that loses to another has stored a whole content for nothing: of twenty at once that
// were fifty times what is kept.
type turns struct {
	seed  maphash.Seed
	doors [64]chan struct{} // several documents may share one
}

func newTurns() *turns {
	t := &turns{seed: maphash.MakeSeed()}
	for i := range t.doors {
		t.doors[i] = make(chan struct{}, 1)
	}
	return t
}

// take waits for the turn of k, which ends with done.
func (t *turns) take(ctx context.Context, k Key) (done func(), err error) {
	door := t.doors[maphash.Comparable(t.seed, k)%uint64(len(t.doors))]
	select {
	case door <- struct{}{}:
		return func() { <-door }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
