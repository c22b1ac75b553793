package dnsd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// endpoint owns the UDP sockets and the TCP socket of one listen address and the connections to
// it, from the start or the reload that brings the address until the one that
// drops it.
type endpoint struct {
	udp   []*socket // one or more
	tcp   *net.TCPListener
	any   bool // bound to all addresses: answers must name their source
	conns *connections
	log   *slog.Logger

	workers  *workers
	queue    *queue                    // of UDP
	current  atomic.Pointer[responder] // of the generation that serves now
	stopping chan struct{}             // closed by stop
	loops    sync.WaitGroup

	droppedConns *overload
	unsent       prometheus.Counter
}

// openEndpoint binds the sockets of addr, host:port. Nothing is read from them
// before serve.
func openEndpoint(ctx context.Context, addr string, shared bool, cfg Config, conns *connections) (*endpoint, error) {
	udp, tcp, err := listen(ctx, addr, shared, sockets())
	if err != nil {
		return nil, err
	}
	stopping := make(chan struct{})
	workers := newWorkers(stopping)
	e := &endpoint{
		tcp: tcp, any: localAddr(udp[0]).Addr().IsUnspecified(), conns: conns, log: cfg.Logger,
		workers: workers, queue: &queue{workers: workers, dropped: newOverload(addr, "udp", cfg.Logger), most: runtime.GOMAXPROCS(0)},
		stopping:     stopping,
		droppedConns: newOverload(addr, "tcp", cfg.Logger), unsent: unsent.WithLabelValues("dns://" + addr),
	}
	e.queue.breath.bell.open()
	for i, conn := range udp {
		s, err := e.newSocket(conn, i, len(udp))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("dns address %s (udp): %w", addr, err), e.close(), closeAll(udp[i:]))
		}
		socketDrops.watch(conn, "dns://"+addr)
		e.udp = append(e.udp, s)
	}
	return e, nil
}

// mostSockets bounds the UDP sockets of an address: more processors than this have
// enough to do without.
const mostSockets = 16

// sockets is how many UDP sockets an address gets, one for each processor that may read
// one. Where packets are read one by one that is not what costs.
func sockets() int {
	if !batches {
		return 1
	}
	return min(runtime.GOMAXPROCS(0), mostSockets)
}

// share lets other sockets bind to the addresses of this one, or no longer. Several UDP
// sockets share theirs all the time.
func (e *endpoint) share(on bool) error {
	err := shareAddress(e.tcp, on)
	if len(e.udp) == 1 {
		err = errors.Join(err, shareAddress(e.udp[0], on))
	}
	return err
}

// serve has r answer all queries from now on.
func (e *endpoint) serve(r *responder) {
	if e.current.Swap(r) == nil {
		for _, s := range e.udp {
			e.loops.Go(func() { s.serve(e.log) })
		}
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
	for _, s := range e.udp {
		_ = s.SetReadDeadline(past)
	}
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
	for _, s := range e.udp {
		socketDrops.forget(s.UDPConn)
	}
	err := errors.Join(closeAll(e.udp), e.tcp.Close())
	e.conns.each(e, e.conns.close)
	e.loops.Wait()
	e.queue.breath.bell.close()
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
