// Package embedded runs an etcd inside this process: alone, without any port,
// or as a member of a cluster of servers. Its client calls it directly.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"google.golang.org/grpc"
)

// Config configures an embedded etcd. It travels as JSON to a process that runs
// one, but for its Logger.
type Config struct {
	// Dir holds its data; it is made when it is not there. One process at a time
	// uses it: Start waits a little for another one to end.
	Dir string `json:"dir"`
	// QuotaBytes bounds its file; 0 is 8 GiB.
	QuotaBytes int64 `json:"quota_bytes,omitempty"`
	// ClientURL opens a port for clients, for inspection; empty opens none.
	ClientURL string `json:"client_url,omitempty"`
	// Socket is the path of a unix socket for clients, which this user alone may
	// open: see [Dial]. Empty opens none.
	Socket string `json:"socket,omitempty"`
	// NoSync does not wait for the disk, so that a crash of the machine (not of
	// the process) loses acknowledged writes. For tests and throw-away data.
	NoSync bool `json:"no_sync,omitempty"`
	// Cluster makes it a member of a cluster; nil is an etcd of its own.
	Cluster *Cluster `json:"cluster,omitempty"`
	// Logger receives etcd's errors; nil discards them.
	Logger *slog.Logger `json:"-"`
}

const (
	quotaBytes = 8 << 30
	// compactAfter is how long old revisions are kept for a watch to go on from.
	compactAfter = "5m"
	// startTimeout is for reading the data of a large store, not for waiting.
	// A member of a cluster waits for the others for as long as it takes.
	startTimeout = 2 * time.Minute
	// promotedEvery is how often a new member looks whether it may vote.
	promotedEvery = 100 * time.Millisecond
)

// Check returns an error that names the setting with which no etcd can start.
// It reads the files of the cluster's certificates, and starts nothing.
func (c Config) Check() error {
	if c.Dir == "" {
		return errors.New("dir is missing")
	}
	if c.QuotaBytes < 0 {
		return fmt.Errorf("quota_bytes is %d, less than nothing", c.QuotaBytes)
	}
	if c.Cluster == nil {
		return nil
	}
	if err := c.Cluster.check(); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	return nil
}

// Etcd is a running etcd.
type Etcd struct {
	cfg    Config
	etcd   *embed.Etcd
	trace  *trace
	client *clientv3.Client
	rpc    *grpc.Server // nil without a socket

	failed  chan error
	closing chan struct{}
	close   func() error
}

// Start starts an etcd and returns when it takes writes: as a member of a
// cluster when a quorum is there, and when a new member was promoted to vote
// (see [Members.Run]). The error names the directory when it cannot be used;
// it is [ErrRemoved] when the cluster has removed this member.
func Start(ctx context.Context, cfg Config) (*Etcd, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	e := &Etcd{cfg: cfg, trace: &trace{log: cfg.Logger}, failed: make(chan error, 1), closing: make(chan struct{})}
	if err := e.start(ctx); err != nil {
		return nil, fmt.Errorf("embedded etcd in %s: %w", cfg.Dir, err)
	}
	e.close = sync.OnceValue(e.stop)
	go e.watch()
	return e, nil
}

func (e *Etcd) start(ctx context.Context) (err error) {
	if err := e.cfg.Check(); err != nil {
		return err
	}
	ec, err := e.settings()
	if err != nil {
		return err
	}
	if err := waitUnused(ctx, e.cfg.Dir); err != nil {
		return err
	}
	if err := e.cfg.Cluster.checkPeers(ctx, ec); err != nil {
		return err
	}
	if e.etcd, err = launch(ec); err != nil {
		return e.cfg.Cluster.explain(err)
	}
	if err = e.await(ctx); err == nil {
		e.client = v3client.New(e.etcd.Server)
		e.client.Maintenance = maintenance{e.client.Maintenance, e.etcd.Server}
		err = e.join(ctx)
	}
	if err != nil {
		e.etcd.Close()
	}
	return err
}

// maintenance defragments by itself: the client for an etcd in the same process
// would tell a health server that it was not given, and panic.
type maintenance struct {
	clientv3.Maintenance

	server *etcdserver.EtcdServer
}

// Defragment implements clientv3.Maintenance.
func (m maintenance) Defragment(context.Context, string) (*clientv3.DefragmentResponse, error) {
	return &clientv3.DefragmentResponse{}, m.server.Defragment()
}

// launch turns a panic into an error: this is how etcd answers a database that
// it cannot open.
func launch(ec *embed.Config) (e *embed.Etcd, err error) {
	defer func() {
		if r := recover(); r != nil {
			e, err = nil, fmt.Errorf("%v", r)
		}
	}()
	return embed.StartEtcd(ec)
}

// await waits until etcd takes writes.
func (e *Etcd) await(ctx context.Context) error {
	server := e.etcd.Server
	if own, ok := server.Cluster().(*membership.RaftCluster); ok && own.IsIDRemoved(server.MemberID()) {
		return ErrRemoved
	}
	n := len(server.Cluster().Members())
	if n == 1 {
		// It may have grown up alone, beside a cluster that did without it.
		if err := e.cfg.Cluster.checkSame(ctx, server.Cluster().ID().String()); err != nil {
			return err
		}
	}
	var late <-chan time.Time
	if e.cfg.Cluster == nil {
		if n > 1 {
			return fmt.Errorf("its data is that of a cluster of %d members, and there are no settings for one", n)
		}
		late = time.After(startTimeout)
	}
	for ready := server.ReadyNotify(); ; {
		select {
		case <-ready:
			if !server.IsLearner() {
				return nil
			}
			if ready != nil {
				e.cfg.Logger.Info("new member of the etcd cluster waits to be promoted", "name", e.cfg.Cluster.Name)
			}
			ready = nil
		case <-time.After(promotedEvery):
			if ready == nil && !server.IsLearner() {
				return nil
			}
		case err := <-e.etcd.Err():
			return err
		case <-server.StopNotify():
			return e.trace.reason(nil)
		case <-late:
			return fmt.Errorf("not ready within %s", startTimeout)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// join makes a member that takes writes known: to its cluster where it is, and
// to its clients on the socket.
func (e *Etcd) join(ctx context.Context) error {
	if err := e.cfg.Cluster.correctAddress(ctx, e.etcd.Server, e.client); err != nil {
		return err
	}
	return e.serveSocket(ctx)
}

// watch hears of an etcd that stops by itself.
func (e *Etcd) watch() {
	defer close(e.failed)
	for {
		select {
		case err, ok := <-e.etcd.Err():
			if ok && err == nil {
				continue
			}
			if ok {
				e.failed <- e.trace.reason(err)
			}
		case <-e.etcd.Server.StopNotify():
			select {
			case <-e.closing:
			default:
				e.failed <- e.trace.reason(nil)
			}
		case <-e.closing:
		}
		return
	}
}

// Client returns the client of the etcd; it is closed with it.
func (e *Etcd) Client() *clientv3.Client { return e.client }

// Members returns the members of its cluster, or of the cluster it may become.
func (e *Etcd) Members() (*Members, error) { return NewMembers(e.client, e.cfg) }

// Err delivers an error when the etcd stops by itself, [ErrRemoved] among
// others. It is closed when it has stopped, for whatever reason.
func (e *Etcd) Err() <-chan error { return e.failed }

// ClientURL returns where clients reach it, empty when it opens no port.
func (e *Etcd) ClientURL() string {
	if len(e.etcd.Clients) == 0 {
		return ""
	}
	return "http://" + e.etcd.Clients[0].Addr().String()
}

// Close stops the etcd. A leader hands its office over first, which takes up to
// 7 s when nobody takes it.
func (e *Etcd) Close() error { return e.close() }

func (e *Etcd) stop() error {
	close(e.closing)
	if e.rpc != nil {
		e.rpc.Stop()
		os.Remove(e.cfg.Socket) // before the next one may open its own
	}
	err := e.client.Close()
	if errors.Is(err, context.Canceled) { // its way of saying that it is closed
		err = nil
	}
	e.etcd.Close()
	return err
}
