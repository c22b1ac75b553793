package dnsd

import (
	"net"
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batches says whether the system has batches.
var batches = true

// mmsg reads and sends batches with one system call each. What these calls take and
// give is made once and used again and again, so that a packet costs no memory. The
// calls do not block; where there is nothing to read the goroutine waits as for any
// other socket of Go's.
type mmsg struct {
	conn syscall.RawConn
	any  bool

	in, out  [batchSize]mmsghdr
	inAt     [batchSize][2]unix.Iovec
	outAt    [batchSize]unix.Iovec
	from     [batchSize]unix.RawSockaddrInet6 // or RawSockaddrInet4, which is shorter
	controls [batchSize]control
	rooms    []byte // for packets
	rest     []byte // for what does not fit there; of all, so only of the last one
	whole    []byte // that one, put together; made when it is needed
	answers  []byte

	zones     zones
	n, toSend int
	hasWaited bool

	// Of the last call.
	sent      int
	errno     syscall.Errno
	receiving func(fd uintptr) bool
	sending   func(fd uintptr)
}

// mmsghdr is the structure of that name.
type mmsghdr struct {
	unix.Msghdr

	len uint32
}

const (
	// mostQuery is the room for each packet. Longer ones are so rare that they share what
	// more they need.
	mostQuery    = udpSize
	roomStride   = (mostQuery + 63) / 64 * 64
	answerStride = (mostAnswer + 63) / 64 * 64
)

func newMmsg(conn *net.UDPConn, destinations bool) (*mmsg, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	m := &mmsg{
		conn: raw, any: destinations,
		rooms: make([]byte, batchSize*roomStride), rest: make([]byte, maxMessage-mostQuery), answers: make([]byte, batchSize*answerStride),
	}
	if m.any {
		if err := askDestination(conn); err != nil {
			return nil, err
		}
	}
	for i := range batchSize {
		in, out := &m.in[i], &m.out[i]
		in.Name = (*byte)(unsafe.Pointer(&m.from[i]))
		in.Iov, out.Iov = &m.inAt[i][0], &m.outAt[i]
		in.SetIovlen(2)
		out.SetIovlen(1)
		m.inAt[i][0].Base, m.inAt[i][1].Base = &m.rooms[i*roomStride], &m.rest[0]
		m.inAt[i][0].SetLen(mostQuery)
		m.inAt[i][1].SetLen(len(m.rest))
		out.Iov.Base = &m.answers[i*answerStride]
		m.rewind(i)
	}
	m.receiving, m.sending = m.receive, m.transmit
	return m, nil
}

// rewind makes the i-th message ready to be read into.
func (m *mmsg) rewind(i int) {
	in := &m.in[i]
	in.Namelen = uint32(unsafe.Sizeof(m.from[i]))
	if m.any {
		in.Control = (*byte)(unsafe.Pointer(&m.controls[i]))
		in.SetControllen(int(unsafe.Sizeof(m.controls[i])))
	}
}

func (m *mmsg) read() (int, error) {
	for i := range m.n {
		m.rewind(i)
	}
	m.n, m.hasWaited = 0, false
	if err := m.conn.Read(m.receiving); err != nil {
		return 0, err
	}
	if m.errno != 0 {
		return 0, os.NewSyscallError("recvmmsg", m.errno)
	}
	return m.n, nil
}

// receive reads a batch, and reports false when there is none.
func (m *mmsg) receive(fd uintptr) bool {
	for {
		var n uintptr
		n, _, m.errno = unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&m.in)), batchSize, unix.MSG_DONTWAIT, 0, 0)
		switch m.errno {
		case 0:
			m.n = int(n)
			return true
		case unix.EINTR:
		case unix.EAGAIN:
			m.hasWaited = true
			return false
		default:
			return true
		}
	}
}

func (m *mmsg) waited() bool { return m.hasWaited }

func (m *mmsg) packet(i int) ([]byte, netip.AddrPort) {
	at, octets := i*roomStride, int(m.in[i].len)
	if octets > mostQuery {
		return m.long(i, octets), m.address(i)
	}
	return m.rooms[at : at+octets : at+octets], m.address(i)
}

// long puts a long packet together. Where another one came behind it in the same batch
// the rest of it is lost, and with it the packet.
func (m *mmsg) long(i, octets int) []byte {
	for next := i + 1; next < m.n; next++ {
		if m.in[next].len > mostQuery {
			return nil
		}
	}
	if m.whole == nil {
		m.whole = make([]byte, maxMessage)
	}
	n := copy(m.whole, m.rooms[i*roomStride:][:mostQuery])
	n += copy(m.whole[n:], m.rest[:octets-mostQuery])
	return m.whole[:n:n]
}

func (m *mmsg) address(i int) netip.AddrPort {
	from := &m.from[i]
	port := *(*[2]byte)(unsafe.Pointer(&from.Port))
	addr := netip.AddrFrom16(from.Addr).Unmap()
	if from.Family == unix.AF_INET {
		addr = netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(from)).Addr)
	}
	return netip.AddrPortFrom(addr, uint16(port[0])<<8|uint16(port[1]))
}

func (m *mmsg) origin(i int) origin {
	o := origin{from: m.address(i)}
	if from := &m.from[i]; from.Family == unix.AF_INET6 {
		o.from = netip.AddrPortFrom(m.zones.zoned(o.from.Addr(), from.Scope_id), o.from.Port())
	}
	if length := m.turn(i); length > 0 {
		o.oob = append(o.oob, unsafe.Slice((*byte)(unsafe.Pointer(&m.controls[i])), length)...)
	}
	return o
}

func (m *mmsg) room() []byte {
	at := m.toSend * answerStride
	return m.answers[at : at+mostAnswer : at+mostAnswer]
}

func (m *mmsg) answer(i, octets int) {
	out := &m.out[m.toSend]
	m.toSend++
	out.Iov.SetLen(octets)
	out.Name, out.Namelen = m.in[i].Name, m.in[i].Namelen
	out.Control = nil
	length := m.turn(i)
	if length > 0 {
		out.Control = (*byte)(unsafe.Pointer(&m.controls[i]))
	}
	out.SetControllen(length)
}

// turn makes of the control message of a packet, which names its destination, one that
// makes the answer leave from there. It returns its length, 0 where there is none.
func (m *mmsg) turn(i int) (length int) {
	if !m.any {
		return 0
	}
	return m.controls[i].turn(int(m.in[i].Controllen))
}

func (m *mmsg) send() (lost int) {
	for from := 0; from < m.toSend; from += m.sent {
		m.sent, m.errno = from, 0
		if err := m.conn.Control(m.sending); err != nil || m.errno == unix.EAGAIN || m.errno == unix.ENOBUFS {
			lost += m.toSend - from // of use to nobody when they leave later
			break
		}
		if m.errno != 0 {
			m.sent = 1 // only the first one's fault
			lost++
		}
	}
	m.toSend = 0
	return lost
}

// transmit sends the answers from that numbered sent on, and leaves in sent how many it
// has sent.
func (m *mmsg) transmit(fd uintptr) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&m.out[m.sent])), uintptr(m.toSend-m.sent), unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		m.sent, m.errno = int(n), errno
		return
	}
}
