package push

import "time"

// The orders that a row may stand in.
const (
	byLapse = iota
	byRest
	byMute
	byAck
	orders // how many there are
)

// place is where a row stands in an order.
type place struct {
	in         bool
	at         time.Time
	prev, next *row
}

// order is a queue of rows by time. All that join one wait equally long, so
// those that come later are due later: it needs no sorting and no timers.
type order struct {
	which       int
	first, last *row
}

// put has r wait until at, which is not before the time of any other row, even
// if it waited already.
func (o *order) put(r *row, at time.Time) {
	o.drop(r)
	r.places[o.which] = place{in: true, at: at, prev: o.last}
	if o.last == nil {
		o.first = r
	} else {
		o.last.places[o.which].next = r
	}
	o.last = r
}

// drop takes r out, if it is in.
func (o *order) drop(r *row) {
	was := r.places[o.which]
	if !was.in {
		return
	}
	if was.prev == nil {
		o.first = was.next
	} else {
		was.prev.places[o.which].next = was.next
	}
	if was.next == nil {
		o.last = was.prev
	} else {
		was.next.places[o.which].prev = was.prev
	}
	r.places[o.which] = place{}
}

func (o *order) has(r *row) bool { return r.places[o.which].in }

// due takes out the first row if its time has come, or returns nil.
func (o *order) due(now time.Time) *row {
	r := o.first
	if r == nil || r.places[o.which].at.After(now) {
		return nil
	}
	o.drop(r)
	return r
}

// next returns when the first row is due; ok is false if there is none.
func (o *order) next() (at time.Time, ok bool) {
	if o.first == nil {
		return time.Time{}, false
	}
	return o.first.places[o.which].at, true
}
