package probe_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/probe"
)

// target is a Prober whose health the test sets.
type target struct {
	mu       sync.Mutex
	err      error         // under mu
	takes    time.Duration // under mu
	tries    []time.Time   // under mu
	running  int           // under mu
	overlaps int           // under mu
}

func (p *target) set(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

func (p *target) Probe(ctx context.Context) error {
	p.mu.Lock()
	p.tries = append(p.tries, time.Now())
	p.running++
	if p.running > 1 {
		p.overlaps++
	}
	takes, err := p.takes, p.err
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.running--
	}()
	select {
	case <-time.After(takes):
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *target) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.tries)
}

// next waits, in virtual time, until one more try has ended.
func (p *target) next() {
	for n := p.count(); p.count() == n; {
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
	}
}

// verdicts collects what a Loop reports.
type verdicts struct {
	mu  sync.Mutex
	got []probe.State // under mu
	err error         // of the latest, under mu
}

func (v *verdicts) add(r probe.Result) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.got, v.err = append(v.got, r.State), r.Err
}

func (v *verdicts) want(t *testing.T, want ...probe.State) {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	if diff := cmp.Diff(want, v.got); diff != "" {
		t.Errorf("reported verdicts (-want +got):\n%s", diff)
	}
}

// runner returns a Runner that runs until the test ends, which must be a clean
// end.
func runner(t *testing.T, cfg probe.RunnerConfig) *probe.Runner {
	t.Helper()
	r := probe.NewRunner(cfg)
	go func() {
		if err := r.Run(t.Context()); err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	}()
	return r
}

// loop returns a Loop over p that runs until the test ends.
func loop(t *testing.T, p probe.Prober, cfg probe.LoopConfig) *probe.Loop {
	t.Helper()
	return runner(t, probe.RunnerConfig{}).Loop(p, cfg)
}

func TestLoop(t *testing.T) {
	down := errors.New("down")
	t.Run("tries at once, then every interval, and reports changes only", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, v := &target{}, &verdicts{}
			l := loop(t, p, probe.LoopConfig{Fall: 2, OnChange: v.add})
			synctest.Wait()
			if p.count() != 1 {
				t.Errorf("tries at the start = %d, want 1", p.count())
			}
			v.want(t, probe.Passing)
			time.Sleep(time.Minute)
			if n := p.count(); n < 12 || n > 14 {
				t.Errorf("tries in a minute = %d, want about 13", n)
			}
			p.set(down)
			p.next()
			v.want(t, probe.Passing)
			p.next()
			v.want(t, probe.Passing, probe.Critical)
			if !errors.Is(v.err, down) {
				t.Errorf("reported error = %v, want %v", v.err, down)
			}
			if got := l.Last(); got.State != probe.Critical || !errors.Is(got.Err, down) {
				t.Errorf("Last() = %+v, want critical with the error", got)
			}
			p.set(nil)
			p.next()
			v.want(t, probe.Passing, probe.Critical, probe.Passing)
		})
	})
	t.Run("a try that hangs fails at its timeout and never overlaps the next", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, v := &target{takes: time.Hour}, &verdicts{}
			loop(t, p, probe.LoopConfig{Interval: time.Second, Timeout: 10 * time.Second, OnChange: v.add})
			time.Sleep(9900 * time.Millisecond)
			v.want(t)
			time.Sleep(200 * time.Millisecond)
			v.want(t, probe.Critical)
			if !strings.Contains(v.err.Error(), "within 10s") {
				t.Errorf("error of a timeout = %v, want it to say 10s", v.err)
			}
			time.Sleep(time.Minute)
			if p.overlaps > 0 || p.count() < 6 || p.count() > 8 {
				t.Errorf("overlaps, tries = %d, %d, want none and about 7", p.overlaps, p.count())
			}
		})
	})
	t.Run("the default timeout is the interval, at most three seconds", func(t *testing.T) {
		for interval, want := range map[time.Duration]time.Duration{0: 3 * time.Second, time.Second: time.Second, time.Minute: 3 * time.Second} {
			synctest.Test(t, func(t *testing.T) {
				p, v := &target{takes: time.Hour}, &verdicts{}
				loop(t, p, probe.LoopConfig{Interval: interval, OnChange: v.add})
				time.Sleep(want - 1)
				v.want(t)
				time.Sleep(2 * time.Nanosecond)
				v.want(t, probe.Critical)
			})
		}
	})
	t.Run("a try that this host cannot make is no result", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, v := &target{}, &verdicts{}
			l := loop(t, p, probe.LoopConfig{OnChange: v.add})
			synctest.Wait()
			untried := &probe.Error{Reason: probe.NotTried}
			p.set(untried)
			p.next()
			p.next()
			v.want(t, probe.Passing)
			if got := l.Last(); got.State != probe.Passing || !errors.Is(got.Err, untried) {
				t.Errorf("Last() = %+v, want passing and why it could not be tried", got)
			}
		})
	})
	t.Run("stopping in the middle of a try is no verdict", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, v := &target{takes: time.Hour}, &verdicts{}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			r := probe.NewRunner(probe.RunnerConfig{})
			r.Loop(p, probe.LoopConfig{OnChange: v.add})
			go func() { done <- r.Run(ctx) }()
			time.Sleep(time.Second)
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run = %v, want nil", err)
			}
			v.want(t)
		})
	})
	t.Run("stopping a loop ends the try under way and tells nobody", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, v := &target{takes: time.Hour}, &verdicts{}
			l := loop(t, p, probe.LoopConfig{OnChange: v.add})
			time.Sleep(time.Second)
			l.Stop()
			synctest.Wait()
			time.Sleep(time.Minute)
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.running != 0 || len(p.tries) != 1 {
				t.Errorf("running, tries = %d, %d, want 0, 1", p.running, len(p.tries))
			}
			v.want(t)
		})
	})
}
