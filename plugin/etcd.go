package plugin

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	clog "github.com/coredns/coredns/plugin/pkg/log"

	"github.com/musterhq/muster/etcdstore"
	"github.com/musterhq/muster/registry"
)

// etcdSource is the source in a CoreDNS that is not ours: it follows etcd by
// itself, and never writes to it.
type etcdSource struct {
	endpoints etcdstore.Endpoints
	log       *slog.Logger
	store     atomic.Pointer[etcdstore.Store] // nil until there is a client
	entered   chan struct{}                   // closed when there is one; nil until it is started

	cancel context.CancelFunc // nil until it is started
	wg     sync.WaitGroup
}

// redial is how long to wait before the next attempt to log in to etcd.
const redial = 2 * time.Second

// start follows etcd until stop is called. It does not wait: until the first
// list is done there is no snapshot, and etcd may come up later than we do.
func (e *etcdSource) start() error {
	// With credentials a dial logs in at once; without it finds what is wrong
	// with the files and endpoints alone.
	anonymous := e.endpoints
	anonymous.Username, anonymous.Password = "", ""
	client, err := etcdstore.Dial(anonymous)
	if err != nil {
		return err
	}
	if err := client.Close(); err != nil {
		return err
	}
	e.log = slog.New(logger{clog.NewWithPlugin(name), ""})
	ctx, cancel := context.WithCancel(context.Background())
	e.cancel, e.entered = cancel, make(chan struct{})
	e.wg.Go(func() {
		if err := e.run(ctx); err != nil {
			e.log.Error("etcd is not followed any more", "err", err)
		}
	})
	return nil
}

// stop ends what start began and waits for it.
func (e *etcdSource) stop() error {
	if e.cancel != nil {
		e.cancel()
		e.wg.Wait()
	}
	return nil
}

// run logs in to etcd, again and again until it succeeds, and follows it until
// ctx ends.
func (e *etcdSource) run(ctx context.Context) error {
	client, err := etcdstore.Dial(e.endpoints)
	for err != nil {
		e.log.Warn("no way in to etcd, trying again", "err", err)
		select {
		case <-time.After(redial):
		case <-ctx.Done():
			return nil
		}
		client, err = etcdstore.Dial(e.endpoints)
	}
	store := etcdstore.New(client, etcdstore.Config{Logger: e.log, ReadOnly: true})
	e.store.Store(store)
	close(e.entered)
	return errors.Join(store.Run(ctx), client.Close())
}

// Snapshot implements [Source].
func (e *etcdSource) Snapshot() *registry.Snapshot {
	if s := e.store.Load(); s != nil {
		return s.View().Snapshot()
	}
	return nil
}

// Changed implements [Changing].
func (e *etcdSource) Changed() <-chan struct{} {
	if s := e.store.Load(); s != nil {
		return s.View().Changed()
	}
	return e.entered
}

// Epoch implements [Source].
func (e *etcdSource) Epoch() uint32 {
	if s := e.store.Load(); s != nil {
		return s.Epoch()
	}
	return 0
}

// Stale implements [Source].
func (e *etcdSource) Stale() (time.Duration, bool) {
	if s := e.store.Load(); s != nil {
		return s.Stale()
	}
	return 0, false
}
