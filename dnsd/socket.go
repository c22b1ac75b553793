package dnsd

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"time"
)

// socket is one of the UDP sockets of an endpoint, among which the system divides the
// clients. One goroutine reads it: gates and hot paths have their say at once, there,
// and the other packets go to CoreDNS.
type socket struct {
	*net.UDPConn
	endpoint *endpoint
	number   int // among those of the endpoint
	batch    batcher
	floods   *floods
	cold     chain // of the batch at hand
	breath   breath
}

// readBuffer is asked of the system for each socket. It holds some 500 packets that come
// over loopback, at 832 octets each in the system's books: what answers 100,000 a second
// has worked them off in 5 ms. Those of network cards cost 2 to 4 KiB each, so that there
// is room for 100 to 200. More would not answer more questions, but all of them later.
const readBuffer = 208 << 10

func (e *endpoint) newSocket(conn *net.UDPConn, number, of int) (*socket, error) {
	log := e.log.With("network", "udp", "address", conn.LocalAddr())
	// A refusal only means a smaller buffer.
	_ = conn.SetReadBuffer(readBuffer)
	filter(conn, nil)
	batch, err := newBatcher(conn, e.any)
	if err != nil {
		return nil, err
	}
	return &socket{UDPConn: conn, endpoint: e, number: number, batch: batch, floods: newFloods(conn, of, log, time.Now())}, nil
}

// serve reads until the endpoint stops.
func (s *socket) serve(log *slog.Logger) {
	s.breath.bell.open()
	defer s.breath.bell.close()
	var wait pause
	for {
		n, err := s.batch.read()
		if err != nil {
			if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) && s.endpoint.stopped() {
				return
			}
			log.Warn("dns read", "network", "udp", "address", s.LocalAddr(), "err", err)
			wait.after(s.endpoint.stopping)
			continue
		}
		wait.reset()
		done := s.answer(n)
		if s.batch.waited() {
			s.breath.waited = done
		} else {
			s.breath.take(done)
		}
	}
}

// answer deals with a batch of packets, and returns when it was done.
func (s *socket) answer(n int) time.Duration {
	read := clock()
	r := s.endpoint.acquire()
	if r == nil {
		return read // it stops
	}
	defer r.underWay.done()
	hot := r.hots[s.number]
	for i := range n {
		s.take(i, r, hot, read)
	}
	hot.tell()
	if lost := s.batch.send(); lost > 0 {
		s.endpoint.unsent.Add(float64(lost))
	}
	s.endpoint.queue.add(&s.cold)
	sent := clock()
	hot.sent(sent - read)
	if len(r.gates)+len(s.floods.told) > 0 { // a reload may have taken the gates away
		s.floods.look(epoch.Add(sent))
	}
	return sent
}

// take deals with one packet. What is known at once goes into the batch of answers, and
// what CoreDNS has to answer to the cold ones.
func (s *socket) take(i int, r *responder, hot *hots, read time.Duration) {
	query, from := s.batch.packet(i)
	if !admit(query) {
		if query == nil {
			s.endpoint.queue.dropped.count()
		}
		return
	}
	if len(r.gates) > 0 {
		if answer, truncated := r.gates.Admit(query, from); !answer {
			s.floods.count(from.Addr())
			if truncated {
				s.reply(i, cut(s.batch.room(), query))
			}
			return
		}
	}
	if octets, ok := hot.answer(s.batch.room(), query, from); ok {
		s.reply(i, octets)
		return
	}
	s.cold.push(s.packet(i, query, r, read))
}

// reply answers the i-th packet with the octets in the room; none is silence.
func (s *socket) reply(i, octets int) {
	if octets > 0 {
		s.batch.answer(i, octets)
	}
}

// epoch is where clock begins.
var epoch = time.Now()

// clock is a time that only goes forward, and that costs less than time.Now.
func clock() time.Duration { return time.Since(epoch) }
