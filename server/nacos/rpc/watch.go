package rpc

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"time"
)

// Why the server closes a connection by itself.
var (
	errSilent  = errors.New("it does not answer whether it is there")
	errStuck   = errors.New("it takes nothing in")
	errNoSetup = errors.New("it has not set up")
	errNoSeat  = errors.New("there are too many, in all or of its address")
	errEnds    = errors.New("the server ends")
	errMoved   = errors.New("it was asked to move")
	errFault   = errors.New("a fault of ours")
)

// Watch looks at all connections again and again until ctx ends: it closes those that
// do not set up, asks quiet ones whether they are there, and ends waits for
// acknowledgements. One scan does it for all, as there may be tens of thousands.
func (s *Server) Watch(ctx context.Context) {
	tick := time.NewTicker(s.cfg.Scan)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.scan()
		case <-ctx.Done():
			return
		}
	}
}

func (s *Server) scan() {
	now := time.Now()
	s.mu.Lock()
	wires := slices.Collect(maps.Values(s.wires))
	s.mu.Unlock()
	for _, w := range wires {
		w.mu.Lock()
		c, calls, since := w.conn, w.calls && !w.joining, w.since
		w.mu.Unlock()
		switch {
		case w.stuck(now, s.cfg.Stuck):
			s.metrics.closed(errStuck)
			w.close()
		case c != nil:
			c.look(now)
		case calls && now.Sub(since) > s.cfg.SetupTime:
			s.metrics.closed(errNoSetup)
			w.close()
		}
	}
}

// look looks after a connection.
func (c *Conn) look(now time.Time) {
	c.expire(now)
	c.mu.Lock()
	stuck := !c.writing.IsZero() && now.Sub(c.writing) > c.server.cfg.Stuck
	moved := !c.leaving.IsZero() && now.After(c.leaving)
	quiet := !c.probing && !c.gone && c.wire.quiet(c.server) >= c.server.cfg.Idle
	if quiet {
		c.probing = true
	}
	c.mu.Unlock()
	switch {
	case stuck:
		c.drop(errStuck)
	case moved:
		c.drop(errMoved)
	case quiet:
		c.Push("ClientDetectionRequest", []byte("{}"), c.server.cfg.Detection, c.detected)
	}
}

// detected is told what became of asking whether a client is there. Any answer is one.
func (c *Conn) detected(err error) {
	c.mu.Lock()
	c.probing = false
	c.mu.Unlock()
	// It may have said something else meanwhile.
	if err != nil && !errors.Is(err, ErrRefused) && !errors.Is(err, ErrGone) && c.wire.quiet(c.server) >= c.server.cfg.Idle {
		c.drop(errSilent)
	}
}

// drop closes a connection and counts why.
func (c *Conn) drop(why error) {
	c.server.metrics.closed(why)
	c.close(why)
}

// Reset asks the client to move to a server, host:port as clients know it, or to any
// other when that is empty. The connection is closed after a while, as some clients do
// not understand it.
func (c *Conn) Reset(server string) {
	body := map[string]string{"connectionId": c.id}
	if host, port, err := net.SplitHostPort(server); err == nil {
		body["serverIp"], body["serverPort"] = host, port
	}
	c.mu.Lock()
	again := !c.leaving.IsZero()
	if !again {
		c.leaving = time.Now().Add(c.server.cfg.Grace)
	}
	c.mu.Unlock()
	if again {
		return
	}
	c.server.metrics.resets.Inc()
	b, _ := marshal(body) // it can
	c.Push("ConnectResetRequest", b, c.server.cfg.Grace, func(error) {})
}
