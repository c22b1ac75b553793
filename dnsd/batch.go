package dnsd

import (
	"net"
	"net/netip"
)

const (
	// batchSize is how many packets one system call takes at most.
	batchSize = 32
	// mostAnswer is the room for an answer that is sent with its batch.
	mostAnswer = udpSize
)

// batcher reads packets from one socket, and sends answers to them. It belongs to the
// goroutine that reads.
type batcher interface {
	// read waits for packets, and returns how many there are, up to batchSize.
	read() (int, error)
	// waited reports whether the last read had to wait, as far as that is known.
	waited() bool
	// packet is the i-th of these, until the next read. It is nil when that was lost.
	// The address is without a zone.
	packet(i int) ([]byte, netip.AddrPort)
	// origin is where that packet came from, to answer it later.
	origin(i int) origin

	// room is where the next answer is written, mostAnswer octets.
	room() []byte
	// answer takes the first octets in room for the answer to the i-th packet. There is
	// at most one to each.
	answer(i, octets int)
	// send sends all answers, and returns how many the system has not taken.
	send() (lost int)
}

// origin is where a packet came from, and what makes the answer leave from the address
// that it was sent to.
type origin struct {
	from netip.AddrPort // with a zone
	oob  []byte
}

// newBatcher returns one for a socket, which names destinations if so told.
func newBatcher(conn *net.UDPConn, destinations bool) (batcher, error) {
	if batches {
		return newMmsg(conn, destinations)
	}
	return newSingly(conn, destinations)
}

// singly stands in where the system has no batches.
type singly struct {
	conn *net.UDPConn
	any  bool

	in, oob, out []byte
	n, oobn      int
	from         netip.AddrPort
	octets       int // to send
	reads        int
}

func newSingly(conn *net.UDPConn, destinations bool) (*singly, error) {
	if destinations {
		if err := askDestination(conn); err != nil {
			return nil, err
		}
	}
	return &singly{
		conn: conn, any: destinations,
		in: make([]byte, maxMessage), oob: make([]byte, oobSize), out: make([]byte, mostAnswer),
	}, nil
}

func (s *singly) read() (int, error) {
	n, oobn, _, from, err := s.conn.ReadMsgUDPAddrPort(s.in, s.oob)
	if err != nil {
		return 0, err
	}
	s.n, s.oobn, s.from = n, oobn, netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	return 1, nil
}

// waited says no often enough, as nobody knows.
func (s *singly) waited() bool {
	s.reads = (s.reads + 1) % batchSize
	return s.reads > 0
}

func (s *singly) packet(int) ([]byte, netip.AddrPort) {
	return s.in[:s.n], netip.AddrPortFrom(s.from.Addr().WithZone(""), s.from.Port())
}

func (s *singly) origin(int) origin {
	if !s.any {
		return origin{from: s.from}
	}
	return origin{s.from, fromDestination(s.oob[:s.oobn])}
}

func (s *singly) room() []byte         { return s.out }
func (s *singly) answer(_, octets int) { s.octets = octets }

func (s *singly) send() (lost int) {
	if s.octets == 0 {
		return 0
	}
	to := s.origin(0)
	if _, _, err := s.conn.WriteMsgUDPAddrPort(s.out[:s.octets], to.oob, to.from); err != nil {
		lost = 1
	}
	s.octets = 0
	return lost
}
