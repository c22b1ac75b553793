package dnsd

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"
)

// maxPipelined bounds the queries of one connection that are under way. A client
// that sends more has to wait: nothing is read meanwhile.
const maxPipelined = 32

// conn is a TCP connection of a client. Its queries are read one after another,
// answered at the same time, and each answer leaves when it is ready (RFC 7766
// 6.2.1.1). Who answers is decided anew for each query. Nothing is read while too
// many answers wait for the client to read.
type conn struct {
	net.Conn
	endpoint *endpoint
	prefix   netip.Prefix
	state    connState     // guarded by the lock of endpoint.conns
	slots    chan struct{} // one for each query under way
	working  working       // of its client
	out      outbox
}

func newConn(c net.Conn, e *endpoint) *conn {
	from := c.RemoteAddr().(*net.TCPAddr).AddrPort()
	conn := &conn{Conn: c, endpoint: e, prefix: clientPrefix(from.Addr()), slots: make(chan struct{}, maxPipelined)}
	conn.out.init(conn)
	return conn
}

// serve reads queries until the connection ends, is idle for too long or breaks
// the rules. What is under way then is still answered.
func (c *conn) serve() {
	defer c.endpoint.conns.end(c)
	const mostQueries = 2048 // in size; a longer one is read around the buffer
	in := bufio.NewReaderSize(c.Conn, mostQueries)
	for queries := 0; ; queries++ {
		r := c.endpoint.current.Load()
		if limit := r.server.MaxTCPQueries; limit > 0 && queries >= limit {
			return
		}
		select {
		case c.slots <- struct{}{}:
		case <-c.endpoint.stopping:
			return
		}
		if !c.out.awaitRoom(c.endpoint.stopping) || !c.await(in, r.idle()) || !c.answerNext(in, r.read()) {
			return
		}
	}
}

// await returns true once the next query begins, and false when the connection has
// ended or was idle for so long. Waiting for our answers is not idleness.
func (c *conn) await(in *bufio.Reader, idle time.Duration) bool {
	for until := time.Now().Add(idle); in.Buffered() == 0; {
		if !c.readUntil(until) {
			return false
		}
		_, err := in.Peek(1)
		if err == nil {
			break
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return false
		}
		since, isIdle := c.endpoint.conns.idleSince(c)
		if !isIdle {
			since = time.Now()
		}
		if until = since.Add(idle); !until.After(time.Now()) {
			return false
		}
	}
	return true
}

// readUntil bounds the reads from now on. It reports false when there must be none.
func (c *conn) readUntil(deadline time.Time) bool {
	if c.SetReadDeadline(deadline) != nil {
		return false
	}
	// The endpoint says that it stops before it interrupts reads.
	return !c.endpoint.stopped()
}

// answerNext reads one query, which has begun, and has it answered, which takes the
// slot. It reports false when no other query can follow.
func (c *conn) answerNext(in *bufio.Reader, bound time.Duration) bool {
	if !c.readUntil(time.Now().Add(bound)) {
		return false
	}
	wire, err := readMessage(in)
	if err != nil || len(wire) < headerSize {
		return false // without an ID there is no way to answer
	}
	if !admit(wire) {
		<-c.slots // silence
		return true
	}
	// What waits here is not under way yet.
	if !c.beginWork() {
		return false
	}
	r := c.endpoint.acquire()
	if r == nil {
		c.endWork()
		return false
	}
	c.endpoint.conns.begin(c)
	c.endpoint.workers.start(&tcpQuery{conn: c, wire: wire, responder: r})
	return true
}

// beginWork waits for a place among the queries that handlers work on. It reports false
// when the endpoint stops before.
func (c *conn) beginWork() bool {
	if !c.working.begin(c.endpoint.stopping) {
		return false
	}
	if !c.endpoint.conns.working.begin(c.endpoint.stopping) {
		c.working.done()
		return false
	}
	return true
}

func (c *conn) endWork() {
	c.endpoint.conns.working.done()
	c.working.done()
}

// tcpQuery is a query over TCP, and the [client] of its answers.
type tcpQuery struct {
	*conn
	wire      []byte
	responder *responder

	// Guarded by the lock of the outbox.
	unsent   int  // messages in it
	returned bool // the handler has
	isDone   bool
}

func (q *tcpQuery) answer() {
	defer q.out.answered(q)
	defer q.endWork()
	q.responder.answer(&response{client: q}, q.wire, true, func() { q.wire = nil })
}

// over reports whether the query must be done now. It may have handlers that answer
// later still, which does not count.
func (q *tcpQuery) over() bool {
	if q.isDone || !q.returned || q.unsent > 0 {
		return false
	}
	q.isDone = true
	return true
}

// done makes room for another query.
func (q *tcpQuery) done() {
	<-q.slots
	q.endpoint.conns.done(q.conn)
	q.responder.underWay.done()
}

func (q *tcpQuery) send(framed []byte) error {
	return q.out.send(q, framed, q.responder.write())
}

// Close closes the connection behind the answers that are there.
func (q *tcpQuery) Close() error { return q.out.close() }

// readMessage reads a message behind its length. Memory is taken as it comes in,
// since a length is easily said.
func readMessage(in io.Reader) ([]byte, error) {
	var prefix [lengthSize]byte
	if _, err := io.ReadFull(in, prefix[:]); err != nil {
		return nil, err
	}
	length := int(binary.BigEndian.Uint16(prefix[:]))
	const most = 512
	var m []byte
	for len(m) < length {
		chunk := min(length-len(m), max(len(m), most))
		m = slices.Grow(m, chunk)
		n, err := io.ReadFull(in, m[len(m):len(m)+chunk])
		if m = m[:len(m)+n]; err != nil {
			return nil, err
		}
	}
	return m, nil
}
