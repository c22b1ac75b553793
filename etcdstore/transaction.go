package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/registry"
)

// refused reports whether etcd will never take a transaction of this shape.
func refused(err error) bool {
	return errors.Is(err, rpctypes.ErrTooManyOps) || errors.Is(err, rpctypes.ErrDuplicateKey) ||
		errors.Is(err, rpctypes.ErrRequestTooLarge)
}

// full reports whether etcd has reached its quota.
func full(err error) bool { return errors.Is(err, rpctypes.ErrNoSpace) }

// outward turns what etcd says into what the domain's callers branch on.
func outward(err error) error {
	switch {
	case err == nil:
		return nil
	case full(err):
		return fmt.Errorf("%w: etcd has reached its quota", registry.ErrFull)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: etcd did not answer in time, the write may have been made", registry.ErrUnavailable)
	case errors.Is(err, context.Canceled), refused(err):
		return fmt.Errorf("etcd: %w", err)
	}
	return fmt.Errorf("%w: etcd: %w", registry.ErrUnavailable, err)
}

// uncertain is outward for a transaction that was sent: unless etcd refused it,
// it may have been made all the same.
func uncertain(err error) error {
	out := outward(err)
	if errors.Is(out, registry.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w (the write may have been made)", out)
	}
	return out
}

// transaction nests the group's requests, each with its own compares, and puts
// the generation of every domain among them, so that the watch brings each
// transaction whatever else it wrote. A bare one is for an etcd that is full: it
// deletes the generation instead, which tells every server not to go by it.
func (s *Store) transaction(ctx context.Context, group []*request, bare bool) clientv3.Txn {
	mark := func(generation string) clientv3.Op {
		if bare {
			return clientv3.OpDelete(generation)
		}
		return clientv3.OpPut(generation, "")
	}
	writes := func(r *request) []clientv3.Op {
		if bare {
			return r.ops
		}
		return slices.Concat(r.ops, r.spare)
	}
	if r := group[0]; r.alone() {
		return s.client.Txn(ctx).If(r.compares...).Then(append(writes(r), mark(r.generation))...).Else(mark(r.generation))
	}
	ops := make([]clientv3.Op, 0, len(group)+int(domains))
	marks := map[string]bool{}
	for _, r := range group {
		ops = append(ops, clientv3.OpTxn(r.compares, writes(r), nil))
		marks[r.generation] = true
	}
	for generation := range marks {
		ops = append(ops, mark(generation))
	}
	return s.client.Txn(ctx).Then(ops...)
}
