package check

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/musterhq/muster/test/faults/history"
)

// chain is a time over which an instance beat well: between two accepted beats
// there was never as much as its timeout.
type chain struct {
	first history.Span  // of the beat it began with
	last  time.Duration // begin of its last accepted beat
}

// chains returns the chains of every instance, in order of time. A beat was
// heard by a server at some time between its begin and its end, and by the judge
// up to Forward later.
func chains(h history.History, l Limits) map[history.Key][]chain {
	beats := slices.Clone(h.Beats)
	slices.SortFunc(beats, func(a, b history.Beat) int { return cmp.Compare(a.Begin, b.Begin) })
	all := make(map[history.Key][]chain)
	for _, b := range beats {
		if !b.Accepted {
			continue
		}
		for _, k := range b.Keys {
			timeouts, ok := h.Beating[k]
			if !ok {
				continue
			}
			of := all[k]
			if n := len(of); n > 0 && b.End+l.Forward-of[n-1].last < timeouts.Unhealthy {
				of[n-1].last = b.Begin
			} else {
				all[k] = append(of, chain{first: b.Span, last: b.Begin})
			}
		}
	}
	return all
}

// alive reports whether an instance must be healthy in an answer: it had been
// taken long enough before, and beat until less than its timeout ago.
func (c *caseFile) alive(k history.Key, r history.Read) bool {
	timeout := c.Beating[k].Unhealthy
	for i, ch := range c.chains[k] {
		since := ch.first.End + c.behind(r)
		if i > 0 { // it may have to be made healthy again first
			since = max(since, ch.first.End+c.limits.Visible)
		}
		if r.Begin > since && r.End < ch.last+timeout {
			return true
		}
	}
	return false
}

// falseOffline: an instance whose beats reach any live server is healthy in
// every answer.
func falseOffline(c *caseFile) {
	for _, r := range c.Reads {
		if !r.Answered {
			continue
		}
		for _, k := range c.members[r.Service] {
			if _, beats := c.Beating[k]; !beats || slices.Contains(r.Healthy, k.Endpoint) || !c.alive(k, r) {
				continue
			}
			state := "absent"
			if slices.Contains(r.Unhealthy, k.Endpoint) {
				state = "unhealthy"
			}
			c.report(FalseOffline, r.End, "%s shows %s %s, which beat last at %.3f s", as(r), k, state, c.lastBeat(k, r.End).Seconds())
		}
	}
}

// verdicts: while every instance has beaten well all along nobody is found
// silent, not even for so short a time that no answer showed it.
func verdicts(c *caseFile) {
	if len(c.Beating) == 0 {
		return
	}
	until := time.Duration(math.MaxInt64) // the first one may have been silent
	for k, t := range c.Beating {
		if len(c.chains[k]) == 0 {
			return
		}
		until = min(until, c.chains[k][0].last+t.Unhealthy)
	}
	for _, s := range c.States {
		if s.Silenced > 0 && s.End < until {
			c.report(FalseOffline, s.End, "%s has written %d verdicts of silence, and every instance had beaten until then", s.Server, s.Silenced)
		}
	}
}

// lastBeat returns when the last beat that was accepted began before t.
func (c *caseFile) lastBeat(k history.Key, t time.Duration) (at time.Duration) {
	for _, b := range c.Beats {
		if b.Accepted && b.Begin < t && slices.Contains(b.Keys, k) {
			at = max(at, b.Begin)
		}
	}
	return at
}

// overstays: who fell silent is gone after its delete timeout and the grace.
// Timers may begin anew with a new judge, and after a fault or its repair.
func overstays(c *caseFile) {
	last := make(map[history.Key]time.Duration)
	for _, b := range c.Beats { // accepted or not: it may have been heard
		for _, k := range b.Keys {
			last[k] = max(last[k], b.End)
		}
	}
	deadlines := make(map[history.Key]time.Duration)
	disturbed := c.disturbances()
	for k, t := range c.Beating {
		from := last[k]
		for _, at := range disturbed {
			if at > from && at-c.limits.Settle < from+t.Delete+c.limits.Grace {
				from = at
			}
		}
		deadlines[k] = from + t.Delete + c.limits.Grace
	}
	for _, r := range c.Reads {
		if !r.Answered {
			continue
		}
		for _, k := range c.members[r.Service] {
			deadline, ok := deadlines[k]
			if !ok || r.Begin-c.behind(r) <= deadline {
				continue
			}
			if slices.Contains(r.Healthy, k.Endpoint) || slices.Contains(r.Unhealthy, k.Endpoint) {
				c.report(Overstay, r.End, "%s shows %s, which was silent from %.3f s and due to go by %.3f s", as(r), k,
					last[k].Seconds(), deadline.Seconds())
			}
		}
	}
}

// disturbances returns by when timers may have begun anew, in order of time: for
// a fault or a repair that is when a server judges again, at the latest.
func (c *caseFile) disturbances() []time.Duration {
	var all []time.Duration
	for i, m := range c.Marks {
		if m.Kind != history.Fault && m.Kind != history.Heal {
			continue
		}
		until := m.At + c.limits.Settle
		for _, later := range c.Marks[i:] {
			if later.Kind == history.Judged {
				until = min(until, later.At)
			}
		}
		all = append(all, until)
	}
	judge := ""
	for _, s := range c.States {
		if s.Judge && s.Server != judge {
			judge = s.Server
			all = append(all, s.End)
		}
	}
	slices.Sort(all)
	return all
}

// emptyAnswers: a service in which some instance must be healthy is not answered
// as unknown or empty.
func emptyAnswers(c *caseFile) {
	for _, r := range c.Reads {
		if !r.Answered || len(r.Healthy) > 0 {
			continue
		}
		for _, k := range c.members[r.Service] {
			if w, ok := c.standing(c.writes[k], r); ok && w.Present || c.alive(k, r) {
				c.report(EmptyAnswer, r.End, "%s is empty (%s), but %s is in it", as(r), r.Detail, k)
				break
			}
		}
	}
	for _, l := range c.Lookups {
		if !l.Answered || len(l.Healthy) > 0 {
			continue
		}
		// A resolver does not tell how old its answer is. It may be from before
		// the first fault, no older.
		r := history.Read{Span: l.Span, Service: l.Service, Server: l.Server, Door: history.DNS, Age: c.limits.Visible}
		if c.fault >= 0 {
			r.Age += max(0, l.End-c.fault)
		}
		for _, k := range c.members[l.Service] {
			if w, ok := c.standing(c.writes[k], r); ok && w.Present || c.alive(k, r) {
				c.report(EmptyAnswer, l.End, "lookup of %s at %s, %.3f to %.3f s, is empty (%s), but %s is in it", l.Service, l.Server,
					l.Begin.Seconds(), l.End.Seconds(), l.Detail, k)
				break
			}
		}
	}
}
