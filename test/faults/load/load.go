package load

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/musterhq/muster/test/faults/history"
)

// Config says how much there is of what.
type Config struct {
	Servers  []Target
	Recorder *history.Recorder
	Seed     uint64
	// Dir is an empty folder for the agents.
	Dir string
	// Services is over how many services the instances are spread.
	Services int
	// Beaters is how many instances beat over HTTP, each for itself; half of
	// them by the Nacos API.
	Beaters int
	// Agents is how many agents there are, each with InstancesPerAgent.
	Agents, InstancesPerAgent int
	// Timeouts of every instance that beats; zero fields mean the defaults.
	Timeouts history.Timeouts
	// CallTimeout is when a client gives a server up; 0 means 3 s.
	CallTimeout time.Duration
	// Churners is how many clients register and deregister.
	Churners int
	// ChurnPause is how long each of them rests between calls; 0 means 50 ms.
	ChurnPause time.Duration
	// Resolvers is how many resolvers there are.
	Resolvers int
	// LookupPause is how long each of them rests; 0 means 20 ms.
	LookupPause time.Duration
	// ObservePause is how long the observer of each server rests between two
	// services; 0 means 50 ms.
	ObservePause time.Duration
	// Logger hears what agents say; nil discards.
	Logger *slog.Logger
}

// Zone is the zone that servers serve.
const Zone = "muster.internal."

func (c Config) withDefaults() Config {
	if c.Timeouts == (history.Timeouts{}) {
		c.Timeouts = history.Timeouts{Interval: 5 * time.Second, Unhealthy: 15 * time.Second, Delete: 30 * time.Second}
	}
	for _, d := range []struct {
		value     *time.Duration
		otherwise time.Duration
	}{
		{&c.CallTimeout, 3 * time.Second}, {&c.ChurnPause, 50 * time.Millisecond},
		{&c.LookupPause, 20 * time.Millisecond}, {&c.ObservePause, 50 * time.Millisecond},
	} {
		if *d.value == 0 {
			*d.value = d.otherwise
		}
	}
	c.Services = max(c.Services, 1)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Load is what runs against the servers.
type Load struct {
	cfg     Config
	beating *http.Client // shared: one host of many small programs
	beaters []*beater
	doors   []*door
	agents  []*member
	churn   *churn

	running sync.WaitGroup
	stop    context.CancelFunc

	mu     sync.Mutex
	failed []error // under mu
}

// New returns a Load that has not begun.
func New(cfg Config) *Load {
	l := &Load{cfg: cfg.withDefaults()}
	l.beating = newHTTP(l.cfg.CallTimeout)
	l.churn = newChurn(l.cfg)
	return l
}

// Start starts everything and waits until all instances that beat have been
// taken by a server.
// ctx bounds the wait alone; Stop ends what was started.
func (l *Load) Start(ctx context.Context) error {
	starting := ctx
	ctx, l.stop = context.WithCancel(context.WithoutCancel(ctx))
	for i := range l.cfg.Beaters {
		b := l.newBeater(i)
		l.beaters = append(l.beaters, b)
		l.running.Go(func() { b.run(ctx) })
	}
	if err := l.startAgents(ctx); err != nil {
		return err
	}
	for !l.taken() {
		if err := errors.Join(l.Err(), starting.Err()); err != nil {
			return fmt.Errorf("not all instances were registered: %w", err)
		}
		rest(starting, 20*time.Millisecond)
	}
	for i := range l.cfg.Churners {
		l.running.Go(func() { l.churn.run(ctx, i) })
	}
	for i := range l.cfg.Resolvers {
		r := newResolver(l.cfg, i)
		l.running.Go(func() { r.run(ctx) })
	}
	for _, t := range l.cfg.Servers {
		o := newObserver(l.cfg, t)
		l.running.Go(func() { o.run(ctx) })
	}
	return nil
}

func (l *Load) taken() bool {
	for _, b := range l.beaters {
		if !b.registered.Load() {
			return false
		}
	}
	for _, m := range l.agents {
		if !m.taken.Load() {
			return false
		}
	}
	return true
}

// Settle ends the writes, so that all there is to read stands still but for
// beats.
func (l *Load) Settle() { l.churn.end() }

// Silence makes n of the instances that beat over HTTP fall silent, without a
// word, and returns which.
func (l *Load) Silence(n int) []history.Key {
	var all []history.Key
	for _, b := range l.beaters {
		if len(all) < n && b.silence() {
			all = append(all, b.key)
		}
	}
	return all
}

// Wake makes those that fell silent beat again.
func (l *Load) Wake() {
	for _, b := range l.beaters {
		b.silent.Store(false)
	}
}

// Stop ends everything and returns the error of what failed by itself. What
// agents do at their end is not in the history any more.
func (l *Load) Stop() error {
	if l.stop != nil {
		l.stop()
	}
	for _, d := range l.doors {
		d.close()
	}
	l.running.Wait()
	l.beating.CloseIdleConnections()
	return l.Err()
}

// Err returns the first error of the load itself.
func (l *Load) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.failed) == 0 {
		return nil
	}
	return l.failed[0]
}

func (l *Load) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = append(l.failed, err)
}

// service returns the name of service i.
func service(i int) string { return fmt.Sprint("load-", i) }

// random returns the source of one part of the load: what it does depends on the
// seed alone, not on the others.
func (c Config) random(part, number int) *rand.Rand {
	return rand.New(rand.NewPCG(c.Seed, uint64(part)<<32|uint64(number)))
}

// Parts that have a random source.
const (
	partBeater = iota
	partChurn
	partResolver
)

// rest waits for d or until ctx ends.
func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
