package nacos

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/musterhq/muster/server/nacos/rpc"
)

const (
	// listensWithin is after what time a client that was listening before is taken for one
	// that has forgotten it: those that listen look whether they do every 5 s.
	listensWithin = 10 * time.Second
	// strayTime is for how long it is known that a client was listening.
	strayTime = time.Minute
	mostLost  = 100_000 // clients of which that is known
)

// strays finds clients of configuration that are connected and have forgotten to listen.
// That of Java does when it connects anew twice within milliseconds, as after a crash of its
// server: the answer to what it asked over the connection between the two comes when it has
// taken note of the second, and tells it that it listens. It would listen again after three
// minutes. Asked to connect anew it does so at once.
type strays struct {
	within time.Duration

	mu     sync.Mutex
	silent map[string]map[*rpc.Conn]struct{} // connections that have not listened, by client
	lost   map[string]time.Time              // when one ended that had, by client
}

func newStrays() *strays {
	return &strays{within: listensWithin, silent: map[string]map[*rpc.Conn]struct{}{}, lost: map[string]time.Time{}}
}

// likeness is what the connections of a client have in common, one after the other. Two
// clients of a host may have it, too: then one may be asked to connect anew for nothing, once.
func likeness(c *rpc.Conn) string {
	who := c.Client()
	parts := []string{who.Addr.Addr().String(), who.Version, who.Tenant}
	for _, name := range slices.Sorted(maps.Keys(who.Labels)) {
		parts = append(parts, name, who.Labels[name])
	}
	return strings.Join(parts, "\x00")
}

func ofConfiguration(c *rpc.Conn) bool { return c.Client().Labels["module"] == "config" }

// joined takes note of a connection.
func (s *strays) joined(c *rpc.Conn) {
	if !ofConfiguration(c) {
		return
	}
	like := likeness(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.silent[like] == nil {
		s.silent[like] = map[*rpc.Conn]struct{}{}
	}
	s.silent[like][c] = struct{}{}
}

// listens takes note that a client listens over a connection.
func (s *strays) listens(c *rpc.Conn) {
	if ofConfiguration(c) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.speaks(c, likeness(c))
	}
}

// speaks has a connection count as silent no more. s.mu is held.
func (s *strays) speaks(c *rpc.Conn, like string) {
	if delete(s.silent[like], c); len(s.silent[like]) == 0 {
		delete(s.silent, like)
	}
}

// left takes note of the end of a connection, over which its client listened or not.
func (s *strays) left(c *rpc.Conn, listened bool) {
	if !ofConfiguration(c) {
		return
	}
	like := likeness(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.speaks(c, like)
	if listened && len(s.lost) < mostLost {
		s.lost[like] = time.Now()
	}
}

// run asks those who have forgotten to listen to connect anew, until ctx ends.
func (s *strays) run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			for _, c := range s.found(now) {
				c.Reset("")
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *strays) found(now time.Time) (all []*rpc.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for like, since := range s.lost {
		if now.Sub(since) > strayTime {
			delete(s.lost, like)
		}
		if now.Sub(since) < s.within {
			continue
		}
		for c := range s.silent[like] {
			if now.Sub(c.Since()) >= s.within {
				all = append(all, c)
				delete(s.lost, like)
			}
		}
	}
	return all
}
