package sweep_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/sweep"
)

// The process stands still for a while: its ticks and the beats sent to it wait.
func TestLateSweeperJudgesNobodyByIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		metrics := prometheus.NewRegistry()
		h := newHouse(t, sweep.Config{Registerer: metrics})
		ctx, cancel := context.WithCancel(t.Context())
		ticks := h.sweeper.Begin(h.store.View(), h)
		run := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); {
				step(250 * time.Millisecond)
				ticks.Tick(ctx)
				synctest.Wait()
			}
		}
		beats, lost := endpoint("order-api", "192.0.2.1"), endpoint("order-api", "192.0.2.2")
		h.register(beats, nil)
		h.register(lost, nil)
		run(10 * time.Second)

		step(time.Hour)
		ticks.Tick(ctx)
		synctest.Wait()
		h.want(beats, healthy, "at the late tick")
		h.beat(beats) // what lay unread arrives
		run(4 * time.Second)
		h.want(lost, healthy, "silent for 14 s and an hour that does not count")
		run(2 * time.Second)
		h.want(lost, silent, "silent for 16 s and an hour that does not count")
		h.want(beats, healthy, "heard of after the late tick")
		run(8 * time.Second)
		step(500 * time.Millisecond) // one tick left out is in the bounds
		ticks.Tick(ctx)
		run(9 * time.Second)
		h.want(lost, gone, "silent for 33 s and an hour that does not count")
		want := `
# HELP muster_sweep_late_seconds_total How much later than planned scans came, in seconds; added to every deadline.
# TYPE muster_sweep_late_seconds_total counter
muster_sweep_late_seconds_total 3599.75
`
		if err := testutil.GatherAndCompare(metrics, strings.NewReader(want), "muster_sweep_late_seconds_total"); err != nil {
			t.Error(err)
		}
		cancel()
		ticks.End()
	})
}

func TestSlowHostStillJudges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, sweep.Config{})
		ctx, cancel := context.WithCancel(t.Context())
		ticks := h.sweeper.Begin(h.store.View(), h)
		k := endpoint("order-api", "192.0.2.1")
		h.register(k, nil)
		for range 4 * 31 { // each counts for a quarter of a second
			step(time.Second)
			ticks.Tick(ctx)
		}
		synctest.Wait()
		h.want(k, gone, "31 s of a clock that runs at a quarter of its speed")
		cancel()
		ticks.End()
	})
}

func TestStoreFailsAndRecovers(t *testing.T) {
	inBubble(t, func(h *house) {
		lost, beats := endpoint("order-api", "192.0.2.1"), endpoint("order-api", "192.0.2.2")
		h.register(lost, nil)
		h.register(beats, nil)
		keepBeating := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); step(5 * time.Second) {
				h.beat(beats)
			}
		}
		h.fail(errAway)
		keepBeating(5 * time.Minute)
		h.want(lost, healthy, "nothing can be written")
		h.fail(nil)
		keepBeating(5 * time.Second)
		if got := h.state(lost); got == healthy {
			h.t.Errorf("an instance silent for 5 minutes is %s 5 s after the store came back", got)
		}
		keepBeating(5 * time.Second)
		h.want(lost, gone, "10 s after the store came back")
		h.want(beats, healthy, "beating all the time")
	})
}

// A beat in the outage needs no store, so it counts when the store is back.
func TestBeatWhileTheVerdictCannotBeWritten(t *testing.T) {
	inBubble(t, func(h *house) {
		k := endpoint("order-api", "192.0.2.1")
		h.register(k, nil)
		h.fail(errAway)
		step(time.Minute)
		h.beat(k)
		h.fail(nil)
		step(14 * time.Second)
		h.want(k, healthy, "heard of in the outage")
		step(2 * time.Second)
		h.want(k, silent, "16 s after that beat")
	})
}

func TestDeposedJudgeChangesNothing(t *testing.T) {
	inBubble(t, func(h *house) {
		k := endpoint("order-api", "192.0.2.1")
		h.register(k, nil)
		h.store.Lock()
		h.store.Deposed = true
		h.store.Unlock()
		before := h.store.Commits()
		step(time.Minute)
		h.want(k, healthy, "judged by a judge who was deposed")
		if wrote := h.store.Commits() - before; wrote != 0 {
			h.t.Errorf("a deposed judge wrote %d times", wrote)
		}
	})
}

// slow holds up the writes about one witness until it is let go.
type slow struct {
	sweep.Registry

	witness string
	let     chan struct{}
	held    atomic.Int32
}

func (s *slow) hold(ctx context.Context, ro registry.Roster) error {
	if ro.Witness != s.witness {
		return nil
	}
	s.held.Add(1)
	defer s.held.Add(-1)
	select {
	case <-s.let:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *slow) Silence(ctx context.Context, ro registry.Roster, seen int64) error {
	if err := s.hold(ctx, ro); err != nil {
		return err
	}
	return s.Registry.Silence(ctx, ro, seen)
}

func (s *slow) Remove(ctx context.Context, ro registry.Roster, seen int64) error {
	if err := s.hold(ctx, ro); err != nil {
		return err
	}
	return s.Registry.Remove(ctx, ro, seen)
}

// withSlow runs a test against a sweeper whose writes about k are held up.
func withSlow(t *testing.T, k registry.InstanceKey, test func(h *house, s *slow)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, sweep.Config{})
		s := &slow{Registry: h, witness: "http/" + k.String(), let: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- h.sweeper.Run(ctx, h.store.View(), s) }()
		synctest.Wait()
		test(h, s)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		if held := s.held.Load(); held != 0 {
			t.Errorf("%d writes under way after Run", held)
		}
	})
}

func TestSlowWriteHoldsUpNobodyElse(t *testing.T) {
	k, other := endpoint("order-api", "192.0.2.1"), endpoint("order-api", "192.0.2.2")
	withSlow(t, k, func(h *house, s *slow) {
		h.register(k, nil)
		step(5 * time.Second)
		h.register(other, nil)
		step(16 * time.Second)
		h.want(other, silent, "another's write hangs")
		if held := s.held.Load(); held != 1 {
			h.t.Errorf("%d writes about one row at once, want 1", held)
		}
		step(15 * time.Second)
		h.want(other, gone, "another's write hangs")
		h.want(k, healthy, "its own write hangs")
		close(s.let)
		step(10 * time.Second)
		h.want(k, gone, "the write was let go")
	})
}

func TestDeclaredWhileTheVerdictIsUnderWay(t *testing.T) {
	k := endpoint("order-api", "192.0.2.1")
	withSlow(t, k, func(h *house, s *slow) {
		h.register(k, nil)
		step(16 * time.Second)
		if s.held.Load() != 1 {
			h.t.Fatal("no verdict under way after 16 s")
		}
		h.register(k, map[string]string{"version": "v2"})
		close(s.let)
		step(14 * time.Second)
		h.want(k, healthy, "registered before the verdict was written")
		step(2 * time.Second)
		h.want(k, silent, "16 s after that registration")
	})
}

// A beat that changes nothing cannot stop a verdict that is being written; the
// next one takes it back, and the timers count from the last.
func TestHeardWhileTheVerdictIsUnderWay(t *testing.T) {
	k := endpoint("order-api", "192.0.2.1")
	withSlow(t, k, func(h *house, s *slow) {
		h.register(k, nil)
		step(16 * time.Second)
		h.beat(k)
		close(s.let)
		step(time.Second)
		h.want(k, silent, "the verdict crossed a beat")
		h.beat(k)
		h.want(k, healthy, "at the next beat")
		step(14 * time.Second)
		h.want(k, healthy, "14 s after that")
	})
}

// After the verdict crossed the last beat, removal still follows that beat.
func TestRemovalAfterTheVerdictCrossedABeat(t *testing.T) {
	k := endpoint("order-api", "192.0.2.1")
	withSlow(t, k, func(h *house, s *slow) {
		h.register(k, nil)
		step(16 * time.Second)
		h.beat(k)
		close(s.let)
		step(29 * time.Second)
		h.want(k, silent, "29 s after the last beat")
		step(2 * time.Second)
		h.want(k, gone, "31 s after the last beat")
	})
}

func TestLeftWhileTheVerdictIsUnderWay(t *testing.T) {
	k := endpoint("order-api", "192.0.2.1")
	withSlow(t, k, func(h *house, s *slow) {
		h.register(k, nil)
		step(16 * time.Second)
		if _, err := h.Deregister(h.t.Context(), k, true); err != nil {
			h.t.Fatal(err)
		}
		close(s.let)
		step(time.Second)
		if rows, places := h.sweeper.Rows(); rows != 0 || places != 1 {
			h.t.Errorf("Rows() = %d in %d places, want 0 in 1", rows, places)
		}
	})
}

// What an operator said of an instance that came back and left again is kept anew,
// also when the crew was busy all the while.
func TestCameBackWhileTheCrewIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, sweep.Config{Writers: 1})
		k, other := endpoint("order-api", "192.0.2.1"), endpoint("order-api", "192.0.2.2")
		s := &slow{Registry: h, witness: "http/" + other.String(), let: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- h.sweeper.Run(ctx, h.store.View(), s) }()
		synctest.Wait()
		h.register(k, nil)
		if _, err := h.Override(t.Context(), k, registry.Edit{Weight: new(2.0)}); err != nil {
			t.Fatal(err)
		}
		leave := func() {
			if _, err := h.Deregister(t.Context(), k, true); err != nil {
				t.Fatal(err)
			}
		}
		leave()
		step(43 * time.Second)
		h.register(other, nil)
		step(18 * time.Second) // other is silent since three, and the override is to be forgotten
		if s.held.Load() != 1 {
			t.Fatal("the crew is not busy")
		}
		h.register(k, nil)
		step(2 * time.Second)
		leave()
		step(2 * time.Second)
		close(s.let)
		step(50 * time.Second)
		if h.Snapshot().Override(k) == nil {
			t.Error("the override was forgotten by a look from before the instance came back")
		}
		step(12 * time.Second)
		if h.Snapshot().Override(k) != nil {
			t.Error("the override stands after its time")
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
}
