package dnsd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// maxMessage is the largest UDP packet there is, and so the largest query.
// miekg/dns by itself would cut queries at 512 octets.
const maxMessage = 65535

// readBuffer is asked of the system for each UDP socket, so that a burst, or a
// pause of this process, loses no query. The system may grant less.
const readBuffer = 4 << 20

// endpoint owns the UDP and TCP socket of one listen address, from the start or
// the reload that brings the address until the one that drops it.
type endpoint struct {
	udp *net.UDPConn
	tcp *net.TCPListener
	any bool // bound to all addresses: answers must name their source
	hot HotPath
	log *slog.Logger

	current atomic.Pointer[door] // of the generation that serves now
	done    chan struct{}        // closed by close
	loops   sync.WaitGroup
}

// openEndpoint binds the sockets of addr, host:port. Nothing is read from them
// before serve.
func openEndpoint(ctx context.Context, addr string, shared bool, hot HotPath, log *slog.Logger) (*endpoint, error) {
	udp, tcp, err := listen(ctx, addr, shared)
	if err != nil {
		return nil, err
	}
	e := &endpoint{udp: udp, tcp: tcp, hot: hot, log: log, done: make(chan struct{})}
	// A refusal only means a smaller buffer.
	_ = udp.SetReadBuffer(readBuffer)
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

// serve hands all packets and connections from now on to d.
func (e *endpoint) serve(d *door) {
	if e.current.Swap(d) == nil {
		e.loops.Go(e.readPackets)
		e.loops.Go(e.acceptConns)
	}
}

// close closes the sockets and waits for their goroutines. The current door must
// be closed already, or these could be waiting there.
func (e *endpoint) close() error {
	close(e.done)
	err := errors.Join(e.udp.Close(), e.tcp.Close())
	e.loops.Wait()
	return err
}

// readPackets is the engine: it lets the hot path answer, and takes the other
// packets to the current door.
func (e *endpoint) readPackets() {
	buf, oob := make([]byte, maxMessage), make([]byte, oobSize)
	var answer []byte
	if e.hot != nil {
		answer = make([]byte, maxMessage)
	}
	var wait pause
	for {
		n, oobn, _, from, err := e.udp.ReadMsgUDPAddrPort(buf, oob)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			e.log.Warn("dns read", "network", "udp", "address", e.udp.LocalAddr(), "err", err)
			wait.after(e.done)
			continue
		}
		wait.reset()
		query := buf[:n]
		if !admit(query) {
			continue
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		if e.hot != nil {
			if n, ok := e.hot.Answer(answer, query, from); ok {
				if n > 0 {
					// An answer that cannot be sent is lost like any packet may be.
					_, _ = e.reply(answer[:n], from, oob[:oobn])
				}
				continue
			}
		}
		e.deliver(packet{data: bytes.Clone(query), from: e.remote(from, oob[:oobn])})
	}
}

// admit reports whether a packet deserves any answer: it has a whole header and
// is a query (QR=0). An answer to anything else would feed loops and reflection.
func admit(packet []byte) bool {
	const headerSize, qr = 12, 0x80
	return len(packet) >= headerSize && packet[2]&qr == 0
}

// deliver takes p to the current door. It is dropped when that door is closed
// and none has taken its place, as the endpoint is being closed then.
func (e *endpoint) deliver(p packet) {
	for {
		d := e.current.Load()
		select {
		case d.packets <- p:
			return
		case <-d.closed:
			if e.current.Load() == d {
				return
			}
		}
	}
}

// reply sends an answer to a packet received with the control message oob.
func (e *endpoint) reply(answer []byte, to netip.AddrPort, oob []byte) (int, error) {
	if e.any {
		oob = fromDestination(oob)
	}
	n, _, err := e.udp.WriteMsgUDPAddrPort(answer, oob, to)
	return n, err
}

// acceptConns takes TCP connections to the current door.
func (e *endpoint) acceptConns() {
	var wait pause
	for {
		conn, err := e.tcp.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			// Out of file descriptors, most likely: connections end in time.
			e.log.Warn("dns accept", "network", "tcp", "address", e.tcp.Addr(), "err", err)
			wait.after(e.done)
			continue
		}
		wait.reset()
		e.deliverConn(conn)
	}
}

// deliverConn is deliver for connections.
func (e *endpoint) deliverConn(conn net.Conn) {
	for {
		d := e.current.Load()
		select {
		case d.conns <- conn:
			return
		case <-d.closed:
			if e.current.Load() == d {
				conn.Close()
				return
			}
		}
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
