// Package sweep judges who fell silent.
//
// Beats come in through [Sweeper.Heard], which makes the Sweeper the roll that a
// registry calls; verdicts go out through the small [Registry]. Between the two
// lies one table of deadlines, kept in step with the store's snapshots and
// scanned whole several times a second.
//
// Only the server that holds the judge's office runs [Sweeper.Run]. Every Run
// begins with full timers: what another judge had counted is not inherited.
package sweep

import (
	"context"
	"log/slog"
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
	// Bury removes a tombstone whose time is over.
	Bury(ctx context.Context, k registry.InstanceKey) error
	// Forget removes the override of an instance that is gone.
	Forget(ctx context.Context, k registry.InstanceKey) error
}

// Config says how a Sweeper works; the zero Config is the usual one.
type Config struct {
	// Tick is the time between two scans; 0 means 250 ms. A scan that comes more
	// than one Tick later than planned counts as late.
	Tick time.Duration
	// Writers bounds how many verdicts are written at once; 0 means 64.
	Writers int
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
	if !s.judging.Load() {
		return notJudging{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table.hear(witness, s.now())
	return nil
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
