package dnsd

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// packet is one UDP query on its way to CoreDNS.
type packet struct {
	data []byte
	from net.Addr
}

// door is where one generation takes what arrives at one endpoint. Its channels
// have no buffer, so that nothing is left in them when it closes: who could not
// hand over at this door goes to the next one.
type door struct {
	endpoint *endpoint
	packets  chan packet
	conns    chan net.Conn
	closed   chan struct{}
	close    func() // closes closed, once
}

func newDoor(e *endpoint) *door {
	d := &door{
		endpoint: e,
		packets:  make(chan packet),
		conns:    make(chan net.Conn),
		closed:   make(chan struct{}),
	}
	d.close = sync.OnceFunc(func() { close(d.closed) })
	return d
}

// packetConn is a door as miekg/dns wants it for UDP.
type packetConn struct{ *door }

func (c packetConn) receive() (packet, error) {
	select {
	case p := <-c.packets:
		return p, nil
	case <-c.closed:
		return packet{}, net.ErrClosed
	}
}

func (c packetConn) ReadFrom(b []byte) (int, net.Addr, error) {
	p, err := c.receive()
	return copy(b, p.data), p.from, err
}

// WriteTo works past Close, for the answers to queries taken before it.
func (c packetConn) WriteTo(b []byte, to net.Addr) (int, error) {
	switch to := to.(type) {
	case *net.UDPAddr:
		return c.endpoint.reply(b, to.AddrPort(), nil)
	case *remoteAddr:
		return c.endpoint.reply(b, to.AddrPort(), to.oob)
	}
	return 0, &net.AddrError{Err: "not the address of a query", Addr: to.String()}
}

func (c packetConn) Close() error        { c.close(); return nil }
func (c packetConn) LocalAddr() net.Addr { return c.endpoint.udp.LocalAddr() }

// Deadlines have no use: Close ends a read, and writes do not block.
func (packetConn) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (packetConn) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (packetConn) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

// wholePackets makes miekg/dns take packets as they came, where it would read
// them into a buffer of 512 octets.
type wholePackets struct{ dns.Reader }

// ReadPacketConn implements [dns.PacketConnReader].
func (wholePackets) ReadPacketConn(c net.PacketConn, _ time.Duration) ([]byte, net.Addr, error) {
	p, err := c.(packetConn).receive()
	return p.data, p.from, err
}

// listener is a door as miekg/dns wants it for TCP.
type listener struct{ *door }

func (l listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l listener) Close() error   { l.close(); return nil }
func (l listener) Addr() net.Addr { return l.endpoint.tcp.Addr() }

// remoteAddr is the address of a client that asked a socket bound to all
// addresses, with the control message that tells which of them it asked.
type remoteAddr struct {
	*net.UDPAddr
	oob []byte
}

// Unwrap lets plugins see the UDP address: CoreDNS looks for this method.
func (a *remoteAddr) Unwrap() net.Addr { return a.UDPAddr }

// remote is the address under which CoreDNS sees a client.
func (e *endpoint) remote(from netip.AddrPort, oob []byte) net.Addr {
	addr := net.UDPAddrFromAddrPort(from)
	if !e.any {
		return addr
	}
	return &remoteAddr{UDPAddr: addr, oob: append([]byte(nil), oob...)}
}
