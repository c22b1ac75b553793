// Package etcdstore keeps the records of the registry and the configuration
// centre in etcd.
//
// It is the only package that knows etcd: where a record lies, how writes that
// come together travel together, how list and watch become snapshots, how old
// those are, and who holds the judge's office. [Store] serves the registry,
// [Store.Configs] the configuration centre, [Store.Auth] users and keys. Nothing
// is answered before [Store.Run] runs.
package etcdstore

import (
	"cmp"
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
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
	// Vault encrypts the contents that are to be encrypted; nil refuses them, and
	// those that are encrypted already cannot be read.
	Vault Vault
	// Policy is that of the registry's snapshots.
	Policy registry.Policy
	// HighestSerial is the highest SOA serial that was served before, 0: none is
	// known. The serial does not go back behind it.
	HighestSerial uint32
	// Refusal says, when there is no connection to etcd, whether that is because
	// this server is not let in; nil is never asked.
	Refusal func(context.Context) error
	// Space says why nothing may be written, nil while the disk has room: an
	// embedded etcd ends its process at the end of the disk. It is asked once a
	// second and before each transaction; nil is never asked.
	Space func() error
	// Maintain keeps the file of the etcd that the client talks to small: for an
	// embedded etcd, whose client reaches its own member only.
	Maintain bool
	// DefragmentBytes is the size from which a file that is half empty is
	// defragmented; 0 is 100 MiB.
	DefragmentBytes int64
	// ReconcileEvery is how often, roughly, snapshots are compared with etcd; 0 is
	// 5 minutes.
	ReconcileEvery time.Duration
	// GuardEvery is how often etcd is asked how full it is; 0 is 10 seconds.
	GuardEvery time.Duration
	// UpkeepEvery is how often the judge trims history and removes contents that
	// nothing refers to; 0 is an hour. It begins after a twelfth of that.
	UpkeepEvery time.Duration
}

func (c Config) withDefaults() Config {
	c.DefragmentBytes = cmp.Or(c.DefragmentBytes, 100<<20)
	c.ReconcileEvery = cmp.Or(c.ReconcileEvery, 5*time.Minute)
	c.GuardEvery = cmp.Or(c.GuardEvery, 10*time.Second)
	c.UpkeepEvery = cmp.Or(c.UpkeepEvery, time.Hour)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Store is a registry.Store over etcd.
type Store struct {
	cfg     Config
	client  *clientv3.Client
	log     *slog.Logger
	metrics *metrics
	start   time.Time

	view    registry.View
	configs Configs
	auth    Auth
	feeds   [domains]*feed
	inbox   *inbox // of the committer

	proof     proof
	health    *health
	guard     guard
	era       atomic.Int64 // counts the histories of etcd that were met
	epoch     serial
	epochRead atomic.Int64 // revision of the epoch in etcd as last read, 0: there is none
	recent    recent
	office    atomic.Int64 // revision at which this server took the judge's office, 0 without it

	name        atomic.Value  // string: of the store, once it is known
	cluster     atomic.Uint64 // id of the etcd cluster, 0 before it has answered
	officeHeard atomic.Int64  // when its lease was last prolonged, since the store's start

	presence presence

	spoil func([]*clientv3.Event) []*clientv3.Event // tests lose events by it; nil: none is lost
}

// New returns a Store over a client, which stays the caller's to close.
func New(client *clientv3.Client, cfg Config) *Store {
	cfg = cfg.withDefaults()
	s := &Store{
		cfg: cfg, client: client, log: cfg.Logger, start: time.Now(), health: newHealth(cfg.Logger),
		inbox: newInbox(), guard: guard{ask: make(chan struct{}, 1)},
	}
	s.epoch.highest = cfg.HighestSerial
	s.auth.store = s
	s.epochRead.Store(epochUnread)
	s.configs.store, s.configs.cache, s.configs.vault = s, newCache(contentCacheBytes), cfg.Vault
	s.feeds = [domains]*feed{registryDomain: s.registryFeed(), configDomain: s.configs.feed()}
	s.metrics = newMetrics(cfg.Registerer, s)
	return s
}

// View returns the view of the registry's snapshots; it is empty until the
// first full list is done.
func (s *Store) View() *registry.View { return &s.view }

// Configs returns the configuration centre's side of the store.
func (s *Store) Configs() *Configs { return &s.configs }

// commitTimeout bounds one transaction; a caller gets ErrUnavailable then.
const commitTimeout = 5 * time.Second

// Run checks the layout's version, then lists, watches and commits until ctx
// ends; it returns nil then. An unreachable etcd is waited for; a newer layout
// than this binary knows is an error.
func (s *Store) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	run := func(part func(context.Context) error) {
		g.Go(func() error { return part(ctx) })
	}
	run(s.probe)
	run(s.followLink)
	run(func(ctx context.Context) error {
		if err := s.openLayout(ctx); err != nil {
			s.inbox.close(nil)
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		for _, f := range s.feeds {
			run(func(ctx context.Context) error { return s.follow(ctx, f) })
		}
		for _, part := range []func(context.Context) error{
			s.commitLoop, s.watchQuota, s.watchSpace, s.reconcileLoop,
			s.followServers, s.auth.follow, // who follows something else in etcd belongs here
		} {
			run(part)
		}
		return nil
	})
	return g.Wait()
}
