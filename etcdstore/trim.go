package etcdstore

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/config"
)

// shelf is the history of one document, the oldest record first.
type shelf struct {
	key     config.Key
	records []trace
}

// trace is what a pass keeps of a history record.
type trace struct {
	seq, revision int64
	at            time.Time
	head, was     uint64 // of its references, see there; 0 of none
}

// history trims the history of each document, and takes in what the records that
// stay refer to.
func (p *pass) history(ctx context.Context) error {
	err := p.configs.store.walk(ctx, historyPrefix, clientv3.GetPrefixRangeEnd(historyPrefix), firstRecords, func(page []*mvccpb.KeyValue) error {
		for _, kv := range page {
			k, seq, err := parseHistoryKey(string(kv.Key))
			if err != nil {
				return err
			}
			if k != p.shelf.key {
				if err := p.trim(ctx); err != nil {
					return err
				}
				p.shelf = shelf{k, p.shelf.records[:0]}
			}
			if err := p.take(seq, kv); err != nil {
				return fmt.Errorf("record %d of %s: %w", seq, k, err)
			}
		}
		return p.rest(ctx)
	})
	if err != nil {
		return err
	}
	return p.trim(ctx)
}

// take puts a record on the shelf.
func (p *pass) take(seq int64, kv *mvccpb.KeyValue) error {
	var h struct {
		At   time.Time
		Was  string
		Head struct{ Digest string }
	}
	if err := json.Unmarshal(kv.Value, &h); err != nil {
		return err
	}
	t := trace{seq: seq, revision: kv.ModRevision, at: h.At, head: p.refs.sum(h.Head.Digest)}
	if h.Was != "" {
		t.was = p.refs.sum(h.Was)
	}
	p.shelf.records = append(p.shelf.records, t)
	return nil
}

// keep takes in what records refer to.
func (p *pass) keep(records []trace) {
	for _, t := range records {
		p.refs.add(t.head)
		if t.was != 0 {
			p.refs.add(t.was)
		}
	}
}

// trim cuts what the policy keeps no more off the shelf's oldest end. Records
// beyond the sequence are newer than the snapshot, or of a restore.
func (p *pass) trim(ctx context.Context) error {
	if len(p.shelf.records) == 0 {
		return nil
	}
	k, snap := p.shelf.key, p.configs.view.Snapshot()
	q, policy := snap.Sequence(k), snap.Policy(k.Namespace, "")
	shown, _ := slices.BinarySearchFunc(p.shelf.records, q.Last+1, func(t trace, seq int64) int { return int(t.seq - seq) })
	records, beyond := p.shelf.records[:shown], p.shelf.records[shown:]
	if err := p.trimBeyond(ctx, q, beyond); err != nil {
		return err
	}
	made := make([]time.Time, 0, shown)
	for _, t := range slices.Backward(records) {
		made = append(made, t.at)
	}
	stands := snap.Head(k) != nil || len(snap.Releases(k)) > 0 || len(snap.Parts(k)) > 0
	cut := shown - policy.Keeps(made, stands, p.began)
	p.keep(records[cut:])
	switch cut {
	case 0:
		return nil
	case shown:
		return p.forget(ctx, q, records)
	}
	spent := slices.Clone(records[:cut])
	key := configKey(policy.RecordKey())
	return p.remove(ctx, removal{
		compares: []clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(key), "=", policy.Revision)},
		ops:      []clientv3.Op{clientv3.OpDelete(historyKey(k, 0), clientv3.WithRange(historyKey(k, records[cut].seq)))},
		then:     p.afterTrim(spent),
	})
}

// afterTrim counts records that were removed, or keeps what they refer to.
func (p *pass) afterTrim(records []trace) func(bool, []*mvccpb.KeyValue) {
	return func(done bool, _ []*mvccpb.KeyValue) {
		if !done {
			p.young = true
			p.keep(records)
			return
		}
		p.trimmed += len(records)
	}
}

// trimBeyond removes records that a restore has left which did not come to its
// end. One that is under way writes them in quick succession: after a whole
// period it is not any more.
func (p *pass) trimBeyond(ctx context.Context, q config.Sequence, records []trace) error {
	if len(records) == 0 {
		return nil
	}
	if slices.ContainsFunc(records, func(t trace) bool { return t.revision > p.earlier }) {
		p.young = true
		p.keep(records)
		return nil
	}
	first, last := records[0].seq, records[len(records)-1].seq
	key := configKey(q.RecordKey())
	return p.remove(ctx, removal{
		compares: []clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(key), "=", q.Revision)},
		ops:      []clientv3.Op{clientv3.OpDelete(historyKey(q.Key, first), clientv3.WithRange(historyKey(q.Key, last+1)))},
		then:     p.afterTrim(slices.Clone(records)),
	})
}

// forget removes all that is left of a document that is gone, its sequence too:
// names would pile up. Whatever is done under a name changes the sequence.
func (p *pass) forget(ctx context.Context, q config.Sequence, records []trace) error {
	r := newRequest(configGeneration)
	r.check(judgeKey, p.office)
	r.check(configKey(q.RecordKey()), q.Revision)
	r.check(configKey(config.RecordKey{Kind: config.KindDocument, Key: q.Key}), 0)
	r.none(namedPrefix(config.KindRelease, q.Key)) // one that cannot be read does not show in the snapshot
	r.delete(configKey(q.RecordKey()))
	r.clear(historyPrefix + docTail(q.Key) + "/")
	res := p.configs.store.submit(ctx, r)[0]
	if res.err != nil {
		return res.err
	}
	if !res.ok && p.configs.store.deposed(ctx, p.office) {
		return ErrNotJudge
	}
	p.afterTrim(records)(res.ok, nil)
	return nil
}
