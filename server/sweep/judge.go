package sweep

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/musterhq/muster/internal/crew"
	"github.com/musterhq/muster/registry"
)

// judge is one Run of a Sweeper. Its fields belong to Run's goroutine, unless
// they say otherwise.
type judge struct {
	*Sweeper

	view     *registry.View
	registry Registry
	crew     *crew.Crew // writes the verdicts

	snap     *registry.Snapshot // the table follows it
	starting bool               // the table is being filled for the first time
	planned  time.Duration      // when the next tick should come, since base
	draining bool               // the last tick was late and judged nobody
	behind   bool               // beats lay unread at the last tick
	stale    bool               // the store was away at the last tick; also guarded by mu
	cleanup  time.Duration      // when tombstones and overrides are looked at next
	keeps    map[keepKey]*keep
	due      []int32     // scratch of tick
	failing  atomic.Bool // the last write failed; also the crew's
}

const (
	writeWithin = 10 * time.Second       // for one verdict
	retryFirst  = 500 * time.Millisecond // after a write that failed, then doubled
	retryMost   = 4 * time.Second
)

// open fills the table from the current snapshot and begins to judge.
func (s *Sweeper) open(view *registry.View, reg Registry) *judge {
	j := &judge{
		Sweeper: s, view: view, registry: reg, crew: &crew.Crew{Most: s.config.Writers},
		snap: (*registry.Snapshot)(nil).Apply(0, nil), starting: true,
	}
	s.mu.Lock()
	s.table = newTable(s.config, s.now())
	j.follow()
	s.mu.Unlock()
	j.starting = false
	j.planned = time.Since(s.base) + s.config.Tick
	s.judging.Store(true)
	return j
}

// close ends the Run: nobody is heard any more, and nothing is written. The
// context of the ticks has ended.
func (j *judge) close() {
	j.judging.Store(false)
	j.crew.Wait()
	j.mu.Lock()
	j.table = table{} // gives the memory back on a server that may never judge again
	j.mu.Unlock()
	j.metrics.rows.Set(0)
	j.metrics.protect(Protection{})
}

// tick follows the snapshot, finds who is due and sets the crew to work. It
// returns when the next tick should come.
//
// A late tick sets the clock back by its lateness and judges nobody: beats lie
// unread as long as this process stood still, and have until the next tick to be
// taken in. That one judges, even if it is late too, as on a host that is slow
// for good.
func (j *judge) tick(ctx context.Context) (next time.Duration) {
	at := time.Since(j.base)
	late := at - j.planned
	passed := late + j.config.Tick
	j.planned = at + j.config.Tick
	if j.config.Stale() {
		j.standStill(passed)
		return j.planned
	}
	if j.config.Behind() {
		j.waitForBeats(passed)
		return j.planned
	}
	if j.behind {
		j.behind = false
		j.config.Logger.Info("beats are read in time again: all are judged")
	}
	if late > j.config.Tick {
		j.mu.Lock()
		j.table.late += late
		j.mu.Unlock()
		j.metrics.late.Add(late.Seconds())
		if j.draining = !j.draining; j.draining {
			j.config.Logger.Warn("the sweeper was late; nobody is judged by that time", "late", late)
			return j.planned
		}
	}
	j.draining = false
	j.mu.Lock()
	j.follow()
	if j.stale {
		j.startAnew()
	}
	now := j.now()
	j.find(at, passed)
	j.mu.Unlock()
	for _, i := range j.due {
		j.crew.Do(ctx, func(ctx context.Context) { j.decide(ctx, i) })
	}
	if at >= j.cleanup {
		j.cleanup = at + time.Second
		j.clean(ctx, now)
	}
	return j.planned
}

// waitForBeats stops the table's clock for a tick: beats have arrived that nobody has
// read. They are in when the clock goes on, so nobody needs more than that.
func (j *judge) waitForBeats(passed time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.table.late += passed
	j.metrics.late.Add(passed.Seconds())
	if !j.behind {
		j.behind = true
		j.config.Logger.Warn("this server is too busy to read beats in time: nobody is judged")
	}
}

// standStill stops the table's clock for a tick: the store is away, so nobody
// can be judged.
func (j *judge) standStill(passed time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.table.late += passed
	j.metrics.stale.Add(passed.Seconds())
	if !j.stale {
		j.stale = true
		j.config.Logger.Warn("the store is away: nobody is judged")
	}
}

// startAnew gives every row its full time: the store was away, and so may have
// been the ways by which beats come in. s.mu is held.
func (j *judge) startAnew() {
	j.stale = false
	now := j.now()
	for i := range j.table.rows {
		if r := &j.table.rows[i]; r.members > 0 {
			j.table.restart(int32(i), now, r.silent)
		}
	}
	j.config.Logger.Info("the store is back: all are judged again, with full timers")
}

// find fills due with the rows that a verdict is to be written on. Who fell
// silent is counted before anything is decided: a mass silence must hold up the
// first removal too. s.mu is held.
func (j *judge) find(at, passed time.Duration) {
	t := &j.table
	j.due = t.due(j.now(), j.due[:0])
	for _, i := range j.due {
		t.fall(&t.rows[i])
	}
	j.protect(at, passed)
	j.due = slices.DeleteFunc(j.due, t.hold)
	for _, i := range j.due {
		t.rows[i].writing = true
	}
	j.metrics.protect(j.protection())
}

// verdict is what is to be written of a row.
type verdict struct {
	registry.Roster

	row    int32
	heard  int64 // what the verdict rests on
	seen   int64 // revision it was made by
	remove bool
}

// decide writes the verdict on one row. It runs in the crew: a write that takes
// long holds up its own row and one writer, not the scan.
func (j *judge) decide(ctx context.Context, row int32) {
	v, ok := j.claim(row)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, writeWithin)
	defer cancel()
	var err error
	if v.remove {
		err = j.registry.Remove(ctx, v.Roster, v.seen)
	} else {
		err = j.registry.Silence(ctx, v.Roster, v.seen)
	}
	j.settle(v, err)
	j.report(ctx, v, err)
}

// claim returns the verdict that is due on a row, and false when it was heard of
// or left since the scan, when removals are held back or the store is away. In a
// freeze a row that would be removed without being silent first is silent.
func (j *judge) claim(i int32) (verdict, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	t := &j.table
	r := &t.rows[i]
	if t.deadline[i] > j.now() || r.members == 0 || j.stale || t.hold(i) {
		r.writing = false
		t.release(i)
		return verdict{}, false
	}
	m := &t.timers[r.class]
	remove := r.silent || m.after <= m.unhealthy && t.freeze.phase == calm
	return verdict{t.roster(r), i, r.heard, t.revision, remove}, true
}

// settle takes the outcome of a write into the table. Who was heard of during
// the write keeps the timers that gave; a verdict that stands in spite of it is
// taken back by the registry at the next beat.
func (j *judge) settle(v verdict, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	t := &j.table
	r := &t.rows[v.row]
	r.writing = false
	switch {
	case r.heard != v.heard:
	case err != nil:
		t.set(v.row, j.now()+int64(min(retryFirst<<r.failed, retryMost)))
		r.failed = min(r.failed+1, 8)
	case v.remove: // the snapshot will tell; what it keeps all the same is due again
		t.restart(v.row, j.now(), r.silent)
	default:
		r.silent, r.failed = true, 0
		t.set(v.row, v.heard+t.patience(r))
	}
	t.release(v.row)
}

func (j *judge) report(ctx context.Context, v verdict, err error) {
	what := "silent"
	if v.remove {
		what = "removed"
	}
	j.note(ctx, what, err)
	if err == nil {
		j.config.Logger.Info("verdict", "verdict", what, "witness", v.Witness, "timeouts", v.Class)
	}
}

// note counts the outcome of a write, and logs when writes begin to fail and
// when they succeed again.
func (j *judge) note(ctx context.Context, what string, err error) {
	switch {
	case err == nil:
		j.metrics.verdicts.WithLabelValues(what).Inc()
		if j.failing.Swap(false) {
			j.config.Logger.Info("verdicts are written again")
		}
	case j.config.Refused(err): // also while the Run ends, as it does then
		j.metrics.failures.Inc()
		j.metrics.refused.Inc()
		j.config.Logger.Warn("a verdict was refused: another server judges by now", "verdict", what, "err", err)
	case ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded): // else the Run ends
		j.metrics.failures.Inc()
		if !j.failing.Swap(true) {
			j.config.Logger.Warn("verdicts cannot be written; they are kept and tried again", "err", err)
		}
	}
}
