package probe

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// LoopConfig says how a Loop tries and whom it tells.
type LoopConfig struct {
	Interval time.Duration // between the starts of two tries; 0 means DefaultInterval
	Timeout  time.Duration // of one try; 0 means the interval, at most MaxDefaultTimeout
	Rise     int           // successes in a row until Passing; 0 means 1
	Fall     int           // failures in a row until Critical; 0 means 1
	// OnChange is called on Run's goroutine with each new verdict and the
	// error of the try that brought it; nil means that nobody is told.
	OnChange func(State, error)
}

func (c LoopConfig) withDefaults() LoopConfig {
	if c.Interval == 0 {
		c.Interval = DefaultInterval
	}
	if c.Timeout == 0 {
		c.Timeout = min(c.Interval, MaxDefaultTimeout)
	}
	return c
}

// Loop tries one Prober again and again, one try at a time.
type Loop struct {
	prober Prober
	cfg    LoopConfig
	tally  Tally // Run's goroutine only

	mu   sync.Mutex
	last Result // under mu
}

// Result is what a Loop knows after its latest try.
type Result struct {
	State State         // the verdict, thresholds applied
	At    time.Time     // when the latest try ended; zero before the first
	Took  time.Duration // how long it took
	Err   error         // why it failed, nil when it passed
}

// NewLoop returns a Loop over p; it does nothing until Run.
func NewLoop(p Prober, cfg LoopConfig) *Loop {
	cfg = cfg.withDefaults()
	return &Loop{
		prober: p, cfg: cfg,
		tally: Tally{Rise: cfg.Rise, Fall: cfg.Fall},
		last:  Result{State: Unknown},
	}
}

// Loop returns a Loop that runs this check, or the error of Validate.
func (c Check) Loop(onChange func(State, error)) (*Loop, error) {
	p, err := c.Prober()
	if err != nil {
		return nil, err
	}
	return NewLoop(p, LoopConfig{
		Interval: time.Duration(c.Interval), Timeout: time.Duration(c.Timeout),
		Rise: c.Rise, Fall: c.Fall, OnChange: onChange,
	}), nil
}

// Last returns the latest result.
func (l *Loop) Last() Result {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// Run tries at once and then every interval, give or take a twentieth so that
// checks started together spread out. It returns nil when ctx ends. Run may be
// called once.
func (l *Loop) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		start := time.Now()
		l.try(ctx)
		timer.Reset(time.Until(start.Add(jitter(l.cfg.Interval))))
	}
}

func (l *Loop) try(ctx context.Context) {
	start := time.Now()
	err := Try(ctx, l.prober, l.cfg.Timeout)
	if ctx.Err() != nil {
		return // a try cut short because we stop says nothing about the target
	}
	changed := false
	if e, ok := errors.AsType[*Error](err); !ok || e.Reason != NotTried {
		changed = l.tally.Observe(err == nil)
	}
	l.mu.Lock()
	l.last = Result{State: l.tally.State(), At: time.Now(), Took: time.Since(start), Err: err}
	l.mu.Unlock()
	if changed && l.cfg.OnChange != nil {
		l.cfg.OnChange(l.tally.State(), err)
	}
}

// Try tries p once and gives it no more time than timeout.
func Try(ctx context.Context, p Prober, timeout time.Duration) error {
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := p.Probe(bounded)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return &Error{NoAnswer, fmt.Errorf("none within %v", timeout)}
	}
	return err
}

// jitter returns d, up to a twentieth shorter or longer.
func jitter(d time.Duration) time.Duration {
	spread := int64(d / 10)
	if spread <= 0 {
		return d
	}
	return d - time.Duration(spread/2) + time.Duration(rand.Int64N(spread))
}
