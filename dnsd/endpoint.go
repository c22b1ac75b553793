package dnsd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// endpoint owns the UDP and TCP socket of one listen address and the connections to
// it, from the start or the reload that brings the address until the one that
// drops it.
type endpoint struct {
	udp   *net.UDPConn
	tcp   *net.TCPListener
	any   bool // bound to all addresses: answers must name their source
	batch batcher
	conns *connections
	log   *slog.Logger

	workers  *workers
	current  atomic.Pointer[responder] // of the generation that serves now
	packets  atomic.Int32              // under way
	stopping chan struct{}             // closed by stop
	loops    sync.WaitGroup

	droppedPackets, droppedConns *overload
}

// openEndpoint binds the sockets of addr, host:port. Nothing is read from them
// before serve.
func openEndpoint(ctx context.Context, addr string, shared bool, cfg Config, conns *connections) (*endpoint, error) {
	udp, tcp, err := listen(ctx, addr, shared)
	if err != nil {
		return nil, err
	}
	stopping := make(chan struct{})
	e := &endpoint{
		udp: udp, tcp: tcp, batch: newBatcher(udp), conns: conns, log: cfg.Logger,
		stopping: stopping, workers: newWorkers(stopping),
		droppedPackets: newOverload(addr, "udp", cfg.Logger),
		droppedConns:   newOverload(addr, "tcp", cfg.Logger),
	}
	// A refusal only means a smaller buffer.
	_ = udp.SetReadBuffer(readBuffer)
	filter(e.batch, nil)
	if e.any = localAddr(udp).Addr().IsUnspecified(); e.any {
		if err := askDestination(udp); err != nil {
			return nil, errors.Join(fmt.Errorf("dns address %s (udp): %w", addr, err), e.close())
		}
	}
	return e, nil
}

// share lets other sockets bind to the addresses of this one, or no longer.
func (e *endpoint) share(on bool) error {
	udp, errUDP := e.udp.SyscallConn()
	tcp, errTCP := e.tcp.SyscallConn()
	if err := errors.Join(errUDP, errTCP); err != nil {
		return err
	}
	return errors.Join(setReusePort(udp, on), setReusePort(tcp, on))
}

// serve has r answer all queries from now on.
func (e *endpoint) serve(r *responder) {
	if e.current.Swap(r) == nil {
		e.loops.Go(e.readPackets)
		e.loops.Go(e.acceptConns)
	}
}

// acquire returns the current responder with one more query under way, or nil when
// it is ending and none has taken its place: the endpoint is being closed then.
func (e *endpoint) acquire() *responder {
	for {
		r := e.current.Load()
		if r.underWay.begin() {
			return r
		}
		if e.current.Load() == r {
			return nil
		}
	}
}

// stop ends all reading; what has been read is still answered. It may be called
// again.
func (e *endpoint) stop() {
	if e.stopped() {
		return
	}
	close(e.stopping)
	past := time.Unix(1, 0)
	// On failure the sockets are closed already.
	_ = e.udp.SetReadDeadline(past)
	_ = e.tcp.SetDeadline(past)
	e.conns.each(e, func(c *conn) { _ = c.SetReadDeadline(past) })
}

func (e *endpoint) stopped() bool {
	select {
	case <-e.stopping:
		return true
	default:
		return false
	}
}

// close closes the sockets, with all connections that are still open, and waits for
// their goroutines.
func (e *endpoint) close() error {
	e.stop()
	err := errors.Join(e.udp.Close(), e.tcp.Close())
	e.conns.each(e, e.conns.close)
	e.loops.Wait()
	return err
}

// acceptConns takes TCP connections as long as there is room.
func (e *endpoint) acceptConns() {
	var wait pause
	for {
		accepted, err := e.tcp.Accept()
		if err != nil {
			if e.stopped() || errors.Is(err, net.ErrClosed) {
				return
			}
			// Out of file descriptors, most likely: connections end in time.
			e.log.Warn("dns accept", "network", "tcp", "address", e.tcp.Addr(), "err", err)
			wait.after(e.stopping)
			continue
		}
		wait.reset()
		c := newConn(accepted, e)
		if !e.conns.add(c) {
			e.droppedConns.count()
			accepted.Close()
			continue
		}
		e.loops.Go(c.serve)
	}
}

// pause waits ever longer, from 5 ms to 1 s, after errors in a row.
type pause time.Duration

func (p *pause) reset() { *p = 0 }

func (p *pause) after(done <-chan struct{}) {
	*p = min(max(*p*2, pause(5*time.Millisecond)), pause(time.Second))
	timer := time.NewTimer(time.Duration(*p))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-done:
	}
}
