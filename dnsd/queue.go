package dnsd

import (
	"runtime"
	"sync"
	"time"
)

const (
	// maxPackets bounds the UDP queries of one address that wait or are under way in
	// CoreDNS. Above it the one that has waited longest is dropped.
	maxPackets = 4096
	// patience is how long a query may wait for a processor where some have waited all
	// the time for standing: a burst is worked off, but an answer that comes late every
	// time is no better than none. What plugins wait for does not count.
	patience = 4 * time.Millisecond
	standing = 50 * time.Millisecond
	// mostPause is how much of the time between two queries counts: a process that was
	// held up as a whole has a burst to work off.
	mostPause = time.Millisecond
)

// queue are the queries over UDP of one address that wait for CoreDNS, oldest first.
//
// Of the goroutines that answer only so many are on their way to take a query as there
// are processors, and before one answers it sends for the next. So as many are under way
// as plugins keep waiting for something, while those that wait for a processor wait here,
// where it can be seen for how long.
type queue struct {
	workers *workers
	dropped *overload
	most    int // on their way

	breathing sync.Mutex
	breath    breath // of one follower at a time

	mu      sync.Mutex
	waiting chain
	busy    int           // under way
	coming  int           // on their way to take one
	stood   time.Duration // for how long some have waited all the time
	taken   time.Duration // when one was taken last
}

// chain are packets in a row.
type chain struct {
	first, last *packet
	n           int
}

func (c *chain) push(p *packet) {
	if c.first == nil {
		c.first = p
	} else {
		c.last.next = p
	}
	c.last = p
	c.n++
}

// pop takes the first one out, nil when there is none.
func (c *chain) pop() *packet {
	p := c.first
	if p == nil {
		return nil
	}
	c.first, p.next = p.next, nil
	c.n--
	return p
}

// append takes over all of another chain.
func (c *chain) append(other *chain) {
	if other.n == 0 {
		return
	}
	if c.first == nil {
		c.first = other.first
	} else {
		c.last.next = other.first
	}
	c.last = other.last
	c.n += other.n
	*other = chain{}
}

// add takes over packets.
func (q *queue) add(fresh *chain) {
	if fresh.n == 0 {
		return
	}
	var over chain
	q.mu.Lock()
	if q.waiting.n == 0 {
		q.stood, q.taken = 0, fresh.first.read
	}
	q.waiting.append(fresh)
	for q.waiting.n > 0 && q.waiting.n+q.busy > maxPackets {
		over.push(q.waiting.pop())
	}
	calls := min(q.most, q.waiting.n) - q.coming
	q.coming += max(calls, 0)
	q.mu.Unlock()
	for range calls {
		q.workers.start(q)
	}
	q.drop(&over)
}

// drop leaves packets without an answer.
func (q *queue) drop(over *chain) {
	for p := over.pop(); p != nil; p = over.pop() {
		q.dropped.count()
		p.drop()
	}
}

// answer implements [query]: it answers what has waited longest.
func (q *queue) answer() {
	p, more := q.take()
	if more {
		q.workers.start(follower{q})
	}
	if p == nil {
		return
	}
	defer q.done()
	p.answer()
}

func (q *queue) done() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy--
}

// take returns the next query, nil when none is left, and whether somebody else has to
// come in place of who has taken it.
func (q *queue) take() (p *packet, more bool) {
	var late chain
	now := clock()
	q.mu.Lock()
	q.stood += min(now-q.taken, mostPause)
	q.taken = now
	for p = q.waiting.pop(); p != nil && now-p.read > patience && q.stood > standing; p = q.waiting.pop() {
		late.push(p)
	}
	if p != nil {
		q.busy++
	}
	more = q.waiting.n >= q.coming
	if !more {
		q.coming--
	}
	q.mu.Unlock()
	q.drop(&late)
	return p, more
}

// follower is a queue with more in it, whose next query takes its turn behind whatever
// else waits for a processor.
type follower struct{ *queue }

func (f follower) answer() {
	if f.breathing.TryLock() {
		f.breath.take(clock())
		f.breathing.Unlock()
	} else {
		runtime.Gosched()
	}
	f.queue.answer()
}
