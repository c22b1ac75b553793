// Package keeper runs an embedded etcd as a process of its own, and starts it
// again whenever it dies.
//
// etcd ends its process when it cannot write its log: on a full disk, say. As a
// process of its own it takes nobody along, and what needs it waits for it.
package keeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/etcdstore/embedded"
)

// Config configures a Keeper.
type Config struct {
	// Command is the program with its arguments that runs [Main] on its standard
	// streams.
	Command []string
	// Etcd is what the etcd is started with. An empty Socket is "client.sock" in
	// its Dir.
	Etcd embedded.Config
	// Logger hears what the etcd says, and of its deaths; nil discards that.
	Logger *slog.Logger
	// Registerer receives the metrics; nil keeps them from everyone.
	Registerer prometheus.Registerer
}

const (
	minPause = 100 * time.Millisecond
	maxPause = 5 * time.Second
	// steady is how long an etcd must have served for its death to count as the
	// first one.
	steady = 10 * time.Second
	// stopTimeout is how long an etcd may take to end before it is killed. It is
	// longer than it takes by itself.
	stopTimeout = 10 * time.Second
)

// Keeper keeps one etcd running.
type Keeper struct {
	cfg    Config
	log    *slog.Logger
	client *clientv3.Client

	ready     chan struct{} // closed when it served for the first time
	readyOnce sync.Once
	pid       atomic.Int64 // 0 between two lives
	restarts  prometheus.Counter
	up        prometheus.Gauge
}

// New returns a Keeper that has not started anything yet: see [Keeper.Run]. The
// error names the setting that is wrong. The caller closes it.
func New(cfg Config) (*Keeper, error) {
	if len(cfg.Command) == 0 {
		return nil, errors.New("etcd process: no command given")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Etcd.Socket == "" {
		cfg.Etcd.Socket = filepath.Join(cfg.Etcd.Dir, "client.sock")
	}
	cfg.Etcd.Logger = cfg.Logger
	if err := cfg.Etcd.Check(); err != nil {
		return nil, fmt.Errorf("etcd process: %w", err)
	}
	k := &Keeper{cfg: cfg, log: cfg.Logger, ready: make(chan struct{}),
		restarts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "muster_etcd_process_restarts_total", Help: "Times the process of the embedded etcd was started again.",
		}),
		up: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "muster_etcd_process_up", Help: "Whether the process of the embedded etcd is ready to serve.",
		}),
	}
	if cfg.Registerer != nil {
		for _, c := range []prometheus.Collector{k.restarts, k.up} {
			if err := cfg.Registerer.Register(c); err != nil {
				return nil, fmt.Errorf("etcd process: %w", err)
			}
		}
	}
	var err error
	if k.client, err = embedded.Dial(cfg.Etcd.Socket); err != nil {
		return nil, err
	}
	return k, nil
}

// Client returns a client of the etcd. It outlasts the etcd's deaths: calls fail
// as unavailable while there is none. It is closed with the Keeper.
func (k *Keeper) Client() *clientv3.Client { return k.client }

// Members returns the members of the etcd's cluster, or of the one it may become.
func (k *Keeper) Members() (*embedded.Members, error) {
	return embedded.NewMembers(k.client, k.cfg.Etcd)
}

// Ready is closed when the etcd has served for the first time.
func (k *Keeper) Ready() <-chan struct{} { return k.ready }

// Pid returns the number of the etcd's process, 0 while there is none.
func (k *Keeper) Pid() int { return int(k.pid.Load()) }

// Close closes the client. Call it when Run has returned.
func (k *Keeper) Close() error { return k.client.Close() }

// Run keeps the etcd running until ctx ends; then it stops the etcd, for up to
// 10 s, and returns nil. It returns an error when the etcd has never served and
// says why it cannot, and one that is [embedded.ErrRemoved] when its cluster has
// removed it.
func (k *Keeper) Run(ctx context.Context) error {
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		end := k.live(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err := k.verdict(end); err != nil {
			return fmt.Errorf("etcd process: %w", err)
		}
		if end.served > steady {
			pause = minPause
		}
		// Servers that share a fault shall not come back in step.
		wait := time.Duration(float64(pause) * (0.75 + rand.Float64()/2))
		k.log.Error("the etcd process died and is started again", "exit", end.exit, "err", end.reason(),
			"served", end.served.Round(time.Millisecond), "pause", wait.Round(time.Millisecond), "output", end.output)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
		k.restarts.Inc()
	}
}

// verdict returns why there is no point in another start, nil if there is.
func (k *Keeper) verdict(end death) error {
	if end.removed {
		return embedded.ErrRemoved
	}
	select {
	case <-k.ready:
		return nil
	default:
	}
	if end.killed {
		return nil // the system was short of memory, or somebody played
	}
	if end.failed != "" {
		return errors.New(end.failed)
	}
	return fmt.Errorf("with %s: %s", k.cfg.Etcd.Dir, end.reason())
}

// serving tells the world that an etcd is ready.
func (k *Keeper) serving() {
	k.up.Set(1)
	k.readyOnce.Do(func() { close(k.ready) })
}
