package audit

import "time"

const (
	// repeatEvery is how often it is told what repeats itself.
	repeatEvery = time.Minute
	// maxRepeats bounds how many different calls that come to nothing are recorded
	// in that time, so that whoever may do nothing cannot fill the disk.
	maxRepeats = 2048
)

// repeats counts calls that come to nothing again and again, such as the beats of an
// agent whose token has expired.
type repeats struct {
	seen  map[Event]*again
	more  int // that were different from all of seen
	since time.Time
}

// again is how often something has happened since it was told.
type again struct {
	told  time.Time
	times int
}

func (r *repeats) init() { r.seen = map[Event]*again{} }

// fresh reports whether e is to be told now. It counts it otherwise.
func (r *repeats) fresh(e Event, now time.Time) bool {
	e = e.bounded()
	e.At = time.Time{}
	known := r.seen[e]
	switch {
	case known != nil:
		known.times++
		return false
	case len(r.seen) >= maxRepeats:
		if r.more++; r.more == 1 {
			r.since = now
		}
		return false
	}
	r.seen[e] = &again{told: now}
	return true
}

// due returns what is to be told by now, and forgets what does not repeat itself.
func (r *repeats) due(now time.Time) []Event {
	var all []Event
	for e, a := range r.seen {
		switch {
		case now.Sub(a.told) < repeatEvery:
		case a.times == 0:
			delete(r.seen, e)
		default:
			e.Times = a.times
			all = append(all, e)
			*a = again{told: now}
		}
	}
	if r.more > 0 && now.Sub(r.since) >= repeatEvery {
		all = append(all, Event{Op: OpRepeat, Result: Refused, Times: r.more, Why: "more different calls came to nothing than are recorded"})
		r.more = 0
	}
	return all
}
