// Package sweep judges who fell silent.
//
// Beats come in through [Sweeper.Heard], which makes the Sweeper the roll that a
// registry calls; verdicts go out through the small [Registry]. Between the two
// lies one table of deadlines, kept in step with the store's snapshots and
// scanned whole several times a second.
//
// Only the server that holds the judge's office runs [Sweeper.Run]. Every Run
// begins with full timers: what another judge had counted is not inherited.
//
// Many that fall silent at once are rather cut off than dead. They are written
// silent, but removals are held back for a bounded time; see [Protection]. A Run
// counts those that are silent when it begins as having fallen silent then, so a
// new judge may hold removals back anew.
package sweep

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/musterhq/muster/registry"
)

// Registry writes verdicts; *registry.Registry does. Every write is conditional
// on what seen, the revision a verdict was made by, shows of its subject.
type Registry interface {
	// Silence writes that a roster was not heard of in time.
	Silence(ctx context.Context, ro registry.Roster, seen int64) error
	// Remove takes a roster off the roll.
	Remove(ctx context.Context, ro registry.Roster, seen int64) error
	// Bury removes a tombstone whose time is over, unless it stands no more.
	Bury(ctx context.Context, t *registry.Tombstone) error
	// Forget removes the override of an instance that is gone.
	Forget(ctx context.Context, k registry.InstanceKey) error
	// Clear removes a service that came with an instance and has none any more,
	// unless it changed.
	Clear(ctx context.Context, s *registry.Service) error
	// Free gives up the DNS name of a service that is gone, unless the claim stands
	// no more.
	Free(ctx context.Context, c *registry.Claim) error
	// Drop removes the verdict on a connection that holds nothing any more, unless it
	// stands no more.
	Drop(ctx context.Context, v *registry.Verdict) error
}

// Config says how a Sweeper works; the zero Config is the usual one.
type Config struct {
	// Tick is the time between two scans; 0 means 250 ms. A scan that comes more
	// than one Tick later than planned counts as late.
	Tick time.Duration
	// Writers bounds how many verdicts are written at once; 0 means 64.
	Writers int
	// Stale reports whether the store cannot be read or written now: then nobody
	// is judged, and when it is over every row begins anew with its full time. It
	// is called at each tick; nil means never.
	Stale func() bool
	// Behind reports whether beats may have arrived that nobody has read yet, as this
	// process is too busy: the clock stands still meanwhile. It is called at each
	// tick; nil means never.
	Behind func() bool
	// Refused reports whether an error of the Registry says that this server does
	// not hold the judge's office any more, which is only counted; nil means that
	// no error says so.
	Refused func(error) bool
	// MassShare and MassLeast say how many rows must fall silent within
	// MassWithin for removals to be held back: more than this share of all rows,
	// and at least so many. 0 means 0.15, 20 and one minute.
	MassShare  float64
	MassLeast  int
	MassWithin time.Duration
	// FreezeMost bounds how long removals are held back whole, from the first
	// moment on; 0 means 15 minutes.
	FreezeMost time.Duration
	// SlowWithin says how fast removals go on after that: as if the whole table
	// had to go within this time, and at least one a second. 0 means 10 minutes,
	// in which somebody who is called can still end the fault or confirm it.
	SlowWithin time.Duration
	// Hold is how long answers may be kept by whoever got them: the DNS name of a
	// service that is gone is kept from others for as long. Nil means 5 s.
	Hold func() time.Duration
	// Registerer takes the metrics; nil means none.
	Registerer prometheus.Registerer
	// Logger is told of verdicts, lateness and a store that fails; nil means discard.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Tick <= 0 {
		c.Tick = 250 * time.Millisecond
	}
	if c.Writers <= 0 {
		c.Writers = 64
	}
	if c.Stale == nil {
		c.Stale = func() bool { return false }
	}
	if c.Behind == nil {
		c.Behind = func() bool { return false }
	}
	if c.Refused == nil {
		c.Refused = func(error) bool { return false }
	}
	if c.MassShare <= 0 {
		c.MassShare = 0.15
	}
	if c.MassLeast <= 0 {
		c.MassLeast = 20
	}
	if c.MassWithin < steps { // nanoseconds: a step must take some time
		c.MassWithin = time.Minute
	}
	if c.FreezeMost <= 0 {
		c.FreezeMost = 15 * time.Minute
	}
	if c.SlowWithin <= 0 {
		c.SlowWithin = 10 * time.Minute
	}
	if c.Hold == nil {
		c.Hold = func() time.Duration { return 5 * time.Second }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Sweeper is the table of who was heard of when, and its judge. It is safe for
// concurrent use, except that one Run at a time is all it can do.
type Sweeper struct {
	config  Config
	metrics *metrics
	base    time.Time   // monotonic zero of the table's clock
	judging atomic.Bool // whether a Run keeps the table

	mu    sync.Mutex
	table table // guarded by mu
}

// New returns a Sweeper, which hears nobody until it runs. The error is that of
// a metric that is registered already.
func New(c Config) (*Sweeper, error) {
	c = c.withDefaults()
	m, err := newMetrics(c.Registerer)
	if err != nil {
		return nil, err
	}
	return &Sweeper{config: c, metrics: m, base: time.Now()}, nil
}

// notJudging is made once, as beats may meet it by the million.
type notJudging struct{}

func (notJudging) Error() string { return "this server does not judge who is silent now" }
func (notJudging) Unwrap() error { return registry.ErrUnavailable }

// Heard restarts the timers of a witness; one that is not known is no error. It
// implements registry.Roll: while Run does not judge the error is
// registry.ErrUnavailable.
func (s *Sweeper) Heard(witness string) error {
	if !s.judging.Load() || !s.hear([]string{witness}) {
		return notJudging{}
	}
	return nil
}

// heardAtOnce is how many witnesses of a batch are heard under one lock, so that
// a large one does not hold up beats and the scan.
const heardAtOnce = 1000

// HearAll is [Sweeper.Heard] for a batch of witnesses.
func (s *Sweeper) HearAll(witnesses []string) error {
	if !s.judging.Load() {
		return notJudging{}
	}
	for some := range slices.Chunk(witnesses, heardAtOnce) {
		if !s.hear(some) {
			return notJudging{}
		}
	}
	return nil
}

// hear restarts the timers of witnesses, unless there is no table any more.
func (s *Sweeper) hear(witnesses []string) (judging bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.judging.Load() {
		return false
	}
	now := s.now()
	for _, w := range witnesses {
		s.table.hear(w, now)
	}
	return true
}

// now returns the table's time; s.mu is held. The clock stood still whenever
// nobody judged in time, which adds the lateness to every deadline at once.
func (s *Sweeper) now() int64 { return int64(time.Since(s.base) - s.table.late) }

// Run judges by the snapshots of view and writes verdicts to reg until ctx
// ends, which is no error. It waits for the first snapshot.
func (s *Sweeper) Run(ctx context.Context, view *registry.View, reg Registry) error {
	if !view.Wait(ctx, 0) {
		return nil
	}
	j := s.open(view, reg)
	defer j.close()
	timer := time.NewTimer(s.config.Tick)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			timer.Reset(j.tick(ctx) - time.Since(s.base))
		}
	}
}
