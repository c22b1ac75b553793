package dnsd

import (
	"net"
	"runtime"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// batchSize is how many packets one system call takes at most.
const batchSize = 32

// batcher reads and writes packets in batches. The messages of both IP versions are
// of one type.
type batcher interface {
	ReadBatch(ms []ipv4.Message, flags int) (int, error)
	WriteBatch(ms []ipv4.Message, flags int) (int, error)
}

func newBatcher(conn *net.UDPConn) batcher {
	switch {
	case !batches:
		return singly{conn}
	case localAddr(conn).Addr().Is4():
		return ipv4.NewPacketConn(conn)
	default:
		return ipv6.NewPacketConn(conn)
	}
}

// batches says whether the system has batches.
var batches = runtime.GOOS == "linux"

// singly stands in where it has none.
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
