package check_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/musterhq/muster/probe"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/registry/registrytest"
	"github.com/musterhq/muster/server/check"
)

// target is something that can be made to fail.
type target struct {
	fails, hangs atomic.Bool
	untried      atomic.Bool
	tries        atomic.Int64
}

var errRefused = errors.New("connection refused")

func (t *target) Probe(ctx context.Context) error {
	t.tries.Add(1)
	switch {
	case t.untried.Load():
		return &probe.Error{Reason: probe.NotTried}
	case t.hangs.Load():
		<-ctx.Done()
		return ctx.Err()
	case t.fails.Load():
		return errRefused
	}
	return nil
}

// house is a registry with a Checker over targets by endpoint.
type house struct {
	*registry.Registry

	t       *testing.T
	store   *registrytest.Store
	writes  check.Registry // takes the verdicts
	checker *check.Checker
	metrics *prometheus.Registry
	targets sync.Map // *target by registry.Endpoint
	most    atomic.Int64
	now     atomic.Int64
	off     atomic.Bool
}

func newHouse(t *testing.T, c check.Config) *house {
	t.Helper()
	h := &house{t: t, store: registrytest.NewStore(), metrics: prometheus.NewPedanticRegistry()}
	h.Registry = registry.New(h.store, &registrytest.Roll{})
	h.writes = h.Registry
	c.Registerer = h.metrics
	if c.Off == nil {
		c.Off = h.off.Load
	}
	c.Prober = func(e registry.Endpoint, _ registry.HealthCheck) (probe.Prober, error) {
		if e.Port == 1 {
			return nil, errors.New("may not be probed")
		}
		return counted{h, h.target(e)}, nil
	}
	var err error
	if h.checker, err = check.New(c); err != nil {
		t.Fatal(err)
	}
	return h
}

// counted keeps how many are tried at once at the most.
type counted struct {
	h *house
	*target
}

func (c counted) Probe(ctx context.Context) error {
	n := c.h.now.Add(1)
	defer c.h.now.Add(-1)
	for {
		if most := c.h.most.Load(); n <= most || c.h.most.CompareAndSwap(most, n) {
			break
		}
	}
	return c.target.Probe(ctx)
}

func (h *house) target(e registry.Endpoint) *target {
	t, _ := h.targets.LoadOrStore(e, &target{})
	return t.(*target)
}

// tries returns how often anything was tried.
func (h *house) tries() (all int64) {
	h.targets.Range(func(_, v any) bool { all += v.(*target).tries.Load(); return true })
	return all
}

// judge runs the Checker until the function it returns is called.
func (h *house) judge() (stop func()) {
	ctx, cancel := context.WithCancel(h.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := h.checker.Run(ctx, h.store.View(), h.writes); err != nil {
			h.t.Errorf("Run = %v, want nil", err)
		}
	})
	synctest.Wait()
	return sync.OnceFunc(func() { cancel(); wg.Wait() })
}

func inBubble(t *testing.T, c check.Config, test func(t *testing.T, h *house)) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, c)
		stop := h.judge()
		defer stop()
		test(t, h)
	})
}

func step(d time.Duration) { time.Sleep(d); synctest.Wait() }

// add registers a persistent instance that is checked by TCP.
func (h *house) add(host string, port uint16) registry.InstanceKey {
	h.t.Helper()
	k := registry.InstanceKey{Service: registry.ServiceKey{Namespace: "public", Group: "DEFAULT_GROUP", Name: "db"},
		Endpoint: registry.Endpoint{Host: host, Port: port}}
	_, err := h.Register(h.t.Context(), registry.Registration{Key: k, Weight: 1, Enabled: true, Healthy: true, Checked: true})
	if err != nil {
		h.t.Fatal(err)
	}
	return k
}

func (h *house) want(k registry.InstanceKey, when string, healthy bool) {
	h.t.Helper()
	if i := h.Snapshot().Instance(k); i.Healthy != healthy {
		h.t.Errorf("%s: healthy = %v, want %v", when, i.Healthy, healthy)
	}
}

func TestStateFlipsAfterTheThresholdAndNotBefore(t *testing.T) {
	inBubble(t, check.Config{}, func(t *testing.T, h *house) {
		k := h.add("10.0.0.1", 80)
		target := h.target(k.Endpoint)
		target.fails.Store(true)
		for n := int64(0); n < 3; step(100 * time.Millisecond) {
			if n = target.tries.Load(); n < 3 {
				h.want(k, fmt.Sprint("after ", n, " failures"), true)
			}
		}
		h.want(k, "after three failures", false)
		if last, ok := h.checker.Last(k); !ok || last.State != probe.Critical || !errors.Is(last.Err, errRefused) || last.Kind != registry.CheckTCP {
			t.Errorf("Last = %+v, %v", last, ok)
		}
		target.fails.Store(false)
		until := target.tries.Load() + 3
		for n := int64(0); n < until; step(100 * time.Millisecond) {
			if n = target.tries.Load(); n < until {
				h.want(k, "before three successes", false)
			}
		}
		h.want(k, "after three successes", true)
	})
}

func TestOneFailureInBetweenChangesNothing(t *testing.T) {
	inBubble(t, check.Config{}, func(t *testing.T, h *house) {
		k := h.add("10.0.0.1", 80)
		step(20 * time.Second)
		commits := h.store.Commits()
		for range 4 {
			h.target(k.Endpoint).fails.Store(true)
			step(9 * time.Second) // one or two tries
			h.target(k.Endpoint).fails.Store(false)
			step(6 * time.Second)
		}
		if n := h.store.Commits() - commits; n != 0 {
			t.Errorf("%d commits, want none", n)
		}
	})
}

func TestAHangingTargetFailsByItsTimeout(t *testing.T) {
	inBubble(t, check.Config{}, func(t *testing.T, h *house) {
		k := h.add("10.0.0.1", 80)
		h.target(k.Endpoint).hangs.Store(true)
		step(20 * time.Second)
		h.want(k, "after 20 s", false)
		if last, _ := h.checker.Last(k); last.Err == nil || last.Err.Error() != "no answer in time: none within 2s" {
			t.Errorf("Last = %+v, want no answer in time", last)
		}
	})
}

func TestChecksFollowTheRoll(t *testing.T) {
	inBubble(t, check.Config{}, func(t *testing.T, h *house) {
		k := h.add("10.0.0.1", 80)
		target := h.target(k.Endpoint)
		step(6 * time.Second)
		if target.tries.Load() == 0 {
			t.Fatal("it is not tried")
		}
		edit := func(c registry.HealthCheck) {
			if _, err := h.UpdateCluster(t.Context(), k.Service, registry.DefaultCluster, registry.Cluster{Check: &c}); err != nil {
				t.Fatal(err)
			}
		}
		edit(registry.HealthCheck{Kind: registry.CheckNone})
		synctest.Wait()
		before := target.tries.Load()
		step(time.Minute)
		if n := target.tries.Load() - before; n != 0 {
			t.Errorf("%d tries of what is not checked any more", n)
		}
		edit(registry.HealthCheck{Kind: registry.CheckTCP, Interval: time.Second, Fall: 1})
		step(6 * time.Second)
		if n := target.tries.Load() - before; n < 4 {
			t.Errorf("%d tries in 6 s of what is checked every second", n)
		}
		target.fails.Store(true)
		step(1200 * time.Millisecond)
		h.want(k, "with a threshold of one", false)
		if _, err := h.Withdraw(t.Context(), k); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		before = target.tries.Load()
		step(time.Minute)
		if n := target.tries.Load() - before; n != 0 {
			t.Errorf("%d tries of what is gone", n)
		}
		if _, ok := h.checker.Last(k); ok {
			t.Error("something is known of what is gone")
		}
	})
}

// What a guard refuses, or what cannot be tried, fails like any other.
func TestWhatMayNotBeProbedFails(t *testing.T) {
	inBubble(t, check.Config{}, func(t *testing.T, h *house) {
		k := h.add("10.0.0.1", 1)
		step(20 * time.Second)
		h.want(k, "after 20 s", false)
		if last, _ := h.checker.Last(k); last.Err == nil || last.Err.Error() != "may not be probed" {
			t.Errorf("Last = %+v", last)
		}
	})
}

// A verdict that another judge left is put right, not believed.
func TestANewJudgeTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, check.Config{})
		stop := h.judge()
		k := h.add("10.0.0.1", 80)
		h.target(k.Endpoint).fails.Store(true)
		step(20 * time.Second)
		h.want(k, "under the first judge", false)
		stop()
		h.target(k.Endpoint).fails.Store(false)
		step(time.Minute)
		h.want(k, "under no judge", false)
		stop = h.judge()
		defer stop()
		step(20 * time.Second)
		h.want(k, "under the second judge", true)
	})
}

// What a check leaves open may change while it runs.
func TestWhatIsLeftOpenIsFilledInAnew(t *testing.T) {
	var fall atomic.Int64
	fall.Store(100)
	fill := func(c registry.HealthCheck) registry.HealthCheck {
		c.Fall = int(fall.Load())
		return c.WithDefaults()
	}
	inBubble(t, check.Config{Fill: fill}, func(t *testing.T, h *house) {
		k := h.add("10.0.0.1", 80)
		h.target(k.Endpoint).fails.Store(true)
		step(time.Minute)
		h.want(k, "after a minute of failures, of which 100 are needed", true)
		fall.Store(1)
		step(15 * time.Second)
		h.want(k, "once one is enough", false)
	})
}

// That this host could not try says nothing of the target.
func TestWhatCouldNotBeTriedDoesNotCount(t *testing.T) {
	inBubble(t, check.Config{}, func(t *testing.T, h *house) {
		k := h.add("10.0.0.1", 80)
		h.target(k.Endpoint).untried.Store(true)
		step(time.Minute)
		h.want(k, "after a minute without a try", true)
	})
}

func TestNobodyIsTriedWhileOff(t *testing.T) {
	inBubble(t, check.Config{}, func(t *testing.T, h *house) {
		h.off.Store(true)
		k := h.add("10.0.0.1", 80)
		step(time.Minute)
		if n := h.target(k.Endpoint).tries.Load(); n != 0 {
			t.Errorf("%d tries while off", n)
		}
		h.off.Store(false)
		step(6 * time.Second)
		if h.target(k.Endpoint).tries.Load() == 0 {
			t.Error("no try after it was on again")
		}
	})
}

func TestTriesAtOnceAreBounded(t *testing.T) {
	inBubble(t, check.Config{InFlight: 7}, func(t *testing.T, h *house) {
		for n := range 50 {
			k := h.add("10.0.0.1", uint16(1000+n))
			h.target(k.Endpoint).hangs.Store(true)
		}
		step(time.Minute)
		if most := h.most.Load(); most != 7 {
			t.Errorf("%d tries at once, want 7", most)
		}
		if n := testutil.ToFloat64(gauge(t, h.metrics, "muster_check_instances")); n != 50 {
			t.Errorf("muster_check_instances = %v, want 50", n)
		}
	})
}

// gauge returns a metric as a collector of its own.
func gauge(t *testing.T, r *prometheus.Registry, name string) prometheus.Collector {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name})
	for _, f := range families {
		if f.GetName() == name {
			g.Set(f.GetMetric()[0].GetGauge().GetValue())
		}
	}
	return g
}

// The tries of many are spread, and each keeps its distance.
func TestTriesStayOnSchedule(t *testing.T) {
	inBubble(t, check.Config{}, func(t *testing.T, h *house) {
		for n := range 2000 {
			h.add(fmt.Sprintf("10.0.%d.%d", n/250, n%250), 80)
		}
		step(10 * time.Second)
		before := h.tries()
		step(50 * time.Second)
		if n := h.tries() - before; n < 19000 || n > 21000 {
			t.Errorf("%d tries in 50 s, want 20000 give or take a twentieth", n)
		}
		if most := h.most.Load(); most > 200 {
			t.Errorf("%d tries at once of those that answer at once", most)
		}
	})
}

// A host that stood still does not try all at once when it goes on, nor anyone twice.
func TestTriesKeepTheirPlacesOverAPause(t *testing.T) {
	var pause atomic.Int64
	off := func() bool { time.Sleep(time.Duration(pause.Swap(0))); return false } // asked by the loop
	inBubble(t, check.Config{Off: off}, func(t *testing.T, h *house) {
		for n := range 1000 {
			h.add(fmt.Sprintf("10.0.%d.%d", n/250, n%250), 80)
		}
		step(10 * time.Second)
		pause.Store(int64(time.Minute))
		step(time.Minute + 100*time.Millisecond)
		before := h.tries()
		for range 50 {
			was := h.tries()
			step(100 * time.Millisecond)
			if n := h.tries() - was; n > 60 {
				t.Errorf("%d tries in a tenth of a second, want 20 or so", n)
			}
		}
		if n := h.tries() - before; n < 900 || n > 1100 {
			t.Errorf("%d tries in the 5 s after the pause, want 1000 give or take a tenth", n)
		}
	})
}

// A verdict that waited until it was out of date is not written.
func TestAVerdictThatIsOutOfDateIsNotWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, check.Config{Writers: 1})
		slow := &slowRegistry{Registry: h.Registry, hold: make(chan struct{})}
		h.writes = slow
		stop := h.judge()
		defer stop()
		first, second := h.add("10.0.0.1", 80), h.add("10.0.0.2", 80)
		h.target(first.Endpoint).fails.Store(true)
		step(20 * time.Second) // its verdict is held up
		h.target(second.Endpoint).fails.Store(true)
		step(20 * time.Second) // waits behind it
		h.target(second.Endpoint).fails.Store(false)
		step(20 * time.Second)
		close(slow.hold)
		step(20 * time.Second)
		h.want(first, "which fails", false)
		h.want(second, "which failed for a while", true)
		if n := slow.failed.Load(); n != 1 {
			t.Errorf("%d verdicts of failure, want that of the first", n)
		}
	})
}

// slowRegistry writes no verdict until hold is closed.
type slowRegistry struct {
	*registry.Registry

	hold   chan struct{}
	failed atomic.Int64
}

func (s *slowRegistry) Failed(_ context.Context, k registry.InstanceKey, check, why string) (registry.Receipt, error) {
	s.failed.Add(1)
	<-s.hold
	return s.Registry.Failed(context.Background(), k, check, why)
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, check.Config{})
		if problems, err := testutil.GatherAndLint(h.metrics); err != nil || len(problems) > 0 {
			t.Errorf("lint: %v, %v", problems, err)
		}
		if _, err := check.New(check.Config{Prober: func(registry.Endpoint, registry.HealthCheck) (probe.Prober, error) { return nil, nil }, Registerer: h.metrics}); err == nil {
			t.Error("New with metrics that are registered already = nil, want an error")
		}
		if _, err := check.New(check.Config{}); err == nil {
			t.Error("New without a Prober = nil, want an error")
		}
	})
}
