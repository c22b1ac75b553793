package check

import (
	"slices"
	"time"

	"github.com/musterhq/muster/test/faults/history"
)

// lostWrites: what was acknowledged is in every answer that can know of it.
func lostWrites(c *caseFile) {
	for _, r := range c.Reads {
		if !r.Answered {
			continue
		}
		for _, k := range c.members[r.Service] {
			writes := c.writes[k]
			if writes == nil {
				continue
			}
			w, ok := c.standing(writes, r)
			if ok && slices.Contains(r.Healthy, k.Endpoint) != w.Present {
				c.report(LostWrite, r.End, "%s shows %s present=%t, but %s acknowledged present=%t at %.3f s, revision %d",
					as(r), k, !w.Present, w.Server, w.Present, w.End.Seconds(), w.Revision)
			}
		}
	}
}

// standing returns the write whose outcome a read must show: the last one it can
// have known of. ok is false where more than one answer would be right.
func (c *caseFile) standing(writes []history.Write, r history.Read) (stands history.Write, ok bool) {
	for _, w := range writes {
		switch {
		case w.Outcome == history.Refused:
		case w.Outcome == history.Unknown:
			// It may be done at any time from its begin on.
			if w.Begin < r.End {
				return history.Write{}, false
			}
		case c.shows(r, w):
			stands, ok = w, true
		case w.Begin < r.End && (r.Revision == 0 || w.Revision == 0):
			return history.Write{}, false // may be in the answer already, or not yet
		case r.Revision != 0 && w.Revision != 0:
			return stands, ok // a later revision than was read
		}
	}
	return stands, ok
}

// shows reports whether an acknowledged write must be in an answer: by the
// revisions where both are known, and by the times otherwise.
func (c *caseFile) shows(r history.Read, w history.Write) bool {
	if c.quiet >= 0 && r.Begin > c.quiet+c.limits.Visible && w.End < c.quiet {
		return true // by then whatever is behind has caught up
	}
	if r.Revision != 0 && w.Revision != 0 {
		return r.Revision >= w.Revision
	}
	return !w.Lagging && w.End < r.Begin-c.behind(r)
}

// behind is how far an answer may be behind at the most. One without an age,
// where others have it, may be of any age.
func (c *caseFile) behind(r history.Read) time.Duration {
	switch {
	case r.Age >= 0:
		return r.Age + c.limits.Tolerance
	case c.ages:
		return r.End
	}
	return c.limits.Visible
}

// tooStale: a write that was acknowledged longer ago than the published age is
// in the answer, at whatever server.
func tooStale(c *caseFile) {
	var acknowledged peaks
	for _, w := range c.Writes {
		if w.Outcome == history.Done && w.Revision > 0 {
			acknowledged = append(acknowledged, peak{w.End, w.Revision})
		}
	}
	acknowledged.sort()
	for _, r := range c.Reads {
		if !r.Answered || r.Revision == 0 || r.Age < 0 {
			continue
		}
		if p, ok := acknowledged.before(r.Begin - r.Age - c.limits.Tolerance); ok && p.value > r.Revision {
			c.report(TooStale, r.End, "%s, but revision %d was acknowledged at %.3f s", as(r), p.value, p.at.Seconds())
		}
	}
}

// failures: lookups and writes that failed, where the run allows none.
func failures(c *caseFile) {
	for _, l := range c.Lookups {
		if c.limits.Lookups && !l.Answered {
			c.report(FailedLookup, l.End, "%s, asked at %.3f s: %s", l.Service, l.Begin.Seconds(), l.Detail)
		}
	}
	for _, w := range c.Writes {
		if c.limits.Writes && w.Outcome != history.Done && !w.Retryable {
			c.report(FailedWrite, w.End, "%s present=%t at %s, sent at %.3f s: %s", w.Key, w.Present, w.Server, w.Begin.Seconds(), w.Detail)
		}
	}
}
