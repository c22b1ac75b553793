package dnsd

import (
	"net"
	"sync"
	"time"
)

// packet is a query over UDP for CoreDNS. It is used again once its message has been
// read.
type packet struct {
	wire      []byte
	responder *responder
	client    *udpClient
	read      time.Duration
	next      *packet // in a chain
}

var packets = sync.Pool{New: func() any { return &packet{wire: make([]byte, 0, 512)} }}

// packet copies the i-th packet of the batch, which is under way from now on.
func (s *socket) packet(i int, query []byte, r *responder, read time.Duration) *packet {
	r.underWay.again()
	p := packets.Get().(*packet)
	p.wire = append(p.wire[:0], query...)
	p.responder, p.read = r, read
	p.client = newUDPClient(s, s.batch.origin(i))
	return p
}

// answer has CoreDNS answer.
func (p *packet) answer() {
	r, c := p.responder, p.client
	defer r.underWay.done()
	r.answer(&response{client: c}, p.wire, false, p.free)
}

// drop leaves the query without an answer.
func (p *packet) drop() {
	p.responder.underWay.done()
	p.free()
}

func (p *packet) free() {
	p.responder, p.client, p.next = nil, nil, nil
	packets.Put(p)
}

// udpClient is the [client] of one query over UDP.
type udpClient struct {
	socket *socket
	from   origin
	addr   net.UDPAddr // the same, for plugins
	ip     [16]byte
}

func newUDPClient(s *socket, from origin) *udpClient {
	c := &udpClient{socket: s, from: from}
	addr := from.from.Addr()
	c.ip = addr.As16()
	c.addr = net.UDPAddr{IP: c.ip[:], Port: int(from.from.Port()), Zone: addr.Zone()}
	if addr.Is4() {
		c.addr.IP = c.ip[12:]
	}
	return c
}

func (c *udpClient) send(framed []byte) error {
	_, _, err := c.socket.WriteMsgUDPAddrPort(framed[lengthSize:], c.from.oob, c.from.from)
	return err
}

func (c *udpClient) LocalAddr() net.Addr  { return c.socket.LocalAddr() }
func (c *udpClient) RemoteAddr() net.Addr { return &c.addr }
func (c *udpClient) Close() error         { return nil }
