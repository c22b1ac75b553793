package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/registry"
)

// feed is one watched domain.
type feed struct {
	prefix string
	// reset begins a new list, next takes changes of it or of the watch into the
	// snapshot in the making, publish shows it as of a revision.
	reset   func()
	next    func(revision int64, events []*clientv3.Event)
	publish func()
}

const (
	listPage = 5000
	// maxBurst bounds how many events one snapshot takes in, so that a burst
	// neither makes a snapshot each nor holds the first of them back for long.
	maxBurst = 10000
)

// follow lists the domain, publishes it, and watches from there on. A watch
// that breaks goes on from its last revision, or lists again when that has been
// compacted away; what was published stays until then.
func (s *Store) follow(ctx context.Context, f feed) error {
	pause := newPause()
	for ctx.Err() == nil {
		revision, err := s.list(ctx, f)
		for err == nil {
			f.publish()
			was := revision
			revision, err = s.watch(ctx, f, revision)
			if revision > was {
				pause.reset()
			}
			if errors.Is(err, errBroken) && ctx.Err() == nil {
				s.log.Warn("watch broke, going on", "prefix", f.prefix, "revision", revision, "err", err)
				err = pause.wait(ctx)
			}
		}
		if ctx.Err() != nil {
			break
		}
		s.metrics.relists.Inc()
		s.log.Warn("listing again", "prefix", f.prefix, "err", err)
		_ = pause.wait(ctx) // only fails with ctx, which the loop asks
	}
	return nil
}

// list reads the whole domain at one revision, in pages.
func (s *Store) list(ctx context.Context, f feed) (int64, error) {
	f.reset()
	var revision int64
	from, end := f.prefix, clientv3.GetPrefixRangeEnd(f.prefix)
	for {
		page, err := s.listPage(ctx, from, end, revision)
		if err != nil {
			return 0, fmt.Errorf("list %s: %w", f.prefix, err)
		}
		if revision == 0 {
			revision = page.Header.Revision
		}
		events := make([]*clientv3.Event, len(page.Kvs))
		for i, kv := range page.Kvs {
			events[i] = &clientv3.Event{Type: mvccpb.Event_PUT, Kv: kv}
		}
		f.next(revision, events)
		if !page.More {
			return revision, nil
		}
		from = string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
	}
}

func (s *Store) listPage(ctx context.Context, from, end string, revision int64) (*clientv3.GetResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*commitTimeout)
	defer cancel()
	resp, err := s.client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(listPage), clientv3.WithRev(revision))
	if err == nil {
		s.touch()
	}
	return resp, err
}

// errBroken means that the watch ended and can go on from where it was.
var errBroken = errors.New("watch ended")

// watch publishes what comes after revision until the watch ends. It returns
// the last revision it saw; errBroken unless that has been compacted away.
func (s *Store) watch(ctx context.Context, f feed, revision int64) (int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Without a leader an isolated member would keep the watch open and silent.
	ch := s.client.Watch(clientv3.WithRequireLeader(ctx), f.prefix, clientv3.WithPrefix(), clientv3.WithRev(revision+1))
	for resp := range ch {
		for burst := 0; ; {
			if resp.CompactRevision != 0 {
				return revision, fmt.Errorf("watch %s: compacted at %d", f.prefix, resp.CompactRevision)
			}
			if err := resp.Err(); err != nil {
				return revision, fmt.Errorf("%w: %w", errBroken, err)
			}
			if n := len(resp.Events); n > 0 {
				// Not the header's revision: while a watch catches up that is ahead
				// of the events that have come.
				revision = resp.Events[n-1].Kv.ModRevision
				f.next(revision, resp.Events)
				burst += n
			}
			if burst == 0 || burst >= maxBurst {
				break
			}
			var more bool
			select {
			case resp, more = <-ch:
			default:
			}
			if !more {
				break
			}
		}
		s.touch()
		f.publish()
	}
	return revision, errBroken
}

// registryFeed builds registry snapshots.
func (s *Store) registryFeed() feed {
	var next *registry.Snapshot
	return feed{
		prefix: registryPrefix,
		reset:  func() { next = nil },
		next: func(revision int64, events []*clientv3.Event) {
			changes := make([]registry.Change, 0, len(events))
			for _, e := range events {
				if c, ok := s.change(e); ok {
					changes = append(changes, c)
				}
			}
			next = next.Apply(revision, changes)
		},
		publish: func() {
			if next != s.view.Snapshot() {
				s.view.Publish(next)
			}
		},
	}
}

// change decodes one event. What cannot be read is left out and reported: one
// bad key must not take the others along.
func (s *Store) change(e *clientv3.Event) (registry.Change, bool) {
	key, ok, err := parseRecordKey(string(e.Kv.Key))
	if err != nil {
		s.unreadable(err)
	}
	if !ok {
		return registry.Change{}, false
	}
	c := registry.Change{Key: key, Revision: e.Kv.ModRevision}
	if e.Type == mvccpb.Event_PUT {
		if c.Record, err = registry.Decode(key, e.Kv.Value); err != nil {
			s.unreadable(err)
			return registry.Change{}, false
		}
	}
	return c, true
}

func (s *Store) unreadable(err error) {
	s.metrics.unreadable.Inc()
	s.log.Error("a record in etcd cannot be read and is left out", "err", err)
}

// pause is a growing, jittered wait between attempts.
type pause struct{ next time.Duration }

const (
	firstPause = 50 * time.Millisecond
	maxPause   = 5 * time.Second
)

func newPause() *pause { return &pause{firstPause} }

func (p *pause) reset() { p.next = firstPause }

// wait blocks for between half and the whole of the pause, then doubles it. It
// returns the error of ctx when that ends first.
func (p *pause) wait(ctx context.Context) error {
	d := p.next/2 + rand.N(p.next/2)
	p.next = min(2*p.next, maxPause)
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
