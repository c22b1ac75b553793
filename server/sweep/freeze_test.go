package sweep_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/sweep"
)

// town is a house with many instances, of which the first ones are lost.
type town struct {
	*house

	all []registry.InstanceKey
}

// inTown runs a test in virtual time, with n instances that are heard of.
func inTown(t *testing.T, n int, c sweep.Config, test func(h *town)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &town{house: newHouse(t, c)}
		h.judge()
		for i := range n {
			k := endpoint("service-"+fmt.Sprint(i%7), "192.0.2."+fmt.Sprint(i%250))
			k.Endpoint.Port = uint16(8000 + i)
			h.all = append(h.all, k)
			h.register(k, nil)
		}
		step(time.Second)
		test(h)
		h.stop()
	})
}

// live lets time pass in which the instances but the first lost ones beat.
func (h *town) live(lost int, d time.Duration) {
	h.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		for _, k := range h.all[lost:] {
			if h.state(k) != gone { // wantCount sees those
				h.beat(k)
			}
		}
		step(min(5*time.Second, time.Until(end)))
	}
}

// count returns how many instances are silent and how many are gone.
func (h *town) count() (quiet, left int) {
	for _, k := range h.all {
		switch h.state(k) {
		case silent:
			quiet++
		case gone:
			left++
		}
	}
	return quiet, left
}

func (h *town) wantCount(quiet, left int, when string) {
	h.t.Helper()
	if q, l := h.count(); q != quiet || l != left {
		h.t.Fatalf("%s: %d silent and %d gone, want %d and %d", when, q, l, quiet, left)
	}
}

func (h *town) wantProtection(want sweep.Protection, when string) {
	h.t.Helper()
	if diff := cmp.Diff(want, h.sweeper.Protection(), cmpopts.IgnoreFields(sweep.Protection{}, "Since", "Until")); diff != "" {
		h.t.Fatalf("%s: Protection() differs (-want +got):\n%s", when, diff)
	}
}

func TestWhatCountsAsAMassSilence(t *testing.T) {
	tests := []struct {
		name     string
		of, lost int
		config   sweep.Config
		freezes  bool
	}{
		{"more than the share", 100, 20, sweep.Config{}, true},
		{"all of a small system", 19, 19, sweep.Config{}, false},
		{"all of one that is large enough", 20, 20, sweep.Config{}, true},
		{"the share exactly", 200, 30, sweep.Config{}, false},
		{"one more than the share", 200, 31, sweep.Config{}, true},
		{"own thresholds, reached", 50, 6, sweep.Config{MassShare: 0.1, MassLeast: 5}, true},
		{"own thresholds, missed", 50, 25, sweep.Config{MassShare: 0.5, MassLeast: 5}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inTown(t, test.of, test.config, func(h *town) {
				h.live(test.lost, 17*time.Second)
				h.wantCount(test.lost, 0, "after the unhealthy timeout")
				if got := h.sweeper.Protection().Active; got != test.freezes {
					h.t.Errorf("Protection().Active = %v, want %v", got, test.freezes)
				}
				h.live(test.lost, 5*time.Minute)
				if test.freezes {
					h.wantCount(test.lost, 0, "removals are held back")
				} else {
					h.wantCount(0, test.lost, "nothing holds removals back")
				}
			})
		})
	}
}

func TestSilenceLittleByLittleFreezesNothing(t *testing.T) {
	inTown(t, 100, sweep.Config{}, func(h *town) {
		for lost := range 50 { // one every 5 s: 12 within a minute
			h.live(lost, 5*time.Second)
		}
		h.live(50, 35*time.Second)
		h.wantCount(0, 50, "fallen one by one")
	})
}

func TestFreezeLastsItsTimeThenRemovesSlowly(t *testing.T) {
	inTown(t, 100, sweep.Config{}, func(h *town) {
		h.live(60, 17*time.Second)
		h.wantProtection(sweep.Protection{Active: true, Silent: 60, Witnesses: 100}, "at the beginning")
		p := h.sweeper.Protection()
		if lasts := p.Until.Sub(p.Since); lasts != 15*time.Minute || time.Since(p.Since) > 5*time.Second {
			h.t.Errorf("frozen since %v for %v, want since just now for 15m0s", time.Since(p.Since), lasts)
		}
		h.live(60, 14*time.Minute)
		h.wantProtection(sweep.Protection{Active: true, Silent: 60, Witnesses: 100, Held: 60}, "after 14 minutes")
		h.wantCount(60, 0, "after 14 minutes")
		left := h.all[0]
		if _, err := h.Deregister(h.t.Context(), left, true); err != nil {
			h.t.Fatal(err)
		}
		h.wantCount(59, 1, "one deregistered")
		h.live(60, time.Until(p.Until)+10*time.Second)
		got := h.sweeper.Protection()
		if _, gone := h.count(); gone < 9 || gone > 13 || !got.Active || !got.Slow || got.Held > 51 {
			h.t.Fatalf("10 s after the freeze %d are gone, %+v, want about one a second", gone, got)
		}
		h.live(60, time.Minute)
		h.wantCount(0, 60, "when all had their turn")
		h.wantProtection(sweep.Protection{Witnesses: 40}, "when all had their turn")
	})
}

func TestSlowRemovalFollowsTheTable(t *testing.T) {
	c := sweep.Config{FreezeMost: time.Minute, SlowWithin: 20 * time.Second}
	inTown(t, 200, c, func(h *town) {
		h.live(100, 17*time.Second)
		until := h.sweeper.Protection().Until
		h.live(100, time.Until(until)+5*time.Second)
		if _, gone := h.count(); gone < 45 || gone > 55 {
			h.t.Fatalf("5 s after the freeze %d are gone, want about 10 a second", gone)
		}
		h.live(0, 6*time.Second)
		if quiet, _ := h.count(); quiet != 0 {
			h.t.Fatalf("%d silent after all beat again, want none", quiet)
		}
		if h.sweeper.Protection().Active {
			h.t.Error("Protection().Active with nobody silent, want false")
		}
	})
}

func TestFreezeEndsWhenMostAreHeardOfAgain(t *testing.T) {
	inTown(t, 100, sweep.Config{}, func(h *town) {
		h.live(40, 40*time.Second)
		h.wantCount(40, 0, "held back")
		h.live(10, 6*time.Second)
		h.wantProtection(sweep.Protection{Active: true, Silent: 10, Witnesses: 100, Held: 10}, "half the threshold is left")
		h.live(9, 6*time.Second)
		h.wantCount(0, 9, "fewer than half the threshold are left")
		h.wantProtection(sweep.Protection{Witnesses: 91}, "fewer than half the threshold are left")
	})
}

func TestConfirmRemovesWhoIsSilent(t *testing.T) {
	inTown(t, 100, sweep.Config{}, func(h *town) {
		if released := h.sweeper.Confirm(); released != 0 {
			h.t.Errorf("Confirm() with nothing held back = %d, want 0", released)
		}
		h.live(30, 40*time.Second)
		h.wantCount(30, 0, "held back")
		if released := h.sweeper.Confirm(); released != 30 {
			h.t.Errorf("Confirm() = %d, want 30", released)
		}
		h.live(30, time.Second)
		h.wantCount(0, 30, "confirmed")
		h.live(60, 17*time.Second)
		h.wantProtection(sweep.Protection{Active: true, Silent: 30, Witnesses: 70}, "another mass silence")
		h.live(60, time.Minute)
		h.wantCount(30, 30, "another mass silence")
	})
}

// Confirmed before anybody's time is over: they go in their time, and are not
// counted for another freeze.
func TestConfirmBeforeTheDeleteTimeout(t *testing.T) {
	inTown(t, 100, sweep.Config{}, func(h *town) {
		h.live(30, 17*time.Second)
		h.sweeper.Confirm()
		h.live(30, 8*time.Second)
		h.wantCount(30, 0, "their time is not over")
		h.wantProtection(sweep.Protection{Silent: 30, Witnesses: 100}, "their time is not over")
		h.live(30, 8*time.Second)
		h.wantCount(0, 30, "their time is over")
	})
}

func TestRemovalWithoutSilenceIsSilenceInAFreeze(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &town{house: newHouse(t, sweep.Config{})}
		h.judge()
		for i := range 50 {
			k := endpoint("order-api", "192.0.2."+fmt.Sprint(i))
			h.all = append(h.all, k)
			h.register(k, map[string]string{registry.MetaBeatTimeout: "60000", registry.MetaDeleteAfter: "7000"})
		}
		step(8 * time.Second)
		h.wantCount(50, 0, "all due at once")
		h.sweeper.Confirm()
		step(time.Second)
		h.wantCount(0, 50, "confirmed")
		h.stop()
	})
}

func TestNewJudgeInheritsAMassSilence(t *testing.T) {
	inTown(t, 100, sweep.Config{}, func(h *town) {
		h.live(30, 10*time.Minute)
		h.wantCount(30, 0, "under the first judge")
		h.stop()
		h.wantProtection(sweep.Protection{}, "on a server that does not judge")
		h.judge()
		h.live(30, 14*time.Minute)
		h.wantCount(30, 0, "under the second judge")
		h.wantProtection(sweep.Protection{Active: true, Silent: 30, Witnesses: 100, Held: 30}, "under the second judge")
		h.live(30, 2*time.Minute)
		h.wantCount(0, 30, "when the second judge's time is over")
	})
}

// stuck holds up every removal until it is let go.
type stuck struct {
	sweep.Registry

	let  chan struct{}
	held atomic.Int32
}

func (s *stuck) Remove(ctx context.Context, ro registry.Roster, seen int64) error {
	s.held.Add(1)
	defer s.held.Add(-1)
	select {
	case <-s.let:
		return s.Registry.Remove(ctx, ro, seen)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Removals that wait for a writer when a freeze begins are held back too.
func TestFreezeHoldsBackWhatIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &town{house: newHouse(t, sweep.Config{Writers: 1})}
		s := &stuck{Registry: h, let: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- h.sweeper.Run(ctx, h.store.View(), s) }()
		synctest.Wait()
		for i := range 100 {
			h.all = append(h.all, endpoint("order-api", "192.0.2."+fmt.Sprint(i)))
			h.register(h.all[i], nil)
		}
		h.live(10, 24*time.Second)
		h.wantCount(10, 0, "a few")
		h.live(20, 7*time.Second)
		if s.held.Load() != 1 {
			t.Fatal("no removal is under way after 31 s")
		}
		h.live(20, 5*time.Second)
		if !h.sweeper.Protection().Active {
			t.Fatal("removals are not held back")
		}
		close(s.let)
		step(time.Second)
		h.wantCount(19, 1, "all but the removal that was under way are held back")
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
}

func TestProtectionMetrics(t *testing.T) {
	metrics := prometheus.NewPedanticRegistry()
	inTown(t, 40, sweep.Config{Registerer: metrics}, func(h *town) {
		h.live(20, 40*time.Second)
		want := `
# HELP muster_sweep_freezes_total How often a mass silence made removals wait.
# TYPE muster_sweep_freezes_total counter
muster_sweep_freezes_total 1
# HELP muster_sweep_held_rows Deadlines that are over and whose removal waits after a mass silence.
# TYPE muster_sweep_held_rows gauge
muster_sweep_held_rows 20
# HELP muster_sweep_protection_active 1 while removals are held back or slowed down after a mass silence.
# TYPE muster_sweep_protection_active gauge
muster_sweep_protection_active 1
`
		names := []string{"muster_sweep_freezes_total", "muster_sweep_held_rows", "muster_sweep_protection_active"}
		if err := testutil.GatherAndCompare(metrics, strings.NewReader(want), names...); err != nil {
			t.Error(err)
		}
		h.sweeper.Confirm()
		h.live(20, time.Second)
		want = strings.NewReplacer("active 1\n", "active 0\n", "rows 20\n", "rows 0\n").Replace(want)
		if err := testutil.GatherAndCompare(metrics, strings.NewReader(want), names...); err != nil {
			t.Error(err)
		}
	})
}
