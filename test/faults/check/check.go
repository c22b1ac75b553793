// Package check finds in a history what must never have happened.
//
// Every rule is a pure function of the history. A rule only speaks of what
// follows with certainty from what was seen: where a call's outcome is unknown,
// or two calls overlap, either order is allowed.
package check

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/musterhq/muster/test/faults/history"
)

// Limits say what a run allows.
type Limits struct {
	// Forward is how long word of a beat may take from the server that took it
	// to the judge; 0 means 1 s.
	Forward time.Duration
	// Visible is how long a change may take to be seen where no server
	// publishes an age; 0 means 5 s.
	Visible time.Duration
	// Settle is how long after a fault or its repair a new judge may take to
	// begin; 0 means 15 s.
	Settle time.Duration
	// Grace is how much later than its delete timeout a silent instance may be
	// seen last; 0 means 5 s.
	Grace time.Duration
	// Tolerance is how far observed staleness may be above the published age,
	// which is rounded and taken a moment before the answer; 0 means 100 ms.
	Tolerance time.Duration
	// Lookups: a lookup that no name server answered is a violation.
	Lookups bool
	// Writes: a write that failed without asking for another try is one.
	Writes bool
}

func (l Limits) withDefaults() Limits {
	l.Forward = cmp.Or(l.Forward, time.Second)
	l.Visible = cmp.Or(l.Visible, 5*time.Second)
	l.Settle = cmp.Or(l.Settle, 15*time.Second)
	l.Grace = cmp.Or(l.Grace, 5*time.Second)
	l.Tolerance = cmp.Or(l.Tolerance, 100*time.Millisecond)
	return l
}

// Names of the invariants.
const (
	LostWrite    = "no acknowledged write is lost"
	FalseOffline = "no instance that beats is answered as gone"
	Overstay     = "no silent instance stays"
	EmptyAnswer  = "no service with a healthy instance is answered as empty"
	Unequal      = "answers at one revision are equal"
	Backwards    = "revisions and serials of one server never go back"
	TooStale     = "staleness is never above the published age"
	Diverged     = "servers at one revision hold the same records"
	FailedLookup = "a resolver with all servers never fails"
	FailedWrite  = "a write that fails asks for another try"
)

// Violation is one thing that must not have happened.
type Violation struct {
	Invariant string
	At        time.Duration
	Text      string
}

func (v Violation) String() string {
	return fmt.Sprintf("%8.3fs  %s: %s", v.At.Seconds(), v.Invariant, v.Text)
}

// History returns every violation, in order of time.
func History(h history.History, l Limits) []Violation {
	c := newCase(h, l.withDefaults())
	for _, rule := range []func(*caseFile){
		lostWrites, falseOffline, verdicts, overstays, emptyAnswers, unequalAnswers, backwards, tooStale, diverged, failures,
	} {
		rule(c)
	}
	slices.SortStableFunc(c.found, func(a, b Violation) int { return cmp.Compare(a.At, b.At) })
	return c.found
}

// Summary returns a short text of violations: how many of each kind, and the
// first few of each.
func Summary(all []Violation, each int) string {
	count := make(map[string]int)
	var text strings.Builder
	for _, v := range all {
		if count[v.Invariant]++; count[v.Invariant] <= each {
			fmt.Fprintln(&text, v)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(count)) {
		fmt.Fprintf(&text, "%6d x %s\n", count[name], name)
	}
	return text.String()
}

// caseFile is a history with what the rules look up in it.
type caseFile struct {
	history.History

	limits  Limits
	writes  map[history.Key][]history.Write // in order of their begin
	chains  map[history.Key][]chain
	members map[string][]history.Key // by service
	quiet   time.Duration            // when all was repaired; negative: never
	fault   time.Duration            // the first one; negative: none
	ages    bool                     // servers publish ages
	found   []Violation
}

func newCase(h history.History, l Limits) *caseFile {
	c := &caseFile{
		History: h, limits: l, quiet: -1, fault: -1,
		writes: make(map[history.Key][]history.Write), members: make(map[string][]history.Key),
	}
	c.Reads = withRevisions(h.Reads)
	for _, w := range h.Writes {
		if c.writes[w.Key] == nil {
			c.members[w.Service] = append(c.members[w.Service], w.Key)
		}
		c.writes[w.Key] = append(c.writes[w.Key], w)
	}
	for _, all := range c.writes {
		slices.SortFunc(all, func(a, b history.Write) int { return cmp.Compare(a.Begin, b.Begin) })
	}
	for k := range h.Beating {
		c.members[k.Service] = append(c.members[k.Service], k)
	}
	c.chains = chains(h, l)
	for _, m := range h.Marks {
		switch {
		case m.Kind == history.Quiet:
			c.quiet = m.At
		case m.Kind == history.Fault && c.fault < 0:
			c.fault = m.At
		}
	}
	c.ages = slices.ContainsFunc(h.Reads, func(r history.Read) bool { return r.Age >= 0 })
	return c
}

func (c *caseFile) report(invariant string, at time.Duration, format string, args ...any) {
	c.found = append(c.found, Violation{Invariant: invariant, At: at, Text: fmt.Sprintf(format, args...)})
}

// withRevisions gives reads that know their serial only the revision of it: the
// serial is the revision plus an epoch, which is learned from the reads that
// know both. Where that is not one epoch throughout none is given.
func withRevisions(reads []history.Read) []history.Read {
	var epoch uint32
	known := false
	for _, r := range reads {
		if !r.Answered || !r.HasSerial || r.Revision == 0 {
			continue
		}
		e := r.Serial - uint32(r.Revision)
		if known && e != epoch {
			return reads
		}
		epoch, known = e, true
	}
	if !known {
		return reads
	}
	reads = slices.Clone(reads)
	for i, r := range reads {
		if r.HasSerial && r.Revision == 0 {
			reads[i].Revision = int64(r.Serial - epoch) // a run does not wrap 32 bits
		}
	}
	return reads
}

// as describes a read.
func as(r history.Read) string {
	text := fmt.Sprintf("%s of %s at %s (revision %d, %.3f to %.3f s", r.Door, r.Service, r.Server, r.Revision,
		r.Begin.Seconds(), r.End.Seconds())
	if r.Age >= 0 {
		text += fmt.Sprintf(", age %.3f s", r.Age.Seconds())
	}
	return text + ")"
}
