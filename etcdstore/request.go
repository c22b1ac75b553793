package etcdstore

import (
	"iter"
	"sync/atomic"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Limits of a group. An external etcd takes 128 operations and 1.5 MiB by
// default, and allows a nested transaction what its parent leaves of the 128.
const (
	maxGroup      = 60
	maxGroupBytes = 1 << 20
	// maxGroupOps keeps a transaction so short that who asks etcd something meanwhile
	// need not wait long: it makes one after another.
	maxGroupOps = 1000
	maxNested   = 128 - maxGroup - 2 // two generation keys
)

// request is one conditional write on its way to etcd.
type request struct {
	compares   []clientv3.Cmp
	ops        []clientv3.Op
	generation string // the key its domain puts with every transaction
	compared   []string
	touched    []string
	ranged     bool // compares or deletes a whole range of keys
	bytes      int
	demand     demand
	spare      []clientv3.Op // puts that go along unless etcd is full
	set        any           // the same for requests that are to travel together, nil: it is on its own
	done       chan result   // buffered: the committer never waits for a caller
	state      atomic.Int32  // of what happens first: queued, sent or withdrawn
}

// States of a request.
const (
	queued int32 = iota
	sent
	withdrawn // its caller waits no longer
)

// begin reports whether the request may be sent now.
func (r *request) begin() bool { return r.state.CompareAndSwap(queued, sent) }

// withdraw reports whether the request is not on its way, and never will be.
func (r *request) withdraw() bool { return r.state.CompareAndSwap(queued, withdrawn) }

type result struct {
	revision int64
	ok       bool // the compares held
	err      error
}

func newRequest(generation string) *request {
	return &request{generation: generation, done: make(chan result, 1)}
}

// check adds the condition that key was last modified at revision, 0: is absent.
func (r *request) check(key string, revision int64) {
	r.compares = append(r.compares, clientv3.Compare(clientv3.ModRevision(key), "=", revision))
	r.compared = append(r.compared, key)
	r.bytes += len(key) + 16
}

// kept adds the condition that key, which was there at revision, has not been
// deleted since.
func (r *request) kept(key string, revision int64) {
	created := clientv3.CreateRevision(key)
	r.compares = append(r.compares, clientv3.Compare(created, ">", 0), clientv3.Compare(created, "<", revision+1))
	r.compared = append(r.compared, key)
	r.bytes += 2*len(key) + 32
}

// settled adds the condition that no key below prefix was put after revision.
func (r *request) settled(prefix string, revision int64) {
	r.compares = append(r.compares, clientv3.Compare(clientv3.ModRevision(prefix), "<", revision+1).WithPrefix())
	r.ranged = true
}

// none adds the condition that there is no key below prefix.
func (r *request) none(prefix string) {
	r.compares = append(r.compares, clientv3.Compare(clientv3.CreateRevision(prefix), "=", 0).WithPrefix())
	r.ranged = true
}

func (r *request) put(key, value string) {
	r.ops = append(r.ops, clientv3.OpPut(key, value))
	r.touched = append(r.touched, key)
	r.bytes += len(key) + len(value) + 16
}

// along adds a put that the write can do without when etcd is full.
func (r *request) along(key, value string) {
	r.spare = append(r.spare, clientv3.OpPut(key, value))
	r.touched = append(r.touched, key)
	r.bytes += len(key) + len(value) + 16
}

func (r *request) delete(key string) {
	r.ops = append(r.ops, clientv3.OpDelete(key))
	r.touched = append(r.touched, key)
	r.bytes += len(key) + 16
}

// clear deletes all keys below prefix.
func (r *request) clear(prefix string) {
	r.ops = append(r.ops, clientv3.OpDelete(prefix, clientv3.WithPrefix()))
	r.touched = append(r.touched, prefix)
	r.bytes += len(prefix) + 16
	r.ranged = true
}

// alone reports whether the request travels by itself: it is too large for a
// group, or is about more keys than can be set against what others touch.
func (r *request) alone() bool {
	return r.ranged || max(len(r.compares), len(r.ops)+len(r.spare)) > maxNested || r.bytes > maxGroupBytes
}

// nextGroup takes the first request and those behind it that may travel in the
// same transaction. etcd reads all compares before any write, so a request that
// touches what another compares or touches waits for a later group, and so does
// all that conflicts with one that waits. A set goes whole, if there is room for
// it, or waits whole; only one that is first is cut.
func nextGroup(waiting []*request) (group, rest []*request) {
	if waiting[0].alone() {
		return waiting[:1:1], waiting[1:]
	}
	bytes, ops, keys := 0, 0, keySet{}
	for set := range sets(waiting) {
		room := func(r *request) bool {
			return len(group) < maxGroup && bytes+r.bytes <= maxGroupBytes && ops+len(r.touched) <= maxGroupOps && !r.alone() && !keys.conflict(r)
		}
		n, bytesWas, opsWas := len(group), bytes, ops
		for _, r := range set {
			if room(r) {
				group = append(group, r)
				bytes, ops = bytes+r.bytes, ops+len(r.touched)
			} else if n > 0 {
				group, bytes, ops = group[:n], bytesWas, opsWas
				break
			} else {
				rest = append(rest, r)
			}
			keys.add(r)
		}
		if n > 0 && len(group) == n {
			rest = append(rest, set...)
			keys.add(set...)
		}
	}
	return group, rest
}

// sets yields requests that are to travel together, one after another.
func sets(waiting []*request) iter.Seq[[]*request] {
	return func(yield func([]*request) bool) {
		for i, j := 0, 0; i < len(waiting); i = j {
			j = i + 1
			for j < len(waiting) && waiting[j].set != nil && waiting[j].set == waiting[i].set {
				j++
			}
			if !yield(waiting[i:j]) {
				return
			}
		}
	}
}

// keySet knows of each key whether it is compared (1) or touched (2).
type keySet map[string]byte

func (k keySet) add(all ...*request) {
	for _, r := range all {
		for _, key := range r.compared {
			k[key] |= 1
		}
		for _, key := range r.touched {
			k[key] |= 2
		}
	}
}

func (k keySet) conflict(r *request) bool {
	for _, key := range r.compared {
		if k[key]&2 != 0 {
			return true
		}
	}
	for _, key := range r.touched {
		if k[key] != 0 {
			return true
		}
	}
	return false
}
