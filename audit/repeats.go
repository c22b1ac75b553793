package audit

import (
	"net/netip"
	"time"

	"github.com/musterhq/muster/internal/origin"
)

const (
	// repeatEvery is how often it is told what repeats itself.
	repeatEvery = time.Minute
	// maxRepeats bounds how many different calls that come to nothing are recorded
	// in that time, so that whoever may do nothing cannot fill the disk.
	maxRepeats = 2048
	// maxOfNetwork bounds those of one address, or network of IPv6: whoever makes many
	// must not hide what others try meanwhile.
	maxOfNetwork = 256
	// datagrams is the network of all whose address nobody has proved: one sender can have
	// them come from everywhere.
	datagrams = "datagrams"
)

// repeats counts calls that come to nothing again and again, such as the beats of an
// agent whose token has expired.
type repeats struct {
	seen  map[Event]*again
	of    map[string]int // how many of seen are of a network
	more  map[string]int // that were too many: of one network, or, for "", of all
	since time.Time      // of the first one of more
}

// again is how often something has happened since it was told.
type again struct {
	told  time.Time
	times int
}

func (r *repeats) init() {
	r.seen, r.of, r.more = map[Event]*again{}, map[string]int{}, map[string]int{}
}

// fresh reports whether e is to be told now. It counts it otherwise.
func (r *repeats) fresh(e Event, now time.Time) bool {
	e = e.bounded()
	e.At = time.Time{}
	network := networkOf(e)
	known := r.seen[e]
	switch {
	case known != nil:
		known.times++
		return false
	case network != "" && r.of[network] >= maxOfNetwork:
		r.tooMany(network, now)
		return false
	case len(r.seen) >= maxRepeats:
		r.tooMany("", now)
		return false
	}
	r.seen[e] = &again{told: now}
	r.of[network]++
	return true
}

// tooMany counts one that is not told.
func (r *repeats) tooMany(of string, now time.Time) {
	if len(r.more) == 0 {
		r.since = now
	}
	r.more[of]++
}

// networkOf returns the network that one caller can have all addresses of, "" of what is
// no address.
func networkOf(e Event) string {
	if e.Unproved {
		return datagrams
	}
	from := e.From
	at, err := netip.ParseAddr(from)
	if err != nil {
		return ""
	}
	if network := origin.Network(at); !network.IsSingleIP() {
		return network.String()
	}
	return from
}

// due returns what is to be told by now, and forgets what does not repeat itself.
func (r *repeats) due(now time.Time) []Event {
	var all []Event
	for e, a := range r.seen {
		switch {
		case now.Sub(a.told) < repeatEvery:
		case a.times == 0:
			delete(r.seen, e)
			network := networkOf(e)
			if r.of[network]--; r.of[network] == 0 {
				delete(r.of, network)
			}
		default:
			e.Times = a.times
			all = append(all, e)
			*a = again{told: now}
		}
	}
	if len(r.more) > 0 && now.Sub(r.since) >= repeatEvery {
		for network, n := range r.more {
			e := Event{Op: OpRepeat, From: network, Result: Refused, Times: n, Why: "more different calls came to nothing than are recorded"}
			if network == datagrams {
				e.From, e.Why = "", "more different datagrams came to nothing than are recorded"
			}
			all = append(all, e)
		}
		clear(r.more)
	}
	return all
}
