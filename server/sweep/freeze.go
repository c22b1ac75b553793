package sweep

import (
	"time"
)

// freeze holds removals back after a mass silence. Its numbers go with the
// table it is a part of.
type freeze struct {
	phase  phase
	since  time.Duration // when it began, since the Sweeper's base
	began  time.Time     // the same, for people
	from   int32         // rows that fell in this step or later are those it is about
	silent int           // of which so many are silent still
	held   int           // rows whose removal waits
	rate   float64       // removals a second, when slow
	due    float64       // removals allowed by now and not made, when slow
	next   int           // row from which the next one to remove is looked for
}

type phase uint8

const (
	calm   phase = iota
	frozen       // nobody is removed
	slow         // the time is over: removed little by little
)

// removal says how a row stands to a freeze.
type removal uint8

const (
	free    removal = iota
	held            // its removal is due and waits; it has no deadline
	allowed         // its removal waited and may be written
)

// Protection is the state of a freeze: removals are held back since many
// witnesses fell silent at once, which is rather a fault of the network than of
// all of them.
type Protection struct {
	Active    bool      // removals are held back
	Slow      bool      // the time is over, and what is silent is removed little by little
	Since     time.Time // when it began
	Until     time.Time // when removals go on slowly
	Silent    int       // rows that are silent now
	Witnesses int       // rows in all
	Held      int       // rows whose removal waits
}

// Protection returns the state of now; without Active only the counts are set,
// and none on a server that does not judge.
func (s *Sweeper) Protection() Protection {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.protection()
}

func (s *Sweeper) protection() Protection {
	t, f := &s.table, &s.table.freeze
	p := Protection{Silent: t.falls.silent, Witnesses: t.len(), Held: f.held}
	if f.phase != calm {
		p.Active, p.Slow, p.Since, p.Until = true, f.phase == slow, f.began, f.began.Add(s.config.FreezeMost)
	}
	return p
}

// Confirm ends a freeze: who is silent now is removed in its time, at once if
// that is over, and does not count for another freeze. It returns how many
// removals had waited, and does nothing while removals are not held back.
func (s *Sweeper) Confirm() (released int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := &s.table.freeze
	if f.phase == calm {
		return 0
	}
	released = f.held
	s.table.falls.forgive()
	s.thaw("confirmed by an operator")
	return released
}

// protect begins, moves on and ends a freeze, at each tick. s.mu is held.
func (s *Sweeper) protect(at, passed time.Duration) {
	t, f := &s.table, &s.table.freeze
	t.falls.advance(s.now())
	switch most := max(float64(s.config.MassLeast), s.config.MassShare*float64(t.len())); {
	case f.phase == calm && t.falls.recent >= s.config.MassLeast && float64(t.falls.recent) > s.config.MassShare*float64(t.len()):
		s.begin(at)
	case f.phase == frozen && float64(f.silent) < most/2:
		s.thaw("most of them were heard of again")
	case f.phase == frozen && at-f.since >= s.config.FreezeMost:
		f.phase, f.rate = slow, max(1, float64(t.len())/s.config.SlowWithin.Seconds())
		s.tell("removals go on slowly after a mass silence", "a_second", f.rate)
	case f.phase == slow && f.held == 0:
		s.thaw("no removal waits any more")
	}
	if f.phase == slow {
		f.due = min(f.due+f.rate*passed.Seconds(), float64(f.held))
		f.due -= float64(t.allow(int(f.due), s.now()))
	}
}

// begin begins a freeze with those that fell within the window.
func (s *Sweeper) begin(at time.Duration) {
	t := &s.table
	t.freeze = freeze{phase: frozen, since: at, began: time.Now(), from: t.falls.oldest(), silent: t.falls.recent}
	s.metrics.freezes.Inc()
	s.tell("many fell silent at once: nobody is removed until most are heard of again, an operator confirms or the time is over",
		"recent", t.falls.recent, "at_most", s.config.FreezeMost)
}

// thaw ends a freeze and has all that waited removed.
func (s *Sweeper) thaw(why string) {
	t := &s.table
	s.tell("removals go on as usual after a mass silence", "why", why)
	t.allow(t.freeze.held, s.now())
	t.freeze.phase = calm
}

func (s *Sweeper) tell(event string, more ...any) {
	p := s.protection()
	s.config.Logger.Warn(event, append(more, "silent", p.Silent, "witnesses", p.Witnesses, "held", p.Held)...) //nolint:sloglint // each caller passes a constant
}

// hold puts off a removal while a freeze is on, and reports whether it did.
func (t *table) hold(i int32) bool {
	r := &t.rows[i]
	if t.freeze.phase == calm || !r.silent || r.removal == allowed {
		return false
	}
	if r.removal != held {
		r.removal = held
		t.freeze.held++
	}
	t.set(i, never)
	return true
}

// unhold takes a row out of a freeze.
func (t *table) unhold(r *row) {
	if r.removal == held {
		t.freeze.held--
	}
	r.removal = free
}

// allow makes n held rows due, if there are so many, and returns how many it was.
func (t *table) allow(n int, now int64) (done int) {
	f := &t.freeze
	n = min(n, f.held)
	for range t.rows {
		if done >= n {
			break
		}
		if f.next >= len(t.rows) {
			f.next = 0
		}
		if r := &t.rows[f.next]; r.removal == held {
			t.unhold(r)
			r.removal = allowed
			t.set(int32(f.next), now)
			done++
		}
		f.next++
	}
	return done
}
