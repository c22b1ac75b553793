// Package cluster runs servers of Muster, and what they store things in, as
// real processes on nodes that can be broken one by one.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Config says what a Cluster consists of.
type Config struct {
	// Dir is an empty folder for data and logs.
	Dir string
	// Muster and Etcd are the programs; Etcd is needed for External only.
	Muster, Etcd string
	// Network carries everything; the caller closes it after the Cluster.
	Network Network
	// Servers is how many servers there are; 0 means 1.
	Servers int
	// External is how many members an external etcd has. With 0 each server has
	// an embedded one, and those of several servers form one cluster.
	External int
	// Room is how many bytes the data directory of each server has, on a file
	// system of its own; 0 means that they share the disk of Dir.
	Room int64
	// Args are further arguments of every server.
	Args []string
	// Env are further variables of every server.
	Env []string
}

// Cluster is the servers and their store. It is used by one goroutine.
type Cluster struct {
	Servers []*Server
	Etcds   []*Etcd // of an external etcd

	cfg Config
}

// New prepares the nodes and starts nothing.
func New(cfg Config) (*Cluster, error) {
	cfg.Servers = max(cfg.Servers, 1)
	c := &Cluster{cfg: cfg}
	for i := range cfg.Servers {
		s, err := c.newServer(fmt.Sprint("s", i+1))
		if err != nil {
			return nil, err
		}
		c.Servers = append(c.Servers, s)
	}
	if err := c.prepareEtcds(); err != nil {
		return nil, err
	}
	if cfg.External == 0 && cfg.Servers > 1 {
		if err := c.preparePeers(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Start starts everything and waits until all servers are ready.
func (c *Cluster) Start(ctx context.Context) error {
	for _, e := range c.Etcds {
		if err := e.Start(); err != nil {
			return err
		}
	}
	for _, s := range c.Servers {
		if err := s.Start(); err != nil {
			return err
		}
	}
	return c.Ready(ctx)
}

// Ready waits until every server that runs is ready.
func (c *Cluster) Ready(ctx context.Context) error {
	for _, s := range c.Servers {
		if s.Running() {
			if err := s.Ready(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// URLs returns the HTTP addresses of all servers.
func (c *Cluster) URLs() []string {
	var all []string
	for _, s := range c.Servers {
		all = append(all, s.URL())
	}
	return all
}

// Close ends everything that was started, without asking.
func (c *Cluster) Close() error {
	var errs []error
	for _, s := range c.Servers {
		if s.cmd != nil {
			_ = s.Continue() // it may have ended
		}
		errs = append(errs, s.Crash())
	}
	for _, e := range c.Etcds {
		if e.cmd != nil {
			_ = e.Continue()
		}
		errs = append(errs, e.Crash())
	}
	c.reap()
	for _, s := range c.Servers {
		errs = append(errs, s.releaseRoom())
	}
	return errors.Join(errs...)
}

// reap ends what a server left behind that was killed: whatever has this
// cluster's folder in its command line.
func (c *Cluster) reap() {
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		left := 0
		paths, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is right
		for _, path := range paths {
			b, err := os.ReadFile(path)
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err == nil && pid != os.Getpid() && strings.Contains(string(b), c.cfg.Dir+"/") {
				left++
				_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
			}
		}
		if left == 0 {
			return
		}
	}
}

// Judge returns the server that says it judges, nil if none does or more than
// one.
func (c *Cluster) Judge(ctx context.Context) *Server {
	var judge *Server
	for _, s := range c.Servers {
		if !s.Running() {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		state, err := s.Status(ctx)
		cancel()
		if err != nil || !state.Judge {
			continue
		}
		if judge != nil {
			return nil
		}
		judge = s
	}
	return judge
}

// AwaitJudge waits until one server judges that is not the one given, which may
// be nil.
func (c *Cluster) AwaitJudge(ctx context.Context, other *Server) (*Server, error) {
	for {
		if s := c.Judge(ctx); s != nil && s != other {
			return s, nil
		}
		if err := rest(ctx, 50*time.Millisecond); err != nil {
			return nil, fmt.Errorf("no server judges: %w", err)
		}
	}
}

// rest waits for d, or until ctx ends, with the error of which it returns then.
func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
