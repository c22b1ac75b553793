package etcdstore

import (
	"context"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Spoil has the watches of a store that does not run yet lose events: those that
// f leaves out.
func Spoil(s *Store, f func([]*clientv3.Event) []*clientv3.Event) { s.spoil = f }

// WaitingSets returns how many sets wait for the committer.
func WaitingSets(s *Store) int {
	s.inbox.mu.Lock()
	defer s.inbox.mu.Unlock()
	sets := map[any]bool{}
	for _, r := range s.inbox.in {
		if r.set != nil {
			sets[r.set] = true
		}
	}
	return len(sets)
}

// Proof is what tells the age of snapshots.
type Proof struct{ proof }

// Read takes in that a probe which began then saw these revisions.
func (p *Proof) Read(began time.Duration, era, registry, config int64) {
	p.read(reading{began: began, era: era, need: [domains]int64{registry, config}})
}

// Show takes in that snapshots up to these revisions were published.
func (p *Proof) Show(era, registry, config int64) {
	p.show(registryDomain, progress{era, registry})
	p.show(configDomain, progress{era, config})
}

// Proven returns the begin of the newest probe that was shown.
func (p *Proof) Proven() time.Duration { return time.Duration(p.proven.Load()) }

// BehindRegistry reports whether a probe before then is not shown by the registry.
func (p *Proof) BehindRegistry(before time.Duration) bool { return p.behind(registryDomain, before) }

// StuckAfter is how long a watch may stay behind.
const StuckAfter = stuckAfter

// Passes are those of one term of a judge.
type Passes struct{ last pass }

// Pass looks through all once and tells how much it removed.
func (p *Passes) Pass(ctx context.Context, c *Configs) (trimmed, removed int, err error) {
	next, err := c.pass(ctx, &p.last)
	if err != nil {
		return 0, 0, err
	}
	p.last = *next
	return next.trimmed, next.removed, nil
}

// Idle reports whether the next pass has nothing to do unless something is written.
func (p *Passes) Idle() bool { return p.last.idle() }

// ForgetContents empties the cache, so that contents are read from etcd.
func ForgetContents(c *Configs) { c.cache = newCache(contentCacheBytes) }

// CutContents has all contents gone through by slices for the time of a test.
func CutContents(t *testing.T) {
	was := manyKeys
	manyKeys = 0
	t.Cleanup(func() { manyKeys = was })
}

// References is the set of what contents are referred to.
type References struct{ *references }

// NewReferences returns an empty set.
func NewReferences() References { return References{newReferences()} }

// Add adds a digest.
func (r References) Add(digest string) { r.add(r.sum(digest)) }

// Has reports whether a digest was added.
func (r References) Has(digest string) bool { return r.has(digest) }

// Settle readies the set to be asked.
func (r References) Settle() { r.settle() }

// Bytes returns the memory that the set takes.
func (r References) Bytes() int { return 8 * cap(r.sums) }

// Asked is a request as the committer sees it: what it compares and what it touches,
// and the set that it is of, 0: of none.
type Asked struct {
	Compares, Touches []string
	Set               int
	Bytes             int
}

// Group returns the places of the requests that the next transaction takes, and of
// those that wait.
func Group(asked []Asked) (group, rest []int) {
	var waiting []*request
	place := map[*request]int{}
	for i, a := range asked {
		r := newRequest(registryGeneration)
		r.compared, r.touched, r.bytes = a.Compares, a.Touches, a.Bytes
		if a.Set > 0 {
			r.set = a.Set
		}
		place[r] = i
		waiting = append(waiting, r)
	}
	first, later := nextGroup(waiting)
	for _, r := range first {
		group = append(group, place[r])
	}
	for _, r := range later {
		rest = append(rest, place[r])
	}
	return group, rest
}

// MaxGroup is how many requests one transaction takes.
const MaxGroup = maxGroup
