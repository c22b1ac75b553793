package dnsd

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

const (
	// batchSize is how many packets one system call takes at most.
	batchSize = 32
	// maxPackets bounds the UDP queries of one address that are under way. Above it
	// they are dropped: an answer that comes late is no better than none.
	maxPackets = 4096
	// readBuffer is asked of the system for each UDP socket. It holds a burst of some
	// thousand packets, and no more of a flood than is worked off in a moment. The
	// system may grant less.
	readBuffer = 2 << 20
)

// batcher reads and writes packets in batches. The messages of both IP versions are
// of one type.
type batcher interface {
	ReadBatch(ms []ipv4.Message, flags int) (int, error)
	WriteBatch(ms []ipv4.Message, flags int) (int, error)
}

func newBatcher(conn *net.UDPConn) batcher {
	switch {
	case runtime.GOOS != "linux":
		return singly{conn}
	case localAddr(conn).Addr().Is4():
		return ipv4.NewPacketConn(conn)
	default:
		return ipv6.NewPacketConn(conn)
	}
}

// singly stands in where the system has no batches.
type singly struct{ conn *net.UDPConn }

func (s singly) ReadBatch(ms []ipv4.Message, _ int) (int, error) {
	m := &ms[0]
	n, oobn, _, from, err := s.conn.ReadMsgUDPAddrPort(m.Buffers[0], m.OOB)
	if err != nil {
		return 0, err
	}
	m.N, m.NN, m.Addr = n, oobn, net.UDPAddrFromAddrPort(from)
	return 1, nil
}

func (s singly) WriteBatch(ms []ipv4.Message, _ int) (int, error) {
	m := &ms[0]
	if _, _, err := s.conn.WriteMsgUDP(m.Buffers[0], m.OOB, m.Addr.(*net.UDPAddr)); err != nil {
		return 0, err
	}
	return 1, nil
}

// messages are a batch with room for the largest packets. Most of that memory is
// never touched.
func messages() []ipv4.Message {
	ms := make([]ipv4.Message, batchSize)
	for i := range ms {
		ms[i] = ipv4.Message{Buffers: [][]byte{make([]byte, maxMessage)}, OOB: make([]byte, oobSize)}
	}
	return ms
}

// readPackets is the engine of UDP: gates and the hot path have their say at once,
// in this goroutine, and the other packets go to CoreDNS.
func (e *endpoint) readPackets() {
	in := messages()
	out := &answers{endpoint: e}
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
		gates := e.current.Load().gates
		for i := range in[:n] {
			e.take(&in[i], gates, out)
		}
		out.flush()
	}
}

// take deals with one packet. Answers that are known at once go to out.
func (e *endpoint) take(m *ipv4.Message, gates gates, out *answers) {
	query := m.Buffers[0][:m.N]
	if !admit(query) {
		return
	}
	addr := m.Addr.(*net.UDPAddr)
	from := addr.AddrPort()
	from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	if len(gates) > 0 {
		switch gates.Admit(query, from) {
		case Drop:
			return
		case Truncate:
			out.add(m, truncated(out.buffer(), query))
			return
		case Pass:
		}
	}
	if e.hot != nil {
		if n, ok := e.hot.Answer(out.buffer(), query, from); ok {
			out.add(m, n)
			return
		}
	}
	if e.packets.Add(1) > maxPackets {
		e.packets.Add(-1)
		e.droppedPackets.count()
		return
	}
	r := e.acquire()
	if r == nil {
		e.packets.Add(-1)
		return
	}
	p := packets.Get().(*packet)
	p.wire = append(p.wire[:0], query...)
	p.responder = r
	p.client = &udpClient{endpoint: e, from: addr, oob: e.oob(m)}
	select {
	case e.spare <- p:
	default:
		go e.answerPackets(p)
	}
}

// packet is a query on its way to CoreDNS.
type packet struct {
	wire      []byte
	responder *responder
	client    *udpClient
}

var packets = sync.Pool{New: func() any { return &packet{wire: make([]byte, 0, 512)} }}

// maxSpare is how many goroutines of an address wait for the next query to CoreDNS.
// They have grown their stacks already, which new ones spend much of their time on.
const maxSpare = 64

// answerPackets answers one query, and then others as they come, if not too many
// goroutines do so already.
func (e *endpoint) answerPackets(p *packet) {
	for {
		e.answerPacket(p)
		if e.waiting.Add(1) > maxSpare {
			e.waiting.Add(-1)
			return
		}
		select {
		case p = <-e.spare:
			e.waiting.Add(-1)
		case <-e.stopping:
			return
		}
	}
}

func (e *endpoint) answerPacket(p *packet) {
	r := p.responder
	defer e.packets.Add(-1)
	defer r.underWay.done()
	r.answer(&response{client: p.client}, p.wire, false, func() {
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

// answers are sent together after a batch has been read.
type answers struct {
	endpoint *endpoint
	ms       []ipv4.Message // all that were ever needed, with their buffers
	n        int
}

// buffer is room for the next answer.
func (a *answers) buffer() []byte {
	if a.n == len(a.ms) {
		a.ms = append(a.ms, ipv4.Message{Buffers: [][]byte{make([]byte, maxMessage)}})
	}
	b := a.ms[a.n].Buffers[0]
	return b[:maxMessage]
}

// add takes the n octets in buffer for the answer to m; none for 0.
func (a *answers) add(m *ipv4.Message, n int) {
	if n == 0 {
		return
	}
	next := &a.ms[a.n]
	next.Buffers[0] = next.Buffers[0][:n]
	next.OOB = a.endpoint.oob(m)
	next.Addr = m.Addr
	a.n++
}

func (a *answers) flush() {
	for ms := a.ms[:a.n]; len(ms) > 0; {
		n, err := a.endpoint.batch.WriteBatch(ms, 0)
		if err != nil {
			n = max(n, 1) // an answer that cannot be sent is lost like any packet may be
		}
		ms = ms[n:]
	}
	a.n = 0
}
