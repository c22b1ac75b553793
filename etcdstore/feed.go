package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/metadata"
)

// feed is one watched domain. What is not said to be shared belongs to the
// goroutine that follows it, the only one that publishes its snapshots.
type feed struct {
	domain     domain
	name       string
	prefix     string
	generation string
	// begin starts a snapshot from nothing, next takes changes of a list or of the
	// watch into it, publish shows it under an epoch.
	begin   func()
	next    func(revision int64, events []*clientv3.Event)
	publish func(epoch uint32)
	// stands returns the revision of the published snapshot and its digests; shared.
	stands func() (revision int64, digests iter.Seq2[string, uint64])
	// digest returns what a record adds to the digest of its namespace, false for
	// a key that is no record; shared.
	digest func(key string, revision int64) (namespace string, sum uint64, ok bool)

	era     int64          // that the snapshot belongs to
	waiting []chan<- error // who asked for the next list
	orders  chan order     // shared
	listing atomic.Bool    // shared: a list is under way
	shown   atomic.Pointer[shownFeed]
	cuts    atomic.Pointer[[]string] // shared: see pages; nil before the first full reading
}

// shownFeed is a published snapshot with what it can be compared by.
type shownFeed struct {
	progress

	revision int64 // of the snapshot, at most complete
	digests  iter.Seq2[string, uint64]
}

// order asks for a list. done, unless nil, gets the error of the list.
type order struct {
	why  string
	done chan<- error
}

// listAgain asks for a list without waiting; it reports whether that was not
// asked for already.
func (f *feed) listAgain(o order) bool {
	select {
	case f.orders <- o:
		return true
	default:
		return false
	}
}

// maxBurst bounds how many events one snapshot takes in, so that a burst
// neither makes a snapshot each nor holds the first of them back for long.
const maxBurst = 10000

// follow lists the domain, publishes it, and watches from there on. A watch
// that breaks goes on from its last revision, or lists again when that has been
// compacted away; what was published stays until then.
func (s *Store) follow(ctx context.Context, f *feed) error {
	pause := newPause()
	for ctx.Err() == nil {
		revision, err := s.relist(ctx, f)
		for err == nil {
			was := revision
			revision, err = s.watch(ctx, f, revision)
			if revision > was {
				pause.reset()
			}
			if errors.Is(err, errBroken) && ctx.Err() == nil {
				s.log.Warn("watch broke, going on", "prefix", f.prefix, "revision", revision, "err", err)
				err = s.beforeRetry(ctx, pause)
			}
		}
		if ctx.Err() != nil {
			break
		}
		s.metrics.relists.Inc()
		s.log.Warn("listing again", "prefix", f.prefix, "err", err)
		if !errors.Is(err, errOrdered) {
			_ = s.beforeRetry(ctx, pause) // only fails with ctx, which the loop asks
		}
	}
	return nil
}

// beforeRetry waits until an attempt may succeed. One that failed because etcd was
// away says nothing about the next.
func (s *Store) beforeRetry(ctx context.Context, p *pause) error {
	if s.health.await(ctx) {
		p.reset()
	}
	return p.wait(ctx)
}

var (
	// errBroken means that the watch ended and can go on from where it was.
	errBroken = errors.New("watch ended")
	// errOrdered means that somebody asked for a list.
	errOrdered = errors.New("asked to")
)

// watch publishes what comes after revision until the watch ends. It returns
// the last revision it saw; errBroken unless that has been compacted away.
func (s *Store) watch(ctx context.Context, f *feed, revision int64) (int64, error) {
	ctx, cancel := context.WithCancel(f.stream(ctx))
	defer cancel()
	ch := s.client.Watch(ctx, f.prefix, clientv3.WithPrefix(), clientv3.WithRev(revision+1))
	for {
		var resp clientv3.WatchResponse
		more := false
		select {
		case o := <-f.orders:
			f.take(o)
			return revision, fmt.Errorf("%w: %s", errOrdered, o.why)
		case resp, more = <-ch:
		}
		if !more {
			return revision, errBroken
		}
		was := revision
		for burst := 0; more; {
			if resp.CompactRevision != 0 {
				return revision, fmt.Errorf("watch %s: compacted at %d", f.prefix, resp.CompactRevision)
			}
			if err := resp.Err(); err != nil {
				return revision, fmt.Errorf("%w: %w", errBroken, err)
			}
			revision = s.takeIn(f, revision, resp)
			if burst += len(resp.Events); burst >= maxBurst {
				break
			}
			more = false
			select {
			case resp, more = <-ch:
			default:
			}
		}
		if revision > was {
			f.publish(s.epoch.Load())
			s.show(f, revision)
		}
	}
}

// takeIn puts what came into the snapshot in the making.
func (s *Store) takeIn(f *feed, revision int64, resp clientv3.WatchResponse) int64 {
	events := resp.Events
	if s.spoil != nil {
		events = s.spoil(events)
	}
	n := len(events)
	switch {
	case n > 0:
		// Not the header's revision: while a watch catches up that is ahead of the
		// events that have come.
		revision = events[n-1].Kv.ModRevision
	case resp.IsProgressNotify() && resp.Header.Revision > revision:
		revision = resp.Header.Revision
	default:
		return revision
	}
	f.next(revision, events)
	return revision
}

// stream returns the context of the watch. A stream of its own for each domain
// keeps progress apart, which etcd reports for a stream as a whole. Without a
// leader an isolated member would keep the watch open and silent.
func (f *feed) stream(ctx context.Context) context.Context {
	return clientv3.WithRequireLeader(metadata.AppendToOutgoingContext(ctx, "muster-watch", f.name))
}

// askProgress has etcd say on the watch how far it has come.
func (f *feed) askProgress(ctx context.Context, client *clientv3.Client) {
	if f.shown.Load() != nil { // else there is no watch yet
		_ = client.RequestProgress(f.stream(ctx)) // asked again with the next probe
	}
}

// show notes that the snapshot just published is complete up to a revision.
func (s *Store) show(f *feed, complete int64) {
	revision, digests := f.stands()
	f.shown.Store(&shownFeed{progress{f.era, complete}, revision, digests})
	s.proof.show(f.domain, progress{f.era, complete})
	switch f.domain {
	case registryDomain:
		s.recent.add(Shown{revision, s.view.Snapshot().Digests()})
	case configDomain:
		s.configs.recent.add(Shown{revision, s.configs.view.Snapshot().Digests()})
	}
}

// askProgress has etcd say on both watches how far they have come.
func (s *Store) askProgress(ctx context.Context) {
	for _, f := range s.feeds {
		f.askProgress(ctx, s.client)
	}
}

// take notes who waits for the next list.
func (f *feed) take(o order) {
	if o.done != nil {
		f.waiting = append(f.waiting, o.done)
	}
}
