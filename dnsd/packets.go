package dnsd

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/net/ipv4"
)

const (
	// maxPackets bounds the UDP queries of one address that are under way. Above it
	// they are dropped: an answer that comes late is no better than none.
	maxPackets = 4096
	// readBuffer is asked of the system for each UDP socket. It holds a burst of some
	// thousand packets, and no more of a flood than is worked off in a moment. The
	// system may grant less.
	readBuffer = 2 << 20
)

// readPackets is the engine of UDP: gates and the hot path have their say at once,
// in this goroutine, and the other packets go to CoreDNS.
func (e *endpoint) readPackets() {
	in := messages()
	out := &answers{endpoint: e}
	floods := newFloods(e.batch, e.log.With("network", "udp", "address", e.udp.LocalAddr()), time.Now())
	var wait pause
	for {
		n, err := e.batch.ReadBatch(in, 0)
		if err != nil {
			if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) && e.stopped() {
				return
			}
			e.log.Warn("dns read", "network", "udp", "address", e.udp.LocalAddr(), "err", err)
			wait.after(e.stopping)
			continue
		}
		wait.reset()
		began := time.Now()
		r := e.acquire()
		if r == nil {
			continue // it stops
		}
		handed := false
		for i := range in[:n] {
			handed = e.take(&in[i], r, floods, out) || handed
		}
		out.flush()
		if now := time.Now(); len(r.gates)+len(r.hots) > 0 {
			r.hots.sent(now.Sub(began))
			floods.look(now)
		}
		r.underWay.done()
		if handed && n > 1 {
			// In a flood this goroutine has always something to read, and another
			// thread that takes the query over may have to wait for a processor.
			runtime.Gosched()
		}
	}
}

// take deals with one packet, and reports whether another goroutine does the rest.
// Answers that are known at once go to out.
func (e *endpoint) take(m *ipv4.Message, r *responder, floods *floods, out *answers) (handed bool) {
	query := m.Buffers[0][:m.N]
	if !admit(query) {
		return false
	}
	addr := m.Addr.(*net.UDPAddr)
	from := addr.AddrPort()
	from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	if len(r.gates) > 0 {
		if answer, truncated := r.gates.Admit(query, from); !answer {
			floods.count(from.Addr())
			if truncated {
				out.add(m, cut(out.buffer(), query))
			}
			return false
		}
	}
	if n, ok := r.hots.answer(out.buffer(), query, from); ok {
		out.add(m, n)
		return false
	}
	if e.packets.Add(1) > maxPackets {
		e.packets.Add(-1)
		e.droppedPackets.count()
		return false
	}
	if !r.underWay.begin() {
		// A reload has ended it just now, and another one may be there.
		if r = e.acquire(); r == nil {
			e.packets.Add(-1)
			return false
		}
	}
	p := packets.Get().(*packet)
	p.wire = append(p.wire[:0], query...)
	p.responder = r
	p.client = &udpClient{endpoint: e, from: addr, oob: e.oob(m)}
	e.workers.start(p)
	return true
}

// packet is a query over UDP. It is used again once its message has been read.
type packet struct {
	wire      []byte
	responder *responder
	client    *udpClient
}

var packets = sync.Pool{New: func() any { return &packet{wire: make([]byte, 0, 512)} }}

func (p *packet) answer() {
	r, c := p.responder, p.client
	defer c.endpoint.packets.Add(-1)
	defer r.underWay.done()
	r.answer(&response{client: c}, p.wire, false, func() {
		p.responder, p.client = nil, nil
		packets.Put(p)
	})
}

// oob is the control message to answer m with.
func (e *endpoint) oob(m *ipv4.Message) []byte {
	if !e.any {
		return nil
	}
	return fromDestination(m.OOB[:m.NN])
}

// udpClient is the [client] of one query over UDP.
type udpClient struct {
	endpoint *endpoint
	from     *net.UDPAddr
	oob      []byte // sends from the address that was asked
}

func (c *udpClient) send(framed []byte) error {
	_, _, err := c.endpoint.udp.WriteMsgUDPAddrPort(framed[lengthSize:], c.oob, c.from.AddrPort())
	return err
}

func (c *udpClient) LocalAddr() net.Addr  { return c.endpoint.udp.LocalAddr() }
func (c *udpClient) RemoteAddr() net.Addr { return c.from }
func (c *udpClient) Close() error         { return nil }
