package etcdstore

import (
	"context"
	"encoding/json"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/config"
)

// History implements config.Store. Records beyond the sequence are of a restore
// that was not finished, and left out.
func (c *Configs) History(ctx context.Context, k config.Key, before int64, limit int) ([]config.History, int, error) {
	if err := c.store.health.err(c.store.now()); err != nil {
		return nil, 0, configError(err)
	}
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*commitTimeout)
	defer cancel()
	last := c.view.Snapshot().Sequence(k).Last
	first, end := historyKey(k, 0), historyKey(k, last+1)
	counted, err := c.store.client.Get(ctx, first, clientv3.WithRange(end), clientv3.WithCountOnly())
	if err != nil {
		return nil, 0, configError(outward(err))
	}
	if before > 0 && before <= last {
		end = historyKey(k, before)
	}
	if first >= end {
		return nil, int(counted.Count), nil
	}
	resp, err := c.store.client.Get(ctx, first, clientv3.WithRange(end), clientv3.WithLimit(int64(limit)),
		clientv3.WithSort(clientv3.SortByKey, clientv3.SortDescend))
	if err != nil {
		return nil, 0, configError(outward(err))
	}
	records := make([]config.History, 0, len(resp.Kvs))
	for _, kv := range resp.Kvs {
		h, err := c.decodeHistory(kv)
		if err != nil {
			return nil, 0, err
		}
		records = append(records, h)
	}
	return records, int(counted.Count), nil
}

func (c *Configs) decodeHistory(kv *mvccpb.KeyValue) (config.History, error) {
	k, seq, err := parseHistoryKey(string(kv.Key))
	if err != nil {
		return config.History{}, err
	}
	h := config.History{Key: k, Seq: seq, Revision: kv.ModRevision}
	if err := json.Unmarshal(kv.Value, &h); err != nil {
		return h, fmt.Errorf("record %d of %s: %w", seq, k, err)
	}
	h.Head.Key, h.Head.Revision = k, kv.ModRevision
	return h, c.reveal(&h.Head)
}
