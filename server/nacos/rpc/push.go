package rpc

import (
	"errors"
	"strconv"
	"time"
)

// Why a push was not acknowledged.
var (
	ErrUnacknowledged = errors.New("the client has not acknowledged it in time")
	ErrRefused        = errors.New("the client refused it")
	ErrSlow           = errors.New("too much waits for the client already")
	ErrGone           = errors.New("the connection has ended")
)

// What may wait to be written to one client. Bodies are shared with others as a rule.
const (
	maxQueued      = 1024
	maxQueuedBytes = 8 << 20
)

// outgoing is a message to be written.
type outgoing struct {
	id   uint64 // of a push, 0 for none
	head []byte // what stands before the body
	body []byte // shared, and never changed
}

// waiting is a push that is not acknowledged yet.
type waiting struct {
	typ   string
	since time.Time
	until time.Time
	done  func(answer []byte, err error)
}

// Push sends a message on the stream and calls done once: with nil when the client has
// acknowledged it within the time, else with ErrUnacknowledged, ErrRefused, ErrSlow or
// ErrGone. body is a JSON object without headers and requestId, which may be shared by many
// connections and is never changed. Push never blocks, and calls done on another
// goroutine, where it must not block either.
func (c *Conn) Push(typ string, body []byte, within time.Duration, done func(error)) {
	c.Ask(typ, body, within, func(_ []byte, err error) { done(err) })
}

// Ask is Push that hands on what the client answers, a JSON object; nil with an error but
// ErrRefused.
func (c *Conn) Ask(typ string, body []byte, within time.Duration, done func(answer []byte, err error)) {
	c.mu.Lock()
	c.pushes++
	id := c.pushes
	head, rest := headed(typ, request, strconv.FormatUint(id, 10), body)
	if err := c.queueUp(outgoing{id, head, rest}); err != nil {
		c.mu.Unlock()
		c.server.metrics.pushed(typ, err, 0)
		go done(nil, err)
		return
	}
	now := time.Now()
	if c.waiting == nil {
		c.waiting = map[uint64]*waiting{}
	}
	c.waiting[id] = &waiting{typ, now, now.Add(within), done}
	c.stats.Pushes++
	c.mu.Unlock()
}

// send sends a message that nobody acknowledges.
func (c *Conn) send(o outgoing) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.queueUp(o) // gone, or too slow: it will be closed
}

// queueUp has a message written. There is a writer while there is something to write.
// c.mu is locked.
func (c *Conn) queueUp(o outgoing) error {
	size := len(o.head) + len(o.body)
	switch {
	case c.gone:
		return ErrGone
	case len(c.queue) >= maxQueued || c.queued > 0 && c.queued+size > maxQueuedBytes:
		return ErrSlow
	}
	c.queue, c.queued = append(c.queue, o), c.queued+size
	if c.writing.IsZero() {
		c.writing = time.Now()
		go c.write()
	}
	return nil
}

// write writes what waits, and ends when nothing does.
func (c *Conn) write() {
	for {
		c.mu.Lock()
		batch := c.queue
		c.queue, c.queued = nil, 0
		if len(batch) == 0 {
			c.writing = time.Time{}
			c.idle.Broadcast()
			c.mu.Unlock()
			return
		}
		c.writing = time.Now()
		c.mu.Unlock()
		if err := c.writeAll(batch); err != nil {
			c.close(err)
		}
	}
}

func (c *Conn) writeAll(batch []outgoing) error {
	for _, o := range batch {
		if err := write(c.out, o.head, o.body); err != nil {
			return err
		}
	}
	return c.ctl.Flush()
}

// acked takes in what the client says of a push.
func (c *Conn) acked(id uint64, answer []byte, fine bool) {
	c.mu.Lock()
	w := c.waiting[id]
	delete(c.waiting, id)
	if w == nil {
		c.mu.Unlock()
		c.server.metrics.strange.Inc() // too late, or it answers nothing
		return
	}
	lag := time.Since(w.since)
	c.stats.LastAck, c.stats.Lag = time.Now(), lag
	c.mu.Unlock()
	var err error
	if !fine {
		err = ErrRefused
	}
	c.server.metrics.pushed(w.typ, err, lag)
	w.done(answer, err)
}

// expire tells of pushes whose time is over.
func (c *Conn) expire(now time.Time) {
	c.mu.Lock()
	var late []*waiting
	for id, w := range c.waiting {
		if now.After(w.until) {
			late = append(late, w)
			delete(c.waiting, id)
		}
	}
	c.stats.Unacknowledged += len(late)
	c.mu.Unlock()
	for _, w := range late {
		c.server.metrics.pushed(w.typ, ErrUnacknowledged, 0)
		w.done(nil, ErrUnacknowledged)
	}
}

// Counts is what a connection asks of a server, which its handler knows.
type Counts struct {
	Subscriptions int // services it is told of
	Services      int // it has registered instances of
	Listeners     int // documents it is told of
}

// Stats is how pushes to a connection fare.
type Stats struct {
	Pushes         int           // sent so far
	Waiting        int           // not acknowledged yet
	Unacknowledged int           // that were not in time
	LastAck        time.Time     // zero: none so far
	Moving         bool          // it was asked to move
	Lag            time.Duration // of the last acknowledgement, or how old the oldest push is that waits for one, if that is more
}

// Stats returns how its pushes fare now.
func (c *Conn) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Waiting, s.Moving = len(c.waiting), !c.leaving.IsZero()
	for _, w := range c.waiting {
		s.Lag = max(s.Lag, time.Since(w.since))
	}
	return s
}
