package blast

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// batch is how many packets one call of the kernel carries.
	batch = 64
	// maxQuestion and maxReply bound the packets of a load, in octets.
	maxQuestion, maxReply = 512, 1500
	// receiveBuffer holds what arrives while the thread is busy with other sockets.
	receiveBuffer = 4 << 20
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	unix.Msghdr

	octets uint32
	_      [4]byte
}

// socket is one port that asks. It belongs to one thread.
type socket struct {
	fd int
	// asked is when the question of an id was sent, in nanoseconds of the clock of the
	// kernel's stamps, 0 if it is answered or lost. The unanswered ones are among those
	// from oldest to before next.
	asked        [1 << 16]int64
	oldest, next uint16
	outstanding  int

	in, out     [batch]mmsghdr
	inAt, outAt [batch]unix.Iovec
	inBuf       [batch][maxReply]byte
	outBuf      [batch * maxQuestion]byte
	stamps      [batch]stamp // of the kernel, on what came in
	// An open loop has the kernel cut what is sent into packets of one length, and stamp
	// what comes in.
	open bool
}

// stamp is the control message that says when the kernel took a packet in.
type stamp struct {
	unix.Cmsghdr

	at unix.Timespec
}

// newSocket opens a socket to the server. For an open loop pieces is the length of all
// questions, else it is 0.
func newSocket(to unix.Sockaddr, pieces int) (*socket, error) {
	family := unix.AF_INET
	if _, ok := to.(*unix.SockaddrInet6); ok {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	s := &socket{fd: fd, open: pieces > 0}
	// Only root may ask for more than the system's usual limit.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
	if s.open {
		err = errors.Join(err, unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT, pieces), unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1))
	}
	if err = errors.Join(err, unix.Connect(fd, to)); err != nil {
		unix.Close(fd)
		return nil, err
	}
	for i := range batch {
		s.inAt[i].Base, s.inAt[i].Len = &s.inBuf[i][0], maxReply
		s.in[i].Iov, s.in[i].Iovlen = &s.inAt[i], 1
		s.outAt[i].Base = &s.outBuf[i*maxQuestion]
		s.out[i].Iov, s.out[i].Iovlen = &s.outAt[i], 1
	}
	return s, nil
}

// ask sends n questions, at most a batch, and returns how many the kernel took.
func (s *socket) ask(n int, now int64, question func() []byte) (int, error) {
	at := 0
	for i := range n {
		q := question()
		to := s.outBuf[at:]
		copy(to, q)
		binary.BigEndian.PutUint16(to, s.next+uint16(i))
		if s.open {
			at += len(q)
		} else {
			s.outAt[i].Len = uint64(len(q))
			at += maxQuestion
		}
	}
	taken, err := s.hand(n, at)
	for range taken {
		s.asked[s.next] = now
		s.next++
	}
	s.outstanding += taken
	return taken, err
}

// hand gives n questions, which have so many octets together, to the kernel.
func (s *socket) hand(n, octets int) (taken int, err error) {
	var errno unix.Errno
	if s.open {
		_, _, errno = unix.RawSyscall(unix.SYS_WRITE, uintptr(s.fd), uintptr(unsafe.Pointer(&s.outBuf[0])), uintptr(octets))
		taken = n // all or none
	} else {
		var r uintptr
		r, _, errno = unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&s.out[0])), uintptr(n), 0, 0, 0)
		taken = int(r)
	}
	switch errno {
	case 0:
		return taken, nil
	case unix.EAGAIN, unix.ENOBUFS, unix.EINTR:
		return 0, nil
	}
	return 0, fmt.Errorf("ask: %w", errno)
}

// take receives what is there, at most a batch, and hands each answer to a question
// that is outstanding to f. It returns how many packets there were.
func (s *socket) take(f func(reply []byte, took time.Duration)) (int, error) {
	for i := range s.in {
		if s.open {
			s.in[i].Control = (*byte)(unsafe.Pointer(&s.stamps[i]))
			s.in[i].Controllen = uint64(unsafe.Sizeof(s.stamps[i]))
		}
	}
	r, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&s.in[0])), batch, unix.MSG_DONTWAIT, 0, 0)
	switch errno {
	case 0:
	case unix.EAGAIN, unix.EINTR:
		return 0, nil
	default:
		return 0, fmt.Errorf("answers: %w", errno)
	}
	at := clock()
	for i := range int(r) {
		reply := s.inBuf[i][:min(s.in[i].octets, maxReply)]
		if len(reply) < 12 {
			continue
		}
		id := binary.BigEndian.Uint16(reply)
		if s.asked[id] == 0 {
			continue // too late, or twice
		}
		if s.open {
			// How soon this thread reads it is not the server's doing.
			if s.stamps[i].Type != unix.SCM_TIMESTAMPNS {
				return 0, errors.New("an answer has no time")
			}
			at = s.stamps[i].at.Nano()
		}
		f(reply, time.Duration(max(1, at-s.asked[id])))
		s.asked[id] = 0
		s.outstanding--
	}
	return int(r), nil
}

// expire gives up questions asked before a time, and returns how many they are.
func (s *socket) expire(before int64) (lost int) {
	for ; s.oldest != s.next; s.oldest++ {
		switch at := s.asked[s.oldest]; {
		case at == 0:
		case at < before:
			s.asked[s.oldest] = 0
			lost++
		default:
			s.outstanding -= lost
			return lost
		}
	}
	s.outstanding -= lost
	return lost
}
