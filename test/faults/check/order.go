package check

import (
	"cmp"
	"slices"
	"sort"
	"time"

	"github.com/musterhq/muster/test/faults/history"
)

// peak is the highest value known at a time.
type peak struct {
	at    time.Duration
	value int64
}

type peaks []peak

// sort puts the peaks in order of time and raises each to the highest before it.
func (p peaks) sort() {
	slices.SortFunc(p, func(a, b peak) int { return cmp.Compare(a.at, b.at) })
	for i := 1; i < len(p); i++ {
		if p[i-1].value > p[i].value {
			p[i].value = p[i-1].value
		}
	}
}

// before returns the last peak before t.
func (p peaks) before(t time.Duration) (peak, bool) {
	i := sort.Search(len(p), func(i int) bool { return p[i].at >= t })
	if i == 0 {
		return peak{}, false
	}
	return p[i-1], true
}

// backwards: of two reads of one server, one after the other, the second shows
// no older revision and no lower serial, also when the server was started anew
// between them.
func backwards(c *caseFile) {
	type seen struct {
		history.Span
		value int64
		what  string
	}
	revisions, serials := make(map[string][]seen), make(map[string][]seen)
	for _, r := range c.Reads {
		// A revision that was made of a serial is no further witness.
		if r.Answered && r.Revision > 0 && r.Door != history.DNS {
			revisions[r.Server] = append(revisions[r.Server], seen{r.Span, r.Revision, as(r)})
		}
	}
	for _, s := range c.States {
		if s.Revision > 0 {
			revisions[s.Server] = append(revisions[s.Server], seen{s.Span, s.Revision, "status of " + s.Server})
		}
	}
	for _, s := range c.Serials {
		// Serials wrap around (RFC 1982): the first one is as good a zero as any.
		from := s.Serial
		if all := serials[s.Server]; len(all) > 0 {
			from = uint32(all[0].value)
		}
		serials[s.Server] = append(serials[s.Server], seen{s.Span, int64(from) + int64(int32(s.Serial-from)), "SOA of " + s.Server})
	}
	for kind, byServer := range map[string]map[string][]seen{"revision": revisions, "serial": serials} {
		for _, all := range byServer {
			var highest peaks
			for _, s := range all {
				highest = append(highest, peak{s.End, s.value})
			}
			highest.sort()
			for _, s := range all {
				if p, ok := highest.before(s.Begin); ok && p.value > s.value {
					c.report(Backwards, s.End, "%s: %s %d at %.3f s, after %d had been seen by %.3f s", s.what, kind, s.value,
						s.End.Seconds(), p.value, p.at.Seconds())
				}
			}
		}
	}
}

// unequalAnswers: who is healthy in a service is the same at one revision,
// whichever server and door was asked.
func unequalAnswers(c *caseFile) {
	type at struct {
		service  string
		revision int64
	}
	first := make(map[at]history.Read)
	for _, r := range c.Reads {
		if !r.Answered || r.Revision == 0 {
			continue
		}
		k := at{r.Service, r.Revision}
		f, ok := first[k]
		if !ok {
			first[k] = r
		} else if !slices.Equal(f.Healthy, r.Healthy) {
			c.report(Unequal, r.End, "%s answers %q, %s answers %q", as(f), f.Healthy, as(r), r.Healthy)
		}
	}
}

// diverged: servers whose snapshots are of one revision have the same digests.
func diverged(c *caseFile) {
	type at struct {
		revision  int64
		namespace string
	}
	type held struct{ server, digest string }
	first := make(map[at]held)
	for _, s := range c.States {
		for namespace, digest := range s.Digests {
			k := at{s.Revision, namespace}
			f, ok := first[k]
			if !ok {
				first[k] = held{s.Server, digest}
			} else if f.digest != digest {
				c.report(Diverged, s.End, "revision %d of namespace %q: %s has digest %s, %s has %s", s.Revision, namespace,
					f.server, f.digest, s.Server, digest)
			}
		}
	}
}
