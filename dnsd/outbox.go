package dnsd

import (
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"sync"
	"time"
)

const (
	// maxUnsent is how many octets of answers may wait for the client of one connection
	// to read. Above it no further query of that connection is begun.
	maxUnsent = 128 << 10
	// maxWrite bounds the octets of the answers that are written at once. A longer
	// answer is written by itself.
	maxWrite = 64 << 10
)

// errBacklog is what befalls the answers to a client that does not read.
var errBacklog = errors.New("too many answers wait to be read")

// outbox holds the answers to one connection until they are written. A handler leaves
// its answer here and is done: while a client does not read, what it costs are octets
// on the wire, and not messages with all their records.
type outbox struct {
	conn *conn
	room chan struct{} // told when octets are fewer; never blocks

	mu      sync.Mutex
	written sync.Cond // some answers are out, or nothing is sent any more
	queue   []outgoing
	sending bool  // somebody is in flush, or will be soon
	closing bool  // the connection ends when all is sent
	err     error // why nothing is sent any more

	owed owed // guarded by the lock of the backlog
}

// outgoing is one message.
type outgoing struct {
	framed   []byte
	deadline time.Time
	query    *tcpQuery
}

func (o *outbox) init(c *conn) {
	o.conn, o.room = c, make(chan struct{}, 1)
	o.written.L = &o.mu
}

// send takes one message of q. It does not wait for it to be written, only for the
// message of q before: a zone transfer goes on as fast as its client reads.
//
// The message has to be out within the bound from now, and not from its turn on: a
// client that does not read must not keep the generation that gave the answers.
func (o *outbox) send(q *tcpQuery, framed []byte, bound time.Duration) error {
	framed = slices.Clone(framed)
	binary.BigEndian.PutUint16(framed, uint16(len(framed)-lengthSize))
	o.mu.Lock()
	for q.unsent > 0 && o.err == nil {
		o.written.Wait()
	}
	if err := o.err; err != nil {
		o.mu.Unlock()
		return err
	}
	q.unsent++
	o.queue = append(o.queue, outgoing{framed, time.Now().Add(bound), q})
	idle := !o.sending
	o.sending = true
	over := o.conn.endpoint.conns.backlog.add(o, len(framed))
	o.mu.Unlock()
	if idle {
		o.conn.endpoint.workers.start(flush{o})
	}
	for _, other := range over {
		other.conn.endpoint.droppedConns.count()
		other.fail(errBacklog)
	}
	return nil
}

// answered says that the handler of q has returned. The query is under way until all
// that it left is written.
func (o *outbox) answered(q *tcpQuery) {
	o.mu.Lock()
	q.returned = true
	over := q.over()
	o.mu.Unlock()
	if over {
		q.done()
	}
}

// close closes the connection once what is in the outbox is written.
func (o *outbox) close() error {
	o.mu.Lock()
	o.closing = true
	sending := o.sending
	o.mu.Unlock()
	if sending {
		return nil
	}
	return o.conn.Close()
}

// awaitRoom returns true once another query may be begun, and false when stopping is
// closed before.
func (o *outbox) awaitRoom(stopping <-chan struct{}) bool {
	for o.conn.endpoint.conns.backlog.of(o) > maxUnsent {
		select {
		case <-o.room:
		case <-stopping:
			return false
		}
	}
	return true
}

// flush writes what is in an outbox, in a goroutine that holds nothing else.
type flush struct{ *outbox }

func (f flush) answer() {
	for {
		batch := f.next()
		if len(batch) == 0 {
			return
		}
		if err := f.write(batch); err != nil {
			f.fail(err) // what was sent in part cannot be mended
		}
		f.settle(batch)
	}
}

// next takes the messages to write next. After none the flush is over.
func (o *outbox) next() []outgoing {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, octets := 0, 0
	for n < len(o.queue) && (n == 0 || octets+len(o.queue[n].framed) <= maxWrite) {
		octets += len(o.queue[n].framed)
		n++
	}
	batch := o.queue[:n:n]
	if o.queue = o.queue[n:]; len(o.queue) == 0 {
		o.queue = nil
	}
	if n == 0 {
		if o.sending = false; o.closing {
			o.conn.Close()
		}
	}
	return batch
}

func (o *outbox) write(batch []outgoing) error {
	if err := o.conn.SetWriteDeadline(batch[0].deadline); err != nil {
		return err
	}
	if len(batch) == 1 {
		_, err := o.conn.Write(batch[0].framed)
		return err
	}
	buffers := make(net.Buffers, len(batch))
	for i, m := range batch {
		buffers[i] = m.framed
	}
	_, err := buffers.WriteTo(o.conn.Conn)
	return err
}

// fail closes the connection, and forgets what waits.
func (o *outbox) fail(err error) {
	o.mu.Lock()
	if o.err != nil {
		o.mu.Unlock()
		return
	}
	o.err = err
	lost := o.queue
	o.queue = nil
	o.mu.Unlock()
	o.conn.endpoint.conns.backlog.forget(o)
	o.conn.Close()
	o.settle(lost)
}

// settle takes messages for done, be they written or lost.
func (o *outbox) settle(batch []outgoing) {
	octets := 0
	var over []*tcpQuery
	o.mu.Lock()
	for i := range batch {
		m := &batch[i]
		octets += len(m.framed)
		m.framed = nil // the queue goes on in the same memory
		m.query.unsent--
		if m.query.over() {
			over = append(over, m.query)
		}
		m.query = nil
	}
	o.written.Broadcast()
	o.mu.Unlock()
	o.conn.endpoint.conns.backlog.sent(o, octets)
	select {
	case o.room <- struct{}{}:
	default:
	}
	for _, q := range over {
		q.done()
	}
}
