// Package check finds out whether persistent instances work.
//
// The judge's server tries each of them as its cluster says, on time and a
// bounded number at once, and writes a verdict when a threshold is passed. What
// stands in the snapshot is compared after every try, so a verdict that could
// not be written, or that another judge wrote, is put right by the next one.
package check

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/musterhq/muster/internal/crew"
	"github.com/musterhq/muster/probe"
	"github.com/musterhq/muster/registry"
)

// Registry writes verdicts; *registry.Registry does.
type Registry interface {
	// Failed writes that the check of an instance failed, and why.
	Failed(ctx context.Context, k registry.InstanceKey, check, why string) (registry.Receipt, error)
	// Passed takes that back.
	Passed(ctx context.Context, k registry.InstanceKey, check string) (registry.Receipt, error)
}

// Config says how a [Checker] works.
type Config struct {
	// Prober returns what tries a check of an instance once; required.
	Prober func(registry.Endpoint, registry.HealthCheck) (probe.Prober, error)
	// Fill says what a check leaves open: its times and counts. It is asked again
	// after each try; nil means HealthCheck.WithDefaults.
	Fill func(registry.HealthCheck) registry.HealthCheck
	// InFlight bounds how many are tried at once; 0 means 512.
	InFlight int
	// Writers bounds how many verdicts are written at once; 0 means 64.
	Writers int
	// Off reports whether nobody is to be tried now; nil means never.
	Off func() bool
	// Registerer takes the metrics; nil means none.
	Registerer prometheus.Registerer
	// Logger is told of verdicts; nil means discard.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.InFlight <= 0 {
		c.InFlight = 512
	}
	if c.Writers <= 0 {
		c.Writers = 64
	}
	if c.Fill == nil {
		c.Fill = registry.HealthCheck.WithDefaults
	}
	if c.Off == nil {
		c.Off = func() bool { return false }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Checker runs the checks. It is safe for concurrent use, except that one Run at
// a time is all it can do.
type Checker struct {
	cfg     Config
	metrics *metrics

	mu   sync.Mutex
	last map[registry.InstanceKey]Result // of what the current Run tried; guarded by mu
}

// Result is what is known of the check of an instance after its latest try.
type Result struct {
	Kind  registry.CheckKind
	State probe.State   // thresholds applied
	At    time.Time     // when the latest try ended
	Took  time.Duration // how long it took
	Err   error         // why it failed, nil when it passed
}

// New returns a Checker. The error names what is missing of the Config, or a
// metric that is registered already.
func New(c Config) (*Checker, error) {
	if c.Prober == nil {
		return nil, errors.New("check: Config.Prober is missing")
	}
	c = c.withDefaults()
	m, err := newMetrics(c.Registerer)
	if err != nil {
		return nil, err
	}
	return &Checker{cfg: c, metrics: m}, nil
}

// Last returns what is known of the check of an instance, and false on a server
// that does not judge or has not tried it yet.
func (c *Checker) Last(k registry.InstanceKey) (Result, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.last[k]
	return r, ok
}

// Run checks the instances of view's snapshots and writes verdicts to reg until
// ctx ends, which is no error. It waits for the first snapshot. No instance that
// is new to it has a verdict before its threshold is passed.
func (c *Checker) Run(ctx context.Context, view *registry.View, reg Registry) error {
	if !view.Wait(ctx, 0) {
		return nil
	}
	c.forget()
	defer c.forget()
	ctx, cancel := context.WithCancel(ctx)
	r := &run{Checker: c, view: view, registry: reg, snap: registry.Empty(registry.Policy{}), tasks: map[registry.InstanceKey]*task{},
		back: make(chan *task), probers: &crew.Crew{Most: c.cfg.InFlight}, writers: &crew.Crew{Most: c.cfg.Writers}}
	defer r.writers.Wait()
	defer r.probers.Wait()
	defer cancel()
	r.loop(ctx)
	return nil
}

// forget drops what was known: it is only of use where it is kept up.
func (c *Checker) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = map[registry.InstanceKey]Result{}
	c.metrics.checks.Set(0)
}
