// Package etcdstore keeps the records of the registry and the configuration
// centre in etcd.
//
// It is the only package that knows etcd: where a record lies, how writes that
// come together travel together, how list and watch become snapshots, and who
// holds the judge's office. [Store] serves the registry; [Store.Configs] the
// configuration centre. Nothing is answered before [Store.Run] runs.
package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"

	"github.com/musterhq/muster/registry"
)

// Config configures a Store.
type Config struct {
	// Logger receives what an operator acts on; nil discards.
	Logger *slog.Logger
	// Registerer receives the metrics; nil keeps none.
	Registerer prometheus.Registerer
	// ReadOnly leaves etcd untouched: no version is written and commits fail.
	ReadOnly bool
}

// Store is a registry.Store over etcd.
type Store struct {
	client   *clientv3.Client
	log      *slog.Logger
	readOnly bool
	metrics  *metrics

	view    registry.View
	configs Configs
	commits chan *request
	ended   chan struct{} // closed when nobody takes requests any more

	epoch  atomic.Uint32
	heard  atomic.Int64 // when etcd last answered, in nanoseconds since start
	start  time.Time
	office atomic.Int64 // revision at which this server took the judge's office, 0 without it
}

// New returns a Store over a client, which stays the caller's to close.
func New(client *clientv3.Client, cfg Config) *Store {
	s := &Store{
		client: client, log: cfg.Logger, readOnly: cfg.ReadOnly,
		metrics: newMetrics(cfg.Registerer), commits: make(chan *request), ended: make(chan struct{}), start: time.Now(),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.configs = Configs{store: s, cache: newCache(contentCacheBytes)}
	return s
}

// View returns the view of the registry's snapshots; it is empty until the
// first full list is done.
func (s *Store) View() *registry.View { return &s.view }

// Configs returns the configuration centre's side of the store.
func (s *Store) Configs() *Configs { return &s.configs }

// Ready reports whether both domains have been listed in full.
func (s *Store) Ready() bool {
	return s.view.Snapshot() != nil && s.configs.view.Snapshot() != nil
}

// Epoch is added to the revision to make the SOA serial, so that a store
// restored from a backup never turns it back.
func (s *Store) Epoch() uint32 { return s.epoch.Load() }

const (
	probeEvery = time.Second
	staleAfter = 3 * time.Second
	// commitTimeout bounds one transaction; a caller gets ErrUnavailable then.
	commitTimeout = 5 * time.Second
)

// Stale returns how long ago etcd last answered, and whether that is so long
// that snapshots may be out of date.
func (s *Store) Stale() (time.Duration, bool) {
	age := time.Since(s.start) - time.Duration(s.heard.Load())
	return age, age > staleAfter
}

func (s *Store) touch() { s.heard.Store(int64(time.Since(s.start))) }

// Run checks the layout's version, then lists, watches and commits until ctx
// ends; it returns nil then. An unreachable etcd is waited for; a newer layout
// than this binary knows is an error.
func (s *Store) Run(ctx context.Context) error {
	if err := s.openLayout(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.follow(ctx, s.registryFeed()) })
	g.Go(func() error { return s.follow(ctx, s.configs.feed()) })
	g.Go(func() error { return s.commitLoop(ctx) })
	g.Go(func() error { return s.probe(ctx) })
	return g.Wait()
}

// layout is the version of the keys below prefix that this code writes.
const layout = "1"

// openLayout waits for etcd, claims an empty store for this layout and refuses
// one that a newer binary has taken.
func (s *Store) openLayout(ctx context.Context) error {
	version := prefix + "meta/version"
	pause := newPause()
	for {
		err := s.readLayout(ctx, version)
		if err == nil || errors.Is(err, errLayout) || ctx.Err() != nil {
			return err
		}
		s.log.Warn("etcd does not answer, trying again", "err", err)
		if err := pause.wait(ctx); err != nil {
			return err
		}
	}
}

var errLayout = errors.New("the store was written by a newer muster")

func (s *Store) readLayout(ctx context.Context, version string) error {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	get := []clientv3.Op{clientv3.OpGet(version)}
	txn := s.client.Txn(ctx)
	if !s.readOnly {
		txn = txn.If(clientv3.Compare(clientv3.CreateRevision(version), "=", 0)).
			Then(clientv3.OpPut(version, layout)).Else(get...)
	} else {
		txn = txn.If(clientv3.Compare(clientv3.CreateRevision(version), "=", -1)).Else(get...)
	}
	resp, err := txn.Commit()
	if err != nil {
		return err
	}
	s.touch()
	if resp.Succeeded {
		return nil
	}
	kvs := resp.Responses[0].GetResponseRange().Kvs
	if len(kvs) == 1 && string(kvs[0].Value) != layout {
		return fmt.Errorf("layout %q, this binary knows %q: %w", kvs[0].Value, layout, errLayout)
	}
	return nil
}

// probe asks etcd once a second whether it can be reached, and for the epoch.
func (s *Store) probe(ctx context.Context) error {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		func() {
			ctx, cancel := context.WithTimeout(ctx, probeEvery)
			defer cancel()
			resp, err := s.client.Get(ctx, prefix+"meta/epoch")
			if err != nil {
				return
			}
			s.touch()
			if len(resp.Kvs) == 1 {
				var epoch uint32
				if _, err := fmt.Sscan(string(resp.Kvs[0].Value), &epoch); err == nil {
					s.epoch.Store(epoch)
				}
			}
		}()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// outward turns what etcd says into what the domain's callers branch on.
func outward(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, rpctypes.ErrNoSpace):
		return registry.ErrFull
	case errors.Is(err, context.Canceled), refused(err):
		return fmt.Errorf("etcd: %w", err)
	}
	return fmt.Errorf("%w: etcd: %w", registry.ErrUnavailable, err)
}
