package check_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/test/faults/check"
	"github.com/musterhq/muster/test/faults/history"
)

// sec is a time in seconds.
func sec(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func span(begin, end float64) history.Span { return history.Span{Begin: sec(begin), End: sec(end)} }

var (
	one = history.Key{Service: "shop", Endpoint: "10.0.0.1:80"}
	two = history.Key{Service: "shop", Endpoint: "10.0.0.2:80"}
)

// read is an answer of server s1 by HTTP at a revision, with an age of 0.1 s.
func read(begin float64, revision int64, healthy ...history.Key) history.Read {
	r := history.Read{Span: span(begin, begin+0.01), Server: "s1", Door: history.HTTP, Service: "shop", Answered: true,
		Revision: revision, Age: sec(0.1)}
	for _, k := range healthy {
		r.Healthy = append(r.Healthy, k.Endpoint)
	}
	return r
}

// with returns r after an edit.
func with(r history.Read, edit func(*history.Read)) history.Read {
	edit(&r)
	return r
}

// write is an acknowledged registration of one.
func write(begin float64, revision int64) history.Write {
	return history.Write{Span: span(begin, begin+0.01), Key: one, Server: "s1", Present: true, Outcome: history.Done, Revision: revision}
}

func edited(w history.Write, edit func(*history.Write)) history.Write {
	edit(&w)
	return w
}

// beating is a history in which one beats every second from 0 to last.
func beating(last int, reads ...history.Read) history.History {
	h := history.History{
		Beating: map[history.Key]history.Timeouts{one: {Interval: sec(1), Unhealthy: sec(4), Delete: sec(8)}},
		Reads:   reads,
	}
	for i := range last + 1 {
		h.Beats = append(h.Beats, beat(float64(i)))
	}
	return h
}

func beat(begin float64) history.Beat {
	return history.Beat{Span: span(begin, begin+0.01), Keys: []history.Key{one}, Server: "s1", Accepted: true}
}

func marked(h history.History, marks ...history.Mark) history.History {
	h.Marks = marks
	return h
}

// late is a read that shows one as not healthy.
func late(begin float64) history.Read {
	return with(read(begin, 9), func(r *history.Read) { r.Unhealthy = []string{one.Endpoint} })
}

func TestHistory(t *testing.T) {
	deregistered := func(w *history.Write) { w.Present = false }
	unknown := func(w *history.Write) { w.Outcome, w.Revision = history.Unknown, 0 }
	atS2 := func(r *history.Read) { r.Server = "s2" }
	unanswered := func(r *history.Read) { r.Answered = false }
	ageless := func(r *history.Read) { r.Age = -1 }
	unread := func(r *history.Read) { r.Revision = 0 }
	serial := func(n uint32) func(*history.Read) {
		return func(r *history.Read) { r.Serial, r.HasSerial = n, true }
	}
	tests := []struct {
		name   string
		h      history.History
		limits check.Limits
		want   []string // invariants that are broken
	}{
		{name: "nothing happened"},

		{name: "a write that a later revision lacks is lost", want: []string{check.EmptyAnswer, check.LostWrite},
			h: history.History{Writes: []history.Write{write(1, 5)}, Reads: []history.Read{read(2, 0, one), read(2.1, 6)}}},
		{name: "beside others, too", want: []string{check.LostWrite},
			h: history.History{Writes: []history.Write{write(1, 5)}, Reads: []history.Read{read(2, 6, two)}}},
		{name: "an earlier revision may lack it",
			h: history.History{Writes: []history.Write{write(1, 5)}, Reads: []history.Read{read(1.05, 4, two)}}},
		{name: "a deregistration is not undone", want: []string{check.LostWrite},
			h: history.History{Writes: []history.Write{write(1, 5), edited(write(2, 7), deregistered)}, Reads: []history.Read{read(3, 8, one)}}},
		{name: "between two writes the first one stands",
			h: history.History{Writes: []history.Write{write(1, 5), edited(write(2, 7), deregistered)}, Reads: []history.Read{read(2.05, 6, one)}}},
		{name: "and it is seen when it does not", want: []string{check.LostWrite},
			h: history.History{Writes: []history.Write{write(1, 5), edited(write(2, 7), deregistered)}, Reads: []history.Read{read(2.05, 6, two)}}},
		{name: "a write of unknown outcome allows both",
			h: history.History{Writes: []history.Write{write(1, 5), edited(edited(write(2, 7), deregistered), unknown)},
				Reads: []history.Read{read(3, 8, two), read(3.1, 9, one)}}},
		{name: "a refused write changes nothing", want: []string{check.LostWrite},
			h: history.History{Writes: []history.Write{write(1, 5), edited(edited(write(2, 7), deregistered), func(w *history.Write) { w.Outcome = history.Refused })},
				Reads: []history.Read{read(3, 8, two)}}},
		{name: "without a revision the time counts", want: []string{check.LostWrite},
			h: history.History{Writes: []history.Write{write(1, 5)}, Reads: []history.Read{with(read(2, 6, two), unread)}}},
		{name: "and the age before it",
			h: history.History{Writes: []history.Write{write(1.8, 5)}, Reads: []history.Read{with(read(2, 6, two), unread)}}},
		{name: "a lagging write may be missing for some time",
			h: history.History{Writes: []history.Write{edited(write(1, 5), func(w *history.Write) { w.Lagging = true })},
				Reads: []history.Read{with(read(2, 6, two), unread)}}},
		{name: "but not by its revision", want: []string{check.LostWrite},
			h: history.History{Writes: []history.Write{edited(write(1, 5), func(w *history.Write) { w.Lagging = true })}, Reads: []history.Read{read(2, 6, two)}}},
		{name: "in the end everything is there, whatever the revision says", want: []string{check.LostWrite, check.TooStale},
			h: marked(history.History{Writes: []history.Write{write(1, 5)}, Reads: []history.Read{read(20, 4, two)}},
				history.Mark{At: sec(10), Kind: history.Quiet})},
		{name: "an error says nothing",
			h: history.History{Writes: []history.Write{write(1, 5)}, Reads: []history.Read{with(read(2, 6), unanswered)}}},

		{name: "an instance that beats is unhealthy", h: beating(9, late(7)), want: []string{check.EmptyAnswer, check.FalseOffline}},
		{name: "or gone", h: beating(9, read(7, 9, two)), want: []string{check.FalseOffline}},
		{name: "right after its last beat, too", h: beating(5, read(8.9, 9, two)), want: []string{check.FalseOffline}},
		{name: "it may go after its timeout", h: beating(5, late(9.1))},
		{name: "a beat that was refused does not count",
			h: func() history.History {
				h := beating(5, late(9.1))
				refused := beat(6)
				refused.Accepted = false
				h.Beats = append(h.Beats, refused)
				return h
			}()},
		{name: "after too long a gap it may have to recover",
			h: func() history.History {
				h := beating(5, late(20.2))
				h.Beats = append(h.Beats, beat(20))
				return h
			}()},
		{name: "an answer from before its registration may lack it", h: beating(5, read(0.05, 9, two))},
		{name: "as may a stale one", h: beating(9, with(read(8, 9, two), func(r *history.Read) { r.Age = sec(8) }))},
		{name: "without an age where others have one nothing is certain", h: beating(9, read(7, 9, one), with(read(8, 8, two), func(r *history.Read) {
			ageless(r)
			atS2(r)
		}))},
		{name: "where nobody has one it is", want: []string{check.FalseOffline}, h: beating(9, with(read(8, 9, two), ageless))},

		{name: "a verdict of silence on somebody who beats", want: []string{check.FalseOffline},
			h: func() history.History {
				h := beating(9)
				h.States = []history.State{{Span: span(8, 8), Server: "s1", Silenced: 1}}
				return h
			}()},
		{name: "a verdict once somebody was silent",
			h: func() history.History {
				h := beating(2)
				h.States = []history.State{{Span: span(8, 8), Server: "s1", Silenced: 1}}
				return h
			}()},

		{name: "a silent instance stays", h: beating(2, read(16, 9, one)), want: []string{check.Overstay}},
		{name: "unhealthy, too", h: beating(2, late(16)), want: []string{check.Overstay}},
		{name: "within its timeout and the grace it may", h: beating(2, read(15, 9, one))},
		{name: "for longer after a fault", h: marked(beating(2, read(20, 9, one)), history.Mark{At: sec(5), Kind: history.Fault})},
		{name: "unless a server judged soon", want: []string{check.Overstay},
			h: marked(beating(2, read(20, 9, one)), history.Mark{At: sec(5), Kind: history.Fault}, history.Mark{At: sec(6), Kind: history.Judged})},
		{name: "and after a change of judges",
			h: func() history.History {
				h := beating(2, read(20, 9, one))
				h.States = []history.State{{Span: span(1, 1), Server: "s1", Judge: true}, {Span: span(9, 9), Server: "s2", Judge: true}}
				return h
			}()},

		{name: "a lookup finds nothing", want: []string{check.EmptyAnswer},
			h: func() history.History {
				h := beating(12)
				h.Lookups = []history.Lookup{{Span: span(10, 10.1), Service: "shop", Answered: true, Server: "s1"}}
				return h
			}()},
		{name: "a lookup may be from before the first fault, and so from before the registration",
			h: func() history.History {
				h := marked(beating(12), history.Mark{At: sec(1), Kind: history.Fault})
				h.Lookups = []history.Lookup{{Span: span(10, 10.1), Service: "shop", Answered: true, Server: "s1"}}
				return h
			}()},
		{name: "a lookup fails", limits: check.Limits{Lookups: true}, want: []string{check.FailedLookup},
			h: history.History{Lookups: []history.Lookup{{Span: span(10, 10.1), Service: "shop"}}}},
		{name: "a lookup fails where it may",
			h: history.History{Lookups: []history.Lookup{{Span: span(10, 10.1), Service: "shop"}}}},
		{name: "a write breaks off", limits: check.Limits{Writes: true}, want: []string{check.FailedWrite},
			h: history.History{Writes: []history.Write{edited(write(1, 0), unknown)}}},
		{name: "a write is told to try again", limits: check.Limits{Writes: true},
			h: history.History{Writes: []history.Write{edited(edited(write(1, 0), unknown), func(w *history.Write) { w.Retryable = true })}}},

		{name: "two servers differ at one revision", want: []string{check.Unequal},
			h: history.History{Reads: []history.Read{read(1, 5, one), with(read(1, 5, two), atS2)}}},
		{name: "DNS differs at the serial of a revision", want: []string{check.Unequal},
			h: history.History{Reads: []history.Read{
				with(read(1, 5, one), serial(1005)),
				with(read(1, 0, two), func(r *history.Read) { r.Door = history.DNS; serial(1005)(r) }),
			}}},
		{name: "DNS agrees",
			h: history.History{Reads: []history.Read{
				with(read(1, 5, one), serial(1005)),
				with(read(1, 0, one), func(r *history.Read) { r.Door = history.DNS; serial(1005)(r) }),
			}}},
		{name: "other revisions may differ",
			h: history.History{Reads: []history.Read{read(1, 5, one), with(read(1, 6, two), atS2)}}},
		{name: "digests differ at one revision", want: []string{check.Diverged},
			h: history.History{States: []history.State{
				{Server: "s1", Revision: 5, Digests: map[string]string{"public": "aa"}},
				{Server: "s2", Revision: 5, Digests: map[string]string{"public": "ab"}},
			}}},
		{name: "digests of other revisions may differ",
			h: history.History{States: []history.State{
				{Server: "s1", Revision: 5, Digests: map[string]string{"public": "aa"}},
				{Server: "s2", Revision: 6, Digests: map[string]string{"public": "ab"}},
			}}},

		{name: "a revision goes back", want: []string{check.Backwards},
			h: history.History{Reads: []history.Read{read(1, 6, one), read(2, 5, one)}}},
		{name: "at another server it may", h: history.History{Reads: []history.Read{read(1, 6, one), with(read(2, 5, one), atS2)}}},
		{name: "so it may between two at once",
			h: history.History{Reads: []history.Read{with(read(1, 6, one), func(r *history.Read) { r.End = sec(3) }), read(2, 5, one)}}},
		{name: "a serial goes back", want: []string{check.Backwards},
			h: history.History{Serials: []history.Serial{{Span: span(1, 1), Server: "s1", Serial: 7}, {Span: span(2, 2), Server: "s1", Serial: 6}}}},
		{name: "a serial wraps around",
			h: history.History{Serials: []history.Serial{{Span: span(1, 1), Server: "s1", Serial: 0xffffffff}, {Span: span(2, 2), Server: "s1", Serial: 3}}}},
		{name: "a serial goes back over the wrap", want: []string{check.Backwards},
			h: history.History{Serials: []history.Serial{{Span: span(1, 1), Server: "s1", Serial: 3}, {Span: span(2, 2), Server: "s1", Serial: 0xffffffff}}}},

		{name: "an answer is older than its age", want: []string{check.TooStale},
			h: history.History{Writes: []history.Write{write(1, 5)}, Reads: []history.Read{with(read(2, 4, one), atS2)}}},
		{name: "an answer is as old as it says",
			h: history.History{Writes: []history.Write{write(1, 5)}, Reads: []history.Read{with(read(2, 4, one), func(r *history.Read) { r.Age = sec(1) })}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, v := range check.History(tt.h, tt.limits) {
				if !slices.Contains(got, v.Invariant) {
					got = append(got, v.Invariant)
				}
			}
			slices.Sort(got)
			slices.Sort(tt.want)
			if !slices.Equal(got, tt.want) {
				t.Errorf("History() = %q, want %q\n%s", got, tt.want, check.Summary(check.History(tt.h, tt.limits), 9))
			}
		})
	}
}

func TestSummaryCountsWhatItLeavesOut(t *testing.T) {
	var all []check.Violation
	for range 7 {
		all = append(all, check.Violation{Invariant: check.LostWrite, At: sec(1.5), Text: "gone"})
	}
	got := check.Summary(all, 2)
	if strings.Count(got, "gone") != 2 || !strings.Contains(got, "7 x "+check.LostWrite) || !strings.Contains(got, "1.500s") {
		t.Errorf("Summary() = %q, want two of them, and that there are 7", got)
	}
}
