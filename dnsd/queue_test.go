package dnsd

import (
	"log/slog"
	"slices"
	"testing"
	"time"
)

// waiting is a queue that nobody comes to, with packets that have waited for so long.
func waiting(waits ...time.Duration) *queue {
	q := &queue{dropped: newOverload("test", "udp", slog.New(slog.DiscardHandler)), coming: 1, most: 1}
	r := &responder{underWay: newUnderWay()}
	var c chain
	for i, wait := range waits {
		r.underWay.again()
		c.push(&packet{responder: r, read: clock() - wait, wire: []byte{byte(i)}})
	}
	q.add(&c)
	return q
}

// takes are the packets that are taken until none is left.
func takes(q *queue) (taken []byte) {
	for {
		p, more := q.take()
		if p != nil {
			taken = append(taken, p.wire[0])
		}
		if !more {
			return taken
		}
	}
}

func TestQueriesThatWaitedTooLong(t *testing.T) {
	const late = 100 * time.Millisecond
	waits := []time.Duration{late, late, late, 0, 0}
	burst := waiting(waits...)
	if got := takes(burst); !slices.Equal(got, []byte{0, 1, 2, 3, 4}) {
		t.Errorf("of a burst %v are taken, want all in order", got)
	}
	if burst.busy != 5 || burst.coming != 0 {
		t.Errorf("%d are under way, and %d are coming", burst.busy, burst.coming)
	}
	overload := waiting(waits...)
	overload.stood = standing + 1
	if got := takes(overload); !slices.Equal(got, []byte{3, 4}) {
		t.Errorf("in an overload %v are taken, want those that have not waited", got)
	}
	// It ends when nothing waits, and does not begin because all stood still.
	overload.add(&chain{})
	again := waiting(late)
	again.stood, again.taken = 0, clock()-time.Hour
	if got := takes(again); len(got) != 1 {
		t.Errorf("behind a pause %v are taken, want the one", got)
	}
}

func TestOldestAreDroppedFirst(t *testing.T) {
	q := waiting(make([]time.Duration, maxPackets)...)
	r := &responder{underWay: newUnderWay()}
	q.busy = 1
	var c chain
	r.underWay.again()
	c.push(&packet{responder: r, read: clock(), wire: []byte{99}})
	q.add(&c)
	if q.waiting.n != maxPackets-1 || q.waiting.first.wire[0] != 2 || q.waiting.last.wire[0] != 99 {
		t.Errorf("%d wait, from %d to %d", q.waiting.n, q.waiting.first.wire[0], q.waiting.last.wire[0])
	}
}
