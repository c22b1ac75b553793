package probe_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/musterhq/muster/probe"
)

// crowd is what many checks try: it counts how many do at once.
type crowd struct {
	mu   sync.Mutex
	busy int // under mu
	most int // under mu
}

// one is the target of one check of a crowd.
type one struct {
	target
	*crowd
}

func (p *one) Probe(ctx context.Context) error {
	p.crowd.mu.Lock()
	p.busy++
	p.most = max(p.most, p.busy)
	p.crowd.mu.Unlock()
	defer func() {
		p.crowd.mu.Lock()
		p.busy--
		p.crowd.mu.Unlock()
	}()
	return p.target.Probe(ctx)
}

// TestManyChecks has 1,000 that start together every 10 s: all have a result
// within 10 s, no more are tried at once than may be, and later on they are
// spread out evenly.
func TestManyChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many, interval, places = 1000, 10 * time.Second, 20
		began, all, together := time.Now(), make([]*one, many), &crowd{}
		r := runner(t, probe.RunnerConfig{AtOnce: places})
		for i := range all {
			all[i] = &one{target{takes: 50 * time.Millisecond}, together}
			r.Loop(all[i], probe.LoopConfig{Interval: interval})
		}
		time.Sleep(10 * interval)
		synctest.Wait()
		if together.most != places {
			t.Errorf("most at once = %d, want %d", together.most, places)
		}
		var buckets [10]int // of the tries from the third interval on, by where in it
		counted := 0
		for _, p := range all {
			first := p.tries[0].Sub(began)
			if first > interval {
				t.Errorf("a first try after %v", first)
			}
			if p.overlaps > 0 {
				t.Error("two tries of one check at once")
			}
			for i, at := range p.tries {
				if i > 0 && at.Sub(p.tries[i-1]) < interval/2 {
					t.Errorf("a try %v after the one before", at.Sub(p.tries[i-1]))
				}
				if since := at.Sub(began); since >= 2*interval {
					buckets[since%interval*10/interval]++
					counted++
				}
			}
		}
		// By chance alone a bucket of a tenth is 100 +- 10 checks of 1,000.
		for _, n := range buckets {
			if share := float64(n) / float64(counted); share < 0.06 || share > 0.14 {
				t.Errorf("tries by tenths of the interval = %v, want them even", buckets)
				break
			}
		}
	})
}

func TestWaitingForAPlaceTakesNothingOfATry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := runner(t, probe.RunnerConfig{AtOnce: 1})
		var all []*probe.Loop
		var targets []*target
		for range 10 { // each waits for up to 9 s, and would fail after 3 s
			p := &target{takes: time.Second}
			targets = append(targets, p)
			all = append(all, r.Loop(p, probe.LoopConfig{}))
		}
		time.Sleep(2 * time.Minute)
		for i, l := range all {
			if got := l.Last(); got.State != probe.Passing || got.Took != time.Second {
				t.Errorf("Last of %d = %+v, want passing after 1 s", i, got)
			}
			if n := targets[i].count(); n < 8 {
				t.Errorf("tries of %d = %d, want its share", i, n)
			}
		}
	})
}

func TestFailuresOfThreeIntervals(t *testing.T) {
	down := errors.New("down")
	for _, interval := range []time.Duration{time.Second, 10 * time.Second, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			r := runner(t, probe.RunnerConfig{})
			for range 100 {
				p, v := &target{}, &verdicts{}
				l := r.Loop(p, probe.LoopConfig{Interval: interval, Fall: 3, OnChange: v.add})
				p.next()
				p.next()
				p.set(down)
				p.next()
				p.set(nil) // it was but one
				p.next()
				v.want(t, probe.Passing)
				p.set(down)
				began := time.Now()
				time.Sleep(3*interval + time.Second)
				synctest.Wait()
				if is := l.Last(); is.State != probe.Critical || is.Since.Sub(began) < interval {
					t.Errorf("after three intervals of %v = %+v, want critical", interval, is)
				}
				l.Stop()
			}
		})
	}
}

func TestFlappingIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, damp := range []bool{true, false} {
			p, v := &target{}, &verdicts{}
			l := loop(t, p, probe.LoopConfig{Interval: time.Second, Damp: damp, OnChange: v.add})
			synctest.Wait()
			for i := range 50 {
				p.set(map[bool]error{true: errors.New("down")}[i%2 == 0])
				p.next()
			}
			v.mu.Lock()
			states := fmt.Sprint(v.got)
			v.mu.Unlock()
			is := l.Last()
			if want := "[passing critical passing critical critical]"; damp && (states != want || !is.Flapping || is.State != probe.Critical) {
				t.Errorf("told %s, last %+v, want %s and flapping", states, is, want)
			}
			if n := strings.Count(states, "ing"); !damp && (n < 20 || is.Flapping) {
				t.Errorf("told %s without damping, want each", states)
			}
			p.set(nil)
			for range 7 {
				p.next()
			}
			if is := l.Last(); is.State != probe.Passing || is.Flapping {
				t.Errorf("once steady: %+v, want passing", is)
			}
			l.Stop()
		}
	})
}

func TestOverdue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		p := &target{err: errors.New("down")}
		l := loop(t, p, probe.LoopConfig{Interval: time.Second, Overdue: 10 * time.Second, OnChange: func(r probe.Result) {
			got = append(got, fmt.Sprint(r.State, " ", r.Overdue))
		}})
		time.Sleep(9900 * time.Millisecond)
		if l.Last().Overdue {
			t.Error("overdue before its time")
		}
		time.Sleep(2 * time.Second)
		if !l.Last().Overdue {
			t.Error("not overdue in time")
		}
		p.set(nil)
		p.next()
		if want := "[critical false critical true passing false]"; fmt.Sprint(got) != want {
			t.Errorf("told %v, want %s", got, want)
		}
	})
}

func TestToldCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &verdicts{}
		r := runner(t, probe.RunnerConfig{})
		l, err := r.Check(probe.Check{TTL: probe.Duration(10 * time.Second), DeregisterAfter: probe.Duration(time.Minute)}, v.add)
		if err != nil {
			t.Fatal(err)
		}
		state := func(want probe.State, wantErr string) {
			t.Helper()
			synctest.Wait()
			is := l.Last()
			if got := fmt.Sprint(is.Err); is.State != want || wantErr != "" && !strings.Contains(got, wantErr) || wantErr == "" && is.Err != nil {
				t.Errorf("Last = %+v, want %s because of %q", is, want, wantErr)
			}
		}
		time.Sleep(9 * time.Second)
		state(probe.Unknown, "")
		tell := func(passes bool, note string) {
			t.Helper()
			if err := l.Tell(passes, note); err != nil {
				t.Errorf("Tell = %v, want nil", err)
			}
		}
		tell(true, "all is\nwell")
		state(probe.Passing, "")
		if note := l.Last().Note; note != "all is well" {
			t.Errorf("note = %q, want one line", note)
		}
		for range 5 {
			time.Sleep(9 * time.Second)
			tell(true, "")
		}
		time.Sleep(9900 * time.Millisecond)
		state(probe.Passing, "")
		time.Sleep(200 * time.Millisecond)
		state(probe.Critical, "no answer in time: not told within 10s")
		time.Sleep(59 * time.Second)
		if l.Last().Overdue {
			t.Error("overdue before its time")
		}
		time.Sleep(2 * time.Second)
		if !l.Last().Overdue {
			t.Error("not overdue in time")
		}
		tell(true, "")
		state(probe.Passing, "")
		tell(false, "secret")
		state(probe.Critical, "told so")
		time.Sleep(time.Minute + time.Second)
		if !l.Last().Overdue {
			t.Error("one that was told to fail is not overdue in time")
		}
		l.Stop()
		if err := r.Loop(&target{}, probe.LoopConfig{}).Tell(true, ""); !errors.Is(err, probe.ErrNotTold) {
			t.Errorf("Tell of a check that is tried = %v, want ErrNotTold", err)
		}
	})
}

// TestLoopsBesideRun adds loops while Run begins: each is tried once at first.
func TestLoopsBesideRun(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			r := runner(t, probe.RunnerConfig{})
			var all []*target
			for range 50 {
				p := &target{takes: time.Millisecond}
				all = append(all, p)
				r.Loop(p, probe.LoopConfig{})
			}
			time.Sleep(time.Second)
			for i, p := range all {
				if n := p.count(); n != 1 {
					t.Errorf("first tries of %d = %d, want 1", i, n)
				}
			}
		})
	}
}
