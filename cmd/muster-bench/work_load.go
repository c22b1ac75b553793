package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/etcdstore"
	"github.com/musterhq/muster/etcdstore/embedded"
	"github.com/musterhq/muster/registry"
)

func loadCommand() *cli.Command {
	return &cli.Command{Name: "load", Usage: "write instances of Muster straight into etcd, past the servers",
		Description: "They are persistent, and nobody checks them. What was there stays, and nothing is removed at the end: it is for\n" +
			"filling a store that is thrown away later. With --data-dir no server may run on that directory; nothing is synced\n" +
			"to the disk before the end.",
		Flags: concat(rosterFlags(10), []cli.Flag{
			&cli.StringFlag{Name: "data-dir", Usage: "data `DIRECTORY` of a server with an embedded etcd"},
			&cli.StringSliceFlag{Name: "etcd", Usage: "`URL` of an external etcd, repeatable"},
			&cli.StringFlag{Name: "namespace", Value: defaultNamespace, Usage: "namespace `NAME` of what is made"},
			&cli.IntFlag{Name: "clients", Value: 128, Usage: "`NUMBER` of writes under way at once"},
			&cli.BoolFlag{Name: "json", Usage: "write the results as JSON"}}),
		Action: fill}
}

func fill(c *cli.Context) (err error) {
	if err := noNames(c); err != nil {
		return err
	}
	r, err := rosterOf(c)
	if err != nil {
		return err
	}
	clients, err := number(c, "clients", 10_000)
	if err != nil {
		return err
	}
	store, done, err := openStore(c)
	if err != nil {
		return err
	}
	defer func() { joined(&err, done()) }()
	ctx, stop := context.WithCancel(c.Context)
	ended := make(chan error, 1)
	go func() { ended <- store.Run(ctx) }()
	defer func() {
		stop()
		joined(&err, <-ended)
	}()
	began := time.Now()
	if err := writeAll(ctx, store, r, clients); err != nil {
		return err
	}
	took := time.Since(began)
	figures := map[string]float64{
		"instances": float64(r.size()), "services": float64(r.services), "seconds": took.Seconds(),
		"instances in a second": float64(r.size()) / took.Seconds(),
	}
	if file, err := os.Stat(filepath.Join(c.String("data-dir"), "etcd", "member", "snap", "db")); err == nil {
		figures["MiB of etcd's file"] = float64(file.Size()) / (1 << 20)
	}
	return report{Figures: figures}.publish(c, nil)
}

// openStore opens the store over the etcd that the flags name.
func openStore(c *cli.Context) (*etcdstore.Store, func() error, error) {
	cfg := etcdstore.Config{ReconcileEvery: time.Hour} // nobody reads what it shows

	dir, urls := c.String("data-dir"), c.StringSlice("etcd")
	switch {
	case dir == "" && len(urls) == 0:
		return nil, nil, usagef("data-dir or etcd is missing: where is it to be written?")
	case dir != "" && len(urls) > 0:
		return nil, nil, usagef("data-dir and etcd are given: it is one of them")
	case dir != "":
		e, err := embedded.Start(c.Context, embedded.Config{Dir: filepath.Join(dir, "etcd"), NoSync: true})
		if err != nil {
			return nil, nil, err
		}
		return etcdstore.New(e.Client(), cfg), e.Close, nil
	}
	client, err := etcdstore.Dial(etcdstore.Endpoints{URLs: urls})
	if err != nil {
		return nil, nil, usageError{err}
	}
	return etcdstore.New(client, cfg), client.Close, nil
}

// perWrite is how many records one write puts: what etcd takes by its defaults when
// writes travel together.
const perWrite = 60

// writeAll writes all services, then all instances.
func writeAll(ctx context.Context, store *etcdstore.Store, r roster, clients int) error {
	err := puts(ctx, store, clients, r.services, perWrite/2, func(s int) []registry.Record {
		k := r.key(s)
		records := []registry.Record{&registry.ServiceRecord{Key: k}}
		if folded, ok := k.Folded(); ok {
			records = append(records, &registry.Claim{Folded: folded, Service: k})
		}
		return records
	})
	if err != nil {
		return err
	}
	return puts(ctx, store, clients, r.size(), perWrite, func(n int) []registry.Record {
		m := r.member(n)
		return []registry.Record{&registry.Registration{
			Key:     registry.InstanceKey{Service: r.key(n % r.services), Endpoint: registry.Endpoint{Host: m.address, Port: m.port}},
			Cluster: registry.DefaultCluster, Weight: 1, Enabled: true, Healthy: true, Metadata: registry.MetadataOf(m.metadata),
		}}
	})
}

func (r roster) key(s int) registry.ServiceKey {
	return registry.ServiceKey{Namespace: r.namespace, Group: r.groupOf(s), Name: r.serviceName(s)}
}

// puts writes the records of n things, so many things with one write.
func puts(ctx context.Context, store *etcdstore.Store, clients, n, each int, records func(int) []registry.Record) error {
	var (
		wg    sync.WaitGroup
		next  atomic.Int64
		fault atomic.Pointer[error]
	)
	for range clients {
		wg.Go(func() {
			for fault.Load() == nil && ctx.Err() == nil {
				from := int(next.Add(int64(each))) - each
				if from >= n {
					return
				}
				var w registry.Write
				for i := from; i < min(from+each, n); i++ {
					w.Puts = append(w.Puts, records(i)...)
				}
				if err := commit(ctx, store, w); err != nil {
					fault.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	wg.Wait()
	if err := fault.Load(); err != nil {
		return fmt.Errorf("write: %w", *err)
	}
	return ctx.Err()
}

// commit writes, and tries again for as long as etcd is slow: the writes have no
// conditions, so that one which was made after all does no harm.
func commit(ctx context.Context, store *etcdstore.Store, w registry.Write) error {
	for deadline := time.Now().Add(slowFor); ; {
		_, err := store.Commit(ctx, w)
		if !errors.Is(err, registry.ErrUnavailable) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// slowFor is how long etcd may be too slow to write anything.
const slowFor = 2 * time.Minute
