package sweep_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/sweep"
)

// The store takes writes all the time: that nobody is judged is the doing of the
// sweeper alone.
func TestNobodyIsJudgedWhileTheStoreIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		metrics := prometheus.NewRegistry()
		h := newHouse(t, sweep.Config{Stale: away.Load, Registerer: metrics})
		h.judge()
		quiet, nearly, beats := endpoint("order-api", "192.0.2.1"), endpoint("order-api", "192.0.2.2"), endpoint("order-api", "192.0.2.3")
		h.register(quiet, nil)
		step(14 * time.Second)
		h.register(nearly, nil)
		h.register(beats, nil)
		step(14 * time.Second)
		h.want(quiet, silent, "28 s after its last beat")
		away.Store(true)
		step(time.Hour)
		h.want(quiet, silent, "the store is away")
		h.want(nearly, healthy, "the store is away")
		h.beat(beats)
		away.Store(false)
		step(14 * time.Second)
		h.want(nearly, healthy, "14 s after the store came back")
		h.want(beats, healthy, "14 s after the store came back")
		h.want(quiet, silent, "14 s after the store came back")
		step(2 * time.Second)
		h.want(nearly, silent, "16 s after the store came back")
		step(13 * time.Second)
		h.want(quiet, silent, "29 s after the store came back")
		h.want(nearly, silent, "29 s after the store came back")
		step(2 * time.Second)
		h.want(quiet, gone, "31 s after the store came back")
		h.want(nearly, gone, "31 s after the store came back")
		want := `
# HELP muster_sweep_stale_seconds_total How long nobody was judged as the store was away or checks were switched off, in seconds.
# TYPE muster_sweep_stale_seconds_total counter
muster_sweep_stale_seconds_total 3600
`
		if err := testutil.GatherAndCompare(metrics, strings.NewReader(want), "muster_sweep_stale_seconds_total"); err != nil {
			t.Error(err)
		}
		h.stop()
	})
}

// Verdicts that wait for a writer when the store goes away are not written when
// it is back.
func TestVerdictsThatWaitAreDroppedWhenTheStoreGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		h := newHouse(t, sweep.Config{Stale: away.Load, Writers: 1})
		first, second := endpoint("order-api", "192.0.2.1"), endpoint("order-api", "192.0.2.2")
		s := &slow{Registry: h, let: make(chan struct{})}
		s.witness = "http/" + first.String()
		done := make(chan error)
		go func() { done <- h.sweeper.Run(t.Context(), h.store.View(), s) }()
		synctest.Wait()
		h.register(first, nil)
		step(time.Second)
		h.register(second, nil)
		step(15500 * time.Millisecond)
		if s.held.Load() != 1 {
			t.Fatal("the first verdict is not under way after 16.5 s")
		}
		away.Store(true)
		step(time.Second)
		close(s.let)
		step(time.Second)
		h.want(second, healthy, "its verdict waited for a writer when the store went away")
		away.Store(false)
		step(14 * time.Second)
		h.want(second, healthy, "14 s after the store came back")
		step(2 * time.Second)
		h.want(second, silent, "16 s after the store came back")
		t.Cleanup(func() {
			if err := <-done; err != nil {
				t.Errorf("Run = %v, want nil", err)
			}
		})
	})
}

func TestFreezeOutlivesAnOutage(t *testing.T) {
	var away atomic.Bool
	inTown(t, 100, sweep.Config{Stale: away.Load}, func(h *town) {
		h.live(30, 40*time.Second)
		away.Store(true)
		h.live(30, time.Minute)
		away.Store(false)
		h.live(30, time.Second)
		h.wantProtection(sweep.Protection{Active: true, Silent: 30, Witnesses: 100}, "all have their full time again")
		h.live(30, time.Minute)
		h.wantCount(30, 0, "after their full time")
	})
}

func TestHearAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, sweep.Config{})
		var batch []string
		for i := range 2500 {
			batch = append(batch, "http/unknown-"+fmt.Sprint(i))
		}
		heard, lost := endpoint("order-api", "192.0.2.1"), endpoint("order-api", "192.0.2.2")
		batch = append(batch, "http/"+heard.String())
		if err := h.sweeper.HearAll(batch); !errors.Is(err, registry.ErrUnavailable) {
			t.Errorf("HearAll before Run = %v, want ErrUnavailable", err)
		}
		h.judge()
		h.register(heard, nil)
		h.register(lost, nil)
		for range 5 {
			step(5 * time.Second)
			if err := h.sweeper.HearAll(batch); err != nil {
				t.Errorf("HearAll = %v, want nil", err)
			}
		}
		h.want(heard, healthy, "in every batch")
		h.want(lost, silent, "in no batch")
		h.stop()
		if err := h.sweeper.HearAll(nil); !errors.Is(err, registry.ErrUnavailable) {
			t.Errorf("HearAll after Run = %v, want ErrUnavailable", err)
		}
	})
}

// Whoever is heard while a Run ends is told that nobody judges, or was heard before.
func TestHeardAtTheEnd(t *testing.T) {
	h := newHouse(t, sweep.Config{})
	h.register(endpoint("order-api", "192.0.2.1"), nil)
	var batch []string
	for i := range 3000 {
		batch = append(batch, "http/unknown-"+fmt.Sprint(i))
	}
	for range 20 {
		ticks := h.sweeper.Begin(h.store.View(), h)
		var callers sync.WaitGroup
		for n := range 4 {
			callers.Go(func() {
				var err error
				for err == nil {
					if n < 2 {
						err = h.sweeper.HearAll(batch)
					} else {
						err = h.sweeper.Heard(batch[0])
					}
				}
				if !errors.Is(err, registry.ErrUnavailable) {
					t.Errorf("heard at the end: %v, want ErrUnavailable", err)
				}
			})
		}
		runtime.Gosched()
		ticks.End()
		callers.Wait()
	}
}

func TestRefusedVerdictsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deposed := fmt.Errorf("%w: not the judge any more", registry.ErrUnavailable)
		metrics := prometheus.NewRegistry()
		h := newHouse(t, sweep.Config{
			Registerer: metrics,
			Refused:    func(err error) bool { return errors.Is(err, deposed) },
		})
		h.judge()
		h.register(endpoint("order-api", "192.0.2.1"), nil)
		h.fail(errAway)
		step(15250 * time.Millisecond)
		h.fail(deposed)
		step(time.Second)
		want := `
# HELP muster_sweep_failures_total Attempts to write a verdict that failed; each is tried again.
# TYPE muster_sweep_failures_total counter
muster_sweep_failures_total 2
# HELP muster_sweep_refused_total Those of the failures whose reason was that another server judges by now.
# TYPE muster_sweep_refused_total counter
muster_sweep_refused_total 1
`
		if err := testutil.GatherAndCompare(metrics, strings.NewReader(want), "muster_sweep_failures_total", "muster_sweep_refused_total"); err != nil {
			t.Error(err)
		}
		h.stop()
	})
}
