package etcdstore

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/config"
)

// upkeepRest is for how many times as long as it has worked a pass then rests.
const upkeepRest = 4

// upkeepAnyway is after how many periods a store in which nothing was written is
// looked through all the same: history grows old.
const upkeepAnyway = 24

// Upkeep trims history as policies have it and removes contents that nothing
// refers to, in passes, until ctx ends, which is no error. One server at a time
// does, the judge: it is to run in its [Store.Office].
func (c *Configs) Upkeep(ctx context.Context) error {
	var last pass
	every := c.store.cfg.UpkeepEvery
	for wait := every / 12; ; {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
		next, err := c.pass(ctx, &last)
		switch {
		case err == nil:
			last, wait = *next, every
		case ctx.Err() == nil:
			wait = every / 12
			if c.store.Away() == nil { // else that has been said
				c.store.log.Warn("history and contents were not looked through to the end", "err", err)
			}
		}
	}
}

const (
	firstRecords = 500 // records that are read at first, of which one may have 128 KiB
	// namesPage is how many keys without their values are read at once: etcd reads
	// the values all the same, which may have 512 KiB each.
	namesPage = 256
)

// manyKeys is how many keys of contents are many; fewer in tests.
var manyKeys int64 = 20000

// pass is one look through all that is below bulk. The references of records come
// first, then history, then contents: what refers to a content moves from records
// to history only, so that it is met once at least. Whoever refers to a content
// anew puts its head, and what was put since the start stays.
type pass struct {
	configs *Configs
	office  int64 // see [Store]
	began   time.Time
	start   int64 // revision that etcd had reached
	// earlier is the start of the pass before this one, 0: there was none. What is
	// half written since before that will never be whole.
	earlier    int64
	generation int64 // of the records, at the start
	refs       *references
	shelf      shelf
	removals   []removal
	young      bool // something was met that the next pass may have to remove
	rested     time.Time

	trimmed, removed, bytes int
}

// pass looks through all once, unless nothing was written since the last time.
func (c *Configs) pass(ctx context.Context, last *pass) (*pass, error) {
	office := c.store.office.Load()
	if office == 0 {
		return nil, ErrNotJudge
	}
	resp, err := c.store.page(ctx, configGeneration, nil)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", configGeneration, err)
	}
	p := &pass{configs: c, office: office, began: time.Now(), rested: time.Now(),
		start: resp.Header.Revision, earlier: last.start, generation: only(resp.Kvs).GetModRevision(), refs: newReferences()}
	if last.idle() && p.generation > 0 && p.generation == last.generation && p.began.Sub(last.began) < upkeepAnyway*c.store.cfg.UpkeepEvery {
		return last, nil
	}
	for _, part := range []func(context.Context) error{p.records, p.history, p.contents} {
		if err = part(ctx); err != nil {
			break
		}
		if err = p.flush(ctx); err != nil {
			break
		}
	}
	p.refs, p.shelf = nil, shelf{} // they are of no more use, and large
	if m := c.store.metrics; p.trimmed+p.removed > 0 {
		m.trimmed.Add(float64(p.trimmed))
		m.removed.Add(float64(p.removed))
		m.removedBytes.Add(float64(p.bytes))
		c.store.log.Info("history was trimmed, and contents that nothing refers to were removed", "records", p.trimmed,
			"contents", p.removed, "bytes", p.bytes, "took", time.Since(p.began).Round(time.Millisecond))
	}
	return p, err
}

// idle reports whether a pass that came to its end found nothing to do, now or
// next time.
func (p *pass) idle() bool { return p.start > 0 && p.trimmed+p.removed == 0 && !p.young }

// rest waits, so that etcd and this server have most of their time for others.
func (p *pass) rest(ctx context.Context) error {
	defer func() { p.rested = time.Now() }()
	select {
	case <-time.After(upkeepRest * time.Since(p.rested)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// records takes in what the records of the centre refer to. It reads etcd: a
// snapshot may have missed something.
func (p *pass) records(ctx context.Context) error {
	return p.configs.store.walk(ctx, configPrefix, clientv3.GetPrefixRangeEnd(configPrefix), firstRecords, func(page []*mvccpb.KeyValue) error {
		for _, kv := range page {
			k, ok, err := parseConfigKey(string(kv.Key))
			if err != nil {
				return fmt.Errorf("it may refer to a content: %w", err)
			}
			if !ok || k.Kind != config.KindDocument && k.Kind != config.KindRelease && k.Kind != config.KindPart {
				continue
			}
			var refers struct{ Digest string }
			if err := json.Unmarshal(kv.Value, &refers); err != nil {
				return fmt.Errorf("record %s of %s: %w", k.Kind, k.Key, err)
			}
			p.refs.add(p.refs.sum(refers.Digest))
		}
		return p.rest(ctx)
	})
}

// contents removes what nothing refers to, and what was begun and never finished.
// Where there are many it goes by slices of the digests, as pages are short and
// etcd passes over all of a range for each.
func (p *pass) contents(ctx context.Context) error {
	p.refs.settle()
	from, last := blobPrefix, clientv3.GetPrefixRangeEnd(blobPrefix)
	there, err := p.configs.store.page(ctx, from, []clientv3.OpOption{clientv3.WithRange(last), clientv3.WithCountOnly()})
	if err != nil {
		return outward(err)
	}
	for _, mark := range []string{"", sealedMark} {
		for slice := range 256 {
			if there.Count < manyKeys {
				break
			}
			end := fmt.Sprintf("%s%s%02x", blobPrefix, mark, slice)
			if err := p.slice(ctx, from, end); err != nil {
				return err
			}
			from = end
		}
	}
	return p.slice(ctx, from, last)
}

// sealedMark begins the digests of what is sealed, see [config.Sealed].
const sealedMark = "sealed-"

func (p *pass) slice(ctx context.Context, from, end string) error {
	var b stored
	err := p.configs.store.walk(ctx, from, end, namesPage, func(page []*mvccpb.KeyValue) error {
		for _, kv := range page {
			digest, name, _ := strings.Cut(strings.TrimPrefix(string(kv.Key), blobPrefix), "/")
			if digest != b.digest {
				if err := p.content(ctx, b); err != nil {
					return err
				}
				b = stored{digest: digest}
			}
			if name == "head" {
				b.head = kv.ModRevision
			}
			b.newest = max(b.newest, kv.ModRevision)
		}
		return p.rest(ctx)
	}, clientv3.WithKeysOnly())
	if err != nil {
		return err
	}
	return p.content(ctx, b)
}

// stored is a content that was met.
type stored struct {
	digest       string
	head, newest int64 // revisions of its head, 0: it has none, and of the key put last
}

// content has a content removed when nothing refers to it. What has no head yet
// may be on its way.
func (p *pass) content(ctx context.Context, b stored) error {
	if b.digest == "" || p.refs.has(b.digest) {
		return nil
	}
	least := p.start
	if b.head == 0 {
		least = p.earlier
	}
	if b.newest > least {
		p.young = true
		return nil
	}
	head := blobHead(b.digest)
	return p.remove(ctx, removal{
		compares: []clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(head), "=", b.head)},
		ops:      []clientv3.Op{clientv3.OpGet(head), clientv3.OpDelete(blobPrefix+b.digest+"/", clientv3.WithPrefix())},
		then: func(done bool, resp []*mvccpb.KeyValue) {
			if !done {
				p.young = true
				return
			}
			var was blob
			if len(resp) == 1 && json.Unmarshal(resp[0].Value, &was) == nil {
				p.bytes += was.Size
			}
			p.removed++
		},
	})
}
