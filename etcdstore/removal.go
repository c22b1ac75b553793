package etcdstore

import (
	"context"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// removal is one conditional delete of a pass. It puts nothing, so that an etcd
// that is full takes it too.
type removal struct {
	compares []clientv3.Cmp
	ops      []clientv3.Op
	// then is told whether it was made, and what its first op read, if that is a get.
	then func(done bool, read []*mvccpb.KeyValue)
}

// maxRemovals bounds those that travel in one transaction.
const maxRemovals = 40

// remove has a removal made with the next transaction.
func (p *pass) remove(ctx context.Context, r removal) error {
	if p.removals = append(p.removals, r); len(p.removals) < maxRemovals {
		return nil
	}
	return p.flush(ctx)
}

// flush makes all removals, each if its own compares hold, all if this server is
// still the judge.
func (p *pass) flush(ctx context.Context) error {
	if len(p.removals) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	ops := make([]clientv3.Op, len(p.removals))
	for i, r := range p.removals {
		ops[i] = clientv3.OpTxn(r.compares, r.ops, nil)
	}
	resp, err := p.configs.store.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(judgeKey), "=", p.office)).Then(ops...).Commit()
	if err != nil {
		return outward(err)
	}
	if !resp.Succeeded {
		return ErrNotJudge
	}
	for i, r := range p.removals {
		made := resp.Responses[i].GetResponseTxn()
		var read []*mvccpb.KeyValue
		if made.Succeeded {
			read = made.Responses[0].GetResponseRange().GetKvs()
		}
		r.then(made.Succeeded, read)
	}
	p.removals = p.removals[:0]
	return nil
}
