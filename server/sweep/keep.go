package sweep

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/musterhq/muster/registry"
)

// forgetAfter is how long an override outlives its instance, so that one which
// comes back soon finds what the operator said of it.
const forgetAfter = time.Minute

// clearAfter is how long a service that came with its instances outlives the
// last of them.
const clearAfter = time.Minute

// dropAfter is how long a verdict on a connection stands that holds nothing any more:
// what has been written may still be on its way.
const dropAfter = 10 * time.Second

// keepKey names a record that is kept for a while: a tombstone, the override of
// an instance that is gone, the claim of a service that is, a service that has no
// instances any more, or the verdict on a connection that has none.
type keepKey struct {
	registry.InstanceKey // zero for a claim, of a service without endpoint

	tombstone bool
	folded    string              // of a claim
	verdict   registry.VerdictKey // on a connection that holds nothing
}

// keep is how long such a record was seen.
type keep struct {
	record  any // a tombstone, claim or service, of which another one begins anew; nil for an override
	since   int64
	writing atomic.Bool
	over    atomic.Bool // it was not there at a later look, or it is another one
}

// clean removes the records whose time is over. Their time begins when this Run
// first sees them, so a new judge only ever keeps longer.
func (j *judge) clean(ctx context.Context, now int64) {
	keeps := make(map[keepKey]*keep)
	for t := range j.snap.Tombstones() {
		k := j.kept(keeps, keepKey{InstanceKey: t.Key, tombstone: true}, t, now)
		if now-k.since >= int64(t.Keep) {
			j.end(ctx, k, "buried", func(ctx context.Context) error { return j.registry.Bury(ctx, t) })
		}
	}
	for key := range j.snap.Overrides() {
		if j.snap.Instance(key) != nil || j.snap.Override(key).Pinned {
			continue
		}
		k := j.kept(keeps, keepKey{InstanceKey: key}, nil, now)
		if now-k.since >= int64(forgetAfter) {
			j.end(ctx, k, "forgotten", func(ctx context.Context) error { return j.registry.Forget(ctx, key) })
		}
	}
	for s := range j.snap.Empty() {
		k := j.kept(keeps, keepKey{InstanceKey: registry.InstanceKey{Service: s.Key}}, s, now)
		if now-k.since >= int64(clearAfter) {
			j.end(ctx, k, "cleared", func(ctx context.Context) error { return j.registry.Clear(ctx, s) })
		}
	}
	for c := range j.snap.Released() {
		k := j.kept(keeps, keepKey{folded: c.Folded}, c, now)
		if now-k.since >= int64(max(c.Keep, j.config.Hold())) {
			j.end(ctx, k, "freed", func(ctx context.Context) error { return j.registry.Free(ctx, c) })
		}
	}
	for v := range j.snap.Idle() {
		k := j.kept(keeps, keepKey{verdict: v.Key}, v, now)
		if now-k.since >= int64(dropAfter) {
			j.end(ctx, k, "dropped", func(ctx context.Context) error { return j.registry.Drop(ctx, v) })
		}
	}
	for key, k := range j.keeps {
		k.over.Store(keeps[key] != k)
	}
	j.keeps = keeps
}

// kept notes in keeps that a record is still there and returns since when.
func (j *judge) kept(keeps map[keepKey]*keep, key keepKey, record any, now int64) *keep {
	k := j.keeps[key]
	if k == nil || k.record != record {
		k = &keep{record: record, since: now}
	}
	keeps[key] = k
	return k
}

// end has the crew remove a record, unless it is at it. What fails is due again
// at the next look.
func (j *judge) end(ctx context.Context, k *keep, what string, remove func(context.Context) error) {
	if !k.writing.CompareAndSwap(false, true) {
		return
	}
	j.crew.Do(ctx, func(ctx context.Context) {
		defer k.writing.Store(false)
		if k.over.Load() { // while the crew was busy
			return
		}
		ctx, cancel := context.WithTimeout(ctx, writeWithin)
		defer cancel()
		j.note(ctx, what, remove(ctx))
	})
}
