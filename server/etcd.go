package server

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/musterhq/muster/etcdstore"
	"github.com/musterhq/muster/etcdstore/embedded"
	"github.com/musterhq/muster/etcdstore/keeper"
)

// etcd is the store below: elsewhere, in this process, or in a child of it.
type etcd struct {
	open    func(etcdstore.Config) *etcdstore.Store
	members *embedded.Members   // nil when it is elsewhere
	metrics prometheus.Gatherer // of a child; nil when there is none
	// run returns why it ended, or nil once ctx ends.
	run   func(ctx context.Context) error
	close func() error
}

// openEtcd connects to the etcd that the settings name, or gets one ready.
func (s *Server) openEtcd(ctx context.Context) (*etcd, error) {
	if len(s.cfg.Etcd.URLs) > 0 {
		client, err := etcdstore.Dial(s.cfg.Etcd.endpoints())
		if err != nil {
			return nil, err
		}
		open := func(c etcdstore.Config) *etcdstore.Store { return etcdstore.New(client, c) }
		return &etcd{open: open, run: untilDone, close: client.Close}, nil
	}
	quota, err := parseSize(s.cfg.Quota)
	if err != nil {
		return nil, err
	}
	cfg := embedded.Config{Dir: etcdDir(s.cfg), QuotaBytes: int64(quota), NoSync: s.cfg.Throwaway, Logger: s.log, Cluster: s.cfg.cluster()}
	if len(s.cfg.EtcdCommand) > 0 {
		return s.openChild(ctx, cfg)
	}
	e, err := embedded.Start(ctx, cfg)
	if err != nil {
		return nil, err
	}
	members, err := e.Members()
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return &etcd{
		open:    func(c etcdstore.Config) *etcdstore.Store { return etcdstore.New(e.Client(), c) },
		members: members,
		run: func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return nil
			case err := <-e.Err():
				return fmt.Errorf("embedded etcd stopped: %w", err)
			}
		},
		close: e.Close,
	}, nil
}

// etcdDir is where an embedded etcd keeps its data.
func etcdDir(c Config) string { return filepath.Join(c.DataDir, "etcd") }

func untilDone(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// openChild starts the child at once, so that one that cannot work is an error
// here. A member of a cluster is not waited for: it is ready when others are.
func (s *Server) openChild(ctx context.Context, cfg embedded.Config) (*etcd, error) {
	k, err := keeper.New(keeper.Config{Command: s.cfg.EtcdCommand, Etcd: cfg, Logger: s.log, Registerer: s.metrics})
	if err != nil {
		return nil, err
	}
	members, err := k.Members()
	if err != nil {
		return nil, errors.Join(err, k.Close())
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- k.Run(running) }()
	e := &etcd{
		open:    func(c etcdstore.Config) *etcdstore.Store { return etcdstore.New(k.Client(), c) },
		members: members,
		metrics: k,
		run: func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return nil
			case err := <-ended:
				ended <- nil // for close
				return err
			}
		},
		close: func() error {
			stop()
			return errors.Join(<-ended, k.Close())
		},
	}
	if cfg.Cluster != nil {
		return e, nil
	}
	select {
	case <-k.Ready():
		return e, nil
	case err = <-ended:
		ended <- nil
	case <-ctx.Done():
		err = ctx.Err()
	}
	return nil, errors.Join(err, e.close())
}
