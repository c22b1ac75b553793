package etcdstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/registry"
)

// Limits of a group. An external etcd takes 128 operations and 1.5 MiB by
// default, and allows a nested transaction what its parent leaves of the 128.
const (
	maxGroup      = 60
	maxGroupBytes = 1 << 20
	maxNested     = 128 - maxGroup - 2 // two generation keys
	// maxWaiting bounds what is drained from callers at once.
	maxWaiting = 1024
)

// request is one conditional write on its way to etcd.
type request struct {
	compares   []clientv3.Cmp
	ops        []clientv3.Op
	generation string // the key its domain puts with every transaction
	compared   []string
	touched    []string
	ranged     bool // compares a whole range of keys
	bytes      int
	done       chan result // buffered: the committer never waits for a caller
	gone       atomic.Bool // the caller waits no longer: do not begin to write it
}

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

// same adds the condition that key has not been deleted since it was created at
// revision.
func (r *request) same(key string, revision int64) {
	r.compares = append(r.compares, clientv3.Compare(clientv3.CreateRevision(key), "=", revision))
	r.compared = append(r.compared, key)
	r.bytes += len(key) + 16
}

// vacant adds the condition that there is no key below prefix.
func (r *request) vacant(prefix string) {
	r.compares = append(r.compares, clientv3.Compare(clientv3.CreateRevision(prefix), "=", 0).WithPrefix())
	r.ranged = true
}

func (r *request) put(key, value string) {
	r.ops = append(r.ops, clientv3.OpPut(key, value))
	r.touched = append(r.touched, key)
	r.bytes += len(key) + len(value) + 16
}

func (r *request) delete(key string) {
	r.ops = append(r.ops, clientv3.OpDelete(key))
	r.touched = append(r.touched, key)
	r.bytes += len(key) + 16
}

// alone reports whether the request travels by itself: it is too large for a
// group, or compares more keys than can be set against what others touch.
func (r *request) alone() bool {
	return r.ranged || max(len(r.compares), len(r.ops)) > maxNested || r.bytes > maxGroupBytes
}

// Commit implements registry.Store.
func (s *Store) Commit(ctx context.Context, w registry.Write) (int64, error) {
	if s.readOnly {
		return 0, fmt.Errorf("%w: the store is read only", registry.ErrUnavailable)
	}
	r := newRequest(registryGeneration)
	if w.Judge {
		office := s.office.Load()
		if office == 0 {
			return 0, fmt.Errorf("%w: this server is not the judge", registry.ErrUnavailable)
		}
		r.check(judgeKey, office)
	}
	for _, c := range w.Checks {
		r.check(recordKey(c.Key), c.Revision)
	}
	for _, k := range w.Vacant {
		r.vacant(registrationPrefix(k))
	}
	for _, rec := range w.Puts {
		value, err := json.Marshal(rec)
		if err != nil {
			return 0, fmt.Errorf("encode %v: %w", rec.RecordKey(), err)
		}
		r.put(recordKey(rec.RecordKey()), string(value))
	}
	for _, k := range w.Deletes {
		r.delete(recordKey(k))
	}
	res := s.submit(ctx, r)
	if res.err != nil {
		return 0, res.err
	}
	if !res.ok {
		return 0, &registry.StaleError{Revision: res.revision}
	}
	return res.revision, nil
}

// submit hands a request to the committer and waits for its result.
func (s *Store) submit(ctx context.Context, r *request) result {
	ctx, cancel := context.WithTimeout(ctx, 2*commitTimeout)
	defer cancel()
	if err := ctx.Err(); err != nil { // the choice below is no order
		return result{err: outward(err)}
	}
	select {
	case s.commits <- r:
	case <-s.ended:
		return result{err: errStopping}
	case <-ctx.Done():
		return result{err: outward(ctx.Err())}
	}
	select {
	case res := <-r.done:
		return res
	case <-ctx.Done():
		r.gone.Store(true)
		return result{err: outward(ctx.Err())}
	}
}

var errStopping = fmt.Errorf("%w: the store is stopping", registry.ErrUnavailable)

// commitLoop sends the requests that came while the last group was on its way
// as the next group. What is under way when ctx ends is still finished.
func (s *Store) commitLoop(ctx context.Context) error {
	defer close(s.ended)
	var waiting []*request
	for {
		waiting = slices.DeleteFunc(waiting, func(r *request) bool { return r.gone.Load() })
		if ctx.Err() != nil {
			for _, r := range waiting {
				r.done <- result{err: errStopping}
			}
			return nil
		}
		if len(waiting) == 0 {
			select {
			case r := <-s.commits:
				waiting = append(waiting, r)
			case <-ctx.Done():
				return nil
			}
		}
		waiting = s.drain(waiting)
		var group []*request
		group, waiting = nextGroup(waiting)
		s.send(context.WithoutCancel(ctx), group)
	}
}

func (s *Store) drain(waiting []*request) []*request {
	for len(waiting) < maxWaiting {
		select {
		case r := <-s.commits:
			waiting = append(waiting, r)
		default:
			return waiting
		}
	}
	return waiting
}

// nextGroup takes the first request and those behind it that may travel in the
// same transaction. etcd reads all compares before any write, so a request that
// touches what another compares or touches waits for a later group, and so does
// all that conflicts with one that waits.
func nextGroup(waiting []*request) (group, rest []*request) {
	group = waiting[:1:1]
	if waiting[0].alone() {
		return group, waiting[1:]
	}
	bytes := waiting[0].bytes
	keys := keySet{}
	keys.add(waiting[0])
	for _, r := range waiting[1:] {
		fits := len(group) < maxGroup && bytes+r.bytes <= maxGroupBytes && !r.alone()
		if fits && !keys.conflict(r) {
			group = append(group, r)
			bytes += r.bytes
		} else {
			rest = append(rest, r)
		}
		keys.add(r)
	}
	return group, rest
}

// keySet knows of each key whether it is compared (1) or touched (2).
type keySet map[string]byte

func (k keySet) add(r *request) {
	for _, key := range r.compared {
		k[key] |= 1
	}
	for _, key := range r.touched {
		k[key] |= 2
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

// send commits one group and tells each caller what became of its request.
func (s *Store) send(ctx context.Context, group []*request) {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	began := time.Now()
	resp, err := s.transaction(ctx, group).Commit()
	s.metrics.commit(len(group), time.Since(began), err)
	switch {
	case refused(err) && len(group) > 1: // one of them cannot be written: the others need not share its fate
		for _, r := range group {
			s.send(ctx, []*request{r})
		}
		return
	case err != nil:
		for _, r := range group {
			r.done <- result{err: outward(err)}
		}
		return
	}
	s.touch()
	if group[0].alone() {
		group[0].done <- result{revision: resp.Header.Revision, ok: resp.Succeeded}
		return
	}
	for i, r := range group {
		r.done <- result{revision: resp.Header.Revision, ok: resp.Responses[i].GetResponseTxn().Succeeded}
	}
}

// refused reports whether etcd will never take a transaction of this shape.
func refused(err error) bool {
	return errors.Is(err, rpctypes.ErrTooManyOps) || errors.Is(err, rpctypes.ErrDuplicateKey) ||
		errors.Is(err, rpctypes.ErrRequestTooLarge)
}

// transaction nests the group's requests, each with its own compares, and puts
// the generation of every domain among them.
func (s *Store) transaction(ctx context.Context, group []*request) clientv3.Txn {
	if r := group[0]; r.alone() {
		generation := clientv3.OpPut(r.generation, "")
		return s.client.Txn(ctx).If(r.compares...).Then(append(r.ops, generation)...).Else(generation)
	}
	ops := make([]clientv3.Op, 0, len(group)+2)
	generations := map[string]bool{}
	for _, r := range group {
		ops = append(ops, clientv3.OpTxn(r.compares, r.ops, nil))
		generations[r.generation] = true
	}
	for g := range generations {
		ops = append(ops, clientv3.OpPut(g, ""))
	}
	return s.client.Txn(ctx).Then(ops...)
}
