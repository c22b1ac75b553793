// Package embedded runs an etcd inside this process, for servers that need no
// cluster: it opens no port, and its client calls it directly.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.uber.org/zap"
)

// Config configures an embedded etcd.
type Config struct {
	// Dir holds its data; it is made when it is not there. The caller sees to it
	// that one process at a time uses it: etcd would wait for it in silence.
	Dir string
	// QuotaBytes bounds its file; 0 is 8 GiB.
	QuotaBytes int64
	// ClientURL opens a port for clients, for inspection; empty opens none.
	ClientURL string
	// NoSync does not wait for the disk, so that a crash of the machine (not of
	// the process) loses acknowledged writes. For tests and throw-away data.
	NoSync bool
	// Logger receives etcd's errors; nil discards them.
	Logger *slog.Logger
}

const (
	quotaBytes = 8 << 30
	// compactAfter is how long old revisions are kept for a watch to go on from.
	compactAfter = "5m"
	// startTimeout is for reading the data of a large store, not for waiting.
	startTimeout = 2 * time.Minute
)

// Etcd is a running etcd.
type Etcd struct {
	etcd   *embed.Etcd
	client *clientv3.Client
}

// Start starts an etcd and returns when it takes writes. The error names the
// directory when it cannot be used.
func Start(ctx context.Context, cfg Config) (*Etcd, error) {
	e, err := start(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("embedded etcd in %s: %w", cfg.Dir, err)
	}
	return &Etcd{e, v3client.New(e.Server)}, nil
}

func start(ctx context.Context, cfg Config) (*embed.Etcd, error) {
	ec, err := settings(cfg)
	if err != nil {
		return nil, err
	}
	e, err := embed.StartEtcd(ec)
	if err != nil {
		return nil, err
	}
	select {
	case <-e.Server.ReadyNotify():
		return e, nil
	case err = <-e.Err():
	case <-time.After(startTimeout):
		err = fmt.Errorf("not ready within %s", startTimeout)
	case <-ctx.Done():
		err = ctx.Err()
	}
	e.Close()
	return nil, err
}

func settings(cfg Config) (*embed.Config, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	ec := embed.NewConfig()
	ec.Name = "muster"
	ec.Dir = cfg.Dir
	ec.ListenPeerUrls, ec.ListenClientUrls = nil, nil
	none, err := url.Parse("http://localhost:0")
	if err != nil {
		return nil, err
	}
	ec.AdvertisePeerUrls, ec.AdvertiseClientUrls = []url.URL{*none}, []url.URL{*none}
	if cfg.ClientURL != "" {
		u, err := url.Parse(cfg.ClientURL)
		if err != nil {
			return nil, fmt.Errorf("client URL: %w", err)
		}
		ec.ListenClientUrls, ec.AdvertiseClientUrls = []url.URL{*u}, []url.URL{*u}
	}
	ec.InitialCluster = ec.InitialClusterFromName(ec.Name)
	ec.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.New(newBridge(cfg.Logger)))
	ec.EnableGRPCGateway = false
	ec.AutoCompactionMode, ec.AutoCompactionRetention = "periodic", compactAfter
	ec.QuotaBackendBytes = cfg.QuotaBytes
	if ec.QuotaBackendBytes == 0 {
		ec.QuotaBackendBytes = quotaBytes
	}
	ec.UnsafeNoFsync = cfg.NoSync
	// A single member elects itself: it need not wait for others to speak up.
	ec.TickMs, ec.ElectionMs = 10, 100
	return ec, nil
}

// Client returns the client of the etcd; it is closed with it.
func (e *Etcd) Client() *clientv3.Client { return e.client }

// Err delivers an error when the etcd stops by itself.
func (e *Etcd) Err() <-chan error { return e.etcd.Err() }

// ClientURL returns where clients reach it, empty when it opens no port.
func (e *Etcd) ClientURL() string {
	if len(e.etcd.Clients) == 0 {
		return ""
	}
	return "http://" + e.etcd.Clients[0].Addr().String()
}

// Close stops the etcd.
func (e *Etcd) Close() error {
	err := e.client.Close()
	if errors.Is(err, context.Canceled) { // its way of saying that it is closed
		err = nil
	}
	e.etcd.Close()
	return err
}
