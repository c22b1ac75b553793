package sweep_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/registry/registrytest"
	"github.com/musterhq/muster/server/sweep"
)

func TestSilenceThenRemoval(t *testing.T) {
	tests := []struct {
		name              string
		metadata          map[string]string
		unhealthy, delete time.Duration // unhealthy 0: goes without being silent first
	}{
		{"defaults", nil, 15 * time.Second, 30 * time.Second},
		{"own times", map[string]string{
			registry.MetaBeatInterval: "1000", registry.MetaBeatTimeout: "3000", registry.MetaDeleteAfter: "9000",
		}, 3 * time.Second, 9 * time.Second},
		{"own delete timeout alone", map[string]string{registry.MetaDeleteAfter: "120000"}, 15 * time.Second, 2 * time.Minute},
		{"removed sooner than unhealthy", map[string]string{
			registry.MetaBeatTimeout: "60000", registry.MetaDeleteAfter: "7000",
		}, 0, 7 * time.Second},
		{"removed when unhealthy", map[string]string{
			registry.MetaBeatTimeout: "7000", registry.MetaDeleteAfter: "7000",
		}, 0, 7 * time.Second},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(h *house) {
				k := endpoint("order-api", "192.0.2.1")
				h.register(k, test.metadata)
				start := time.Now()
				if test.unhealthy > 0 {
					step(test.unhealthy - slack/2)
					h.want(k, healthy, "before the unhealthy timeout")
					step(slack)
					h.want(k, silent, "after the unhealthy timeout")
				}
				step(test.delete - slack/2 - time.Since(start))
				if got := h.state(k); got == gone {
					h.t.Fatalf("gone %v after the last sign of life, want %v", time.Since(start), test.delete)
				}
				step(slack)
				h.want(k, gone, "after the delete timeout")
			})
		})
	}
}

func TestBeatsKeepAliveAndWriteNothing(t *testing.T) {
	inBubble(t, func(h *house) {
		k, member := endpoint("order-api", "192.0.2.1"), endpoint("order-api", "192.0.2.2")
		h.register(k, nil)
		h.declare("host-1", "a", beating(member, nil))
		before := h.store.Commits()
		for range 100 {
			step(5 * time.Second)
			h.beat(k)
			h.beatAgent("host-1", "a")
		}
		h.want(k, healthy, "beating")
		h.want(member, healthy, "beating")
		if wrote := h.store.Commits() - before; wrote != 0 {
			h.t.Errorf("100 beats wrote %d times, want none", wrote)
		}
	})
}

func TestRegistrationCountsAsABeat(t *testing.T) {
	for _, test := range []struct {
		name   string
		weight func(round int) float64
	}{
		{"the same again", func(int) float64 { return 1 }},
		{"changed", func(round int) float64 { return float64(1 + round) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(h *house) {
				k := endpoint("order-api", "192.0.2.1")
				for round := range 5 {
					r := beating(k, nil)
					r.Weight = test.weight(round)
					if _, err := h.Register(h.t.Context(), r); err != nil {
						h.t.Fatal(err)
					}
					step(14 * time.Second)
					h.want(k, healthy, "within the timeout of a registration")
				}
			})
		})
	}
}

func TestBeatAfterSilence(t *testing.T) {
	inBubble(t, func(h *house) {
		k, member := endpoint("order-api", "192.0.2.1"), endpoint("order-api", "192.0.2.2")
		h.register(k, nil)
		h.declare("host-1", "a", beating(member, nil))
		for range 3 {
			step(20 * time.Second)
			h.want(k, silent, "after 20 s")
			h.want(member, silent, "after 20 s")
			h.beat(k)
			h.beatAgent("host-1", "a")
			h.want(k, healthy, "after a beat")
			h.want(member, healthy, "after a beat")
		}
		step(14 * time.Second)
		h.want(k, healthy, "14 s after the beat")
		step(2 * time.Second)
		h.want(k, silent, "16 s after the beat")
		step(12 * time.Second)
		h.want(k, silent, "28 s after the beat")
		step(3 * time.Second)
		h.want(k, gone, "31 s after the beat")
		h.want(member, gone, "31 s after the beat")
	})
}

// A verdict that is taken back by a registration, on this server or another, is
// only seen in the snapshot.
func TestRegistrationAfterSilence(t *testing.T) {
	inBubble(t, func(h *house) {
		k := endpoint("order-api", "192.0.2.1")
		h.register(k, nil)
		step(25 * time.Second)
		h.want(k, silent, "after 25 s")
		h.register(k, nil)
		h.want(k, healthy, "registered again")
		step(14 * time.Second)
		h.want(k, healthy, "14 s later")
	})
}

func TestAgentIsJudgedByClass(t *testing.T) {
	inBubble(t, func(h *house) {
		usual, other := endpoint("usual", "192.0.2.1"), endpoint("other", "192.0.2.1")
		slow := endpoint("slow", "192.0.2.1")
		h.declare("host-1", "a", beating(usual, nil), beating(other, nil),
			beating(slow, map[string]string{registry.MetaBeatTimeout: "40000", registry.MetaDeleteAfter: "80000"}))
		if rows, _ := h.sweeper.Rows(); rows != 0 {
			h.t.Errorf("%d rows before the next tick, want none", rows)
		}
		before := h.store.Commits()
		step(16 * time.Second)
		if rows, _ := h.sweeper.Rows(); rows != 2 {
			h.t.Errorf("%d rows for one agent of two classes, want 2", rows)
		}
		h.want(usual, silent, "after 16 s")
		h.want(other, silent, "after 16 s")
		h.want(slow, healthy, "after 16 s")
		if wrote := h.store.Commits() - before; wrote != 1 {
			h.t.Errorf("%d writes for two instances that fell silent together, want 1", wrote)
		}
		step(15 * time.Second)
		h.want(usual, gone, "after 31 s")
		h.want(slow, healthy, "after 31 s")
		step(10 * time.Second)
		h.want(slow, silent, "after 41 s")
		if h.Snapshot().Agent("host-1") == nil {
			h.t.Errorf("the agent is gone after 41 s, want it kept as long as an instance")
		}
		step(40 * time.Second)
		h.want(slow, gone, "after 81 s")
		if h.Snapshot().Agent("host-1") != nil {
			h.t.Errorf("the agent outlived its last instance")
		}
		if rows, _ := h.sweeper.Rows(); rows != 0 {
			h.t.Errorf("%d rows with nobody on the roll, want none", rows)
		}
	})
}

func TestAgentWithoutInstances(t *testing.T) {
	inBubble(t, func(h *house) {
		known := func() bool { return h.Snapshot().Agent("host-1") != nil }
		h.declare("host-1", "a")
		for range 10 {
			step(10 * time.Second)
			h.beatAgent("host-1", "a")
		}
		step(29 * time.Second)
		if !known() {
			h.t.Fatal("an empty agent is gone before the delete timeout")
		}
		h.declare("host-1", "b") // a new incarnation is a sign of life
		step(29 * time.Second)
		if !known() {
			h.t.Fatal("an agent that declared anew is gone before the delete timeout")
		}
		step(2 * time.Second)
		if known() {
			h.t.Error("an empty agent outlived the delete timeout")
		}
	})
}

func TestAgentOfManyInstancesIsRemovedWhole(t *testing.T) {
	inBubble(t, func(h *house) {
		var set []registry.Registration
		for i := range 300 {
			set = append(set, beating(endpoint("service-"+fmt.Sprint(i%7), "192.0.2."+fmt.Sprint(i%250)), nil))
			set[i].Key.Endpoint.Port = uint16(i)
		}
		h.declare("host-1", "a", set...)
		step(31 * time.Second)
		if _, instances, agents := h.Snapshot().Counts(); instances != 0 || agents != 0 {
			h.t.Errorf("%d instances and %d agents after the delete timeout, want none", instances, agents)
		}
	})
}

func TestInstanceThatMovesToAnAgent(t *testing.T) {
	inBubble(t, func(h *house) {
		k := endpoint("order-api", "192.0.2.1")
		h.register(k, nil)
		step(10 * time.Second)
		h.declare("host-1", "a", beating(k, nil))
		for range 10 {
			step(5 * time.Second)
			h.beatAgent("host-1", "a")
		}
		h.want(k, healthy, "its agent beats")
		if rows, places := h.sweeper.Rows(); rows != 1 || places > 2 {
			h.t.Errorf("Rows() = %d in %d places, want the agent's alone", rows, places)
		}
	})
}

func TestRowsAreUsedAgain(t *testing.T) {
	inBubble(t, func(h *house) {
		for i := range 50 {
			k := endpoint("order-api", "192.0.2."+fmt.Sprint(i))
			h.register(k, map[string]string{registry.MetaBeatTimeout: fmt.Sprint(20000 + i)})
			step(time.Second)
			if _, err := h.Deregister(h.t.Context(), k, true); err != nil {
				h.t.Fatal(err)
			}
			step(time.Second)
		}
		if rows, places := h.sweeper.Rows(); rows != 0 || places != 1 {
			h.t.Errorf("Rows() = %d in %d places after one instance at a time, want 0 in 1", rows, places)
		}
	})
}

func TestNobodyIsHeardWhileNobodyJudges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, sweep.Config{})
		k := endpoint("order-api", "192.0.2.1")
		h.register(k, nil) // a commit, which whoever judges will see
		_, err := h.Beat(t.Context(), k, nil)
		if !errors.Is(err, registry.ErrUnavailable) || !strings.Contains(err.Error(), "does not judge") {
			t.Errorf("Beat before Run = %v, want ErrUnavailable that says why", err)
		}
		h.judge()
		h.beat(k)
		h.stop()
		if err := h.sweeper.Heard("http/x"); !errors.Is(err, registry.ErrUnavailable) {
			t.Errorf("Heard after Run = %v, want ErrUnavailable", err)
		}
		if rows, _ := h.sweeper.Rows(); rows != 0 {
			t.Errorf("%d rows kept after Run, want none", rows)
		}
	})
}

func TestNewJudgeStartsFullTimers(t *testing.T) {
	inBubble(t, func(h *house) {
		fresh, lost := endpoint("order-api", "192.0.2.1"), endpoint("order-api", "192.0.2.2")
		h.register(lost, nil)
		step(6 * time.Second)
		h.register(fresh, nil)
		step(10 * time.Second)
		h.want(lost, silent, "after 16 s")
		step(4 * time.Second)
		h.stop() // fresh had 1 s left, lost 10 s
		step(time.Hour)
		h.judge()
		step(14 * time.Second)
		h.want(fresh, healthy, "14 s under the new judge")
		h.want(lost, silent, "14 s under the new judge")
		step(2 * time.Second)
		h.want(fresh, silent, "16 s under the new judge")
		step(13 * time.Second)
		h.want(lost, silent, "29 s under the new judge")
		step(2 * time.Second)
		h.want(lost, gone, "31 s under the new judge")
		h.want(fresh, gone, "31 s under the new judge")
	})
}

func TestRunWaitsForTheFirstSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := sweep.New(sweep.Config{})
		if err != nil {
			t.Fatal(err)
		}
		store := registrytest.NewStore()
		var view registry.View
		done := make(chan error)
		go func() { done <- s.Run(t.Context(), &view, registry.New(store, s)) }()
		step(time.Minute)
		if err := s.Heard("http/x"); !errors.Is(err, registry.ErrUnavailable) {
			t.Errorf("Heard before the first snapshot = %v, want ErrUnavailable", err)
		}
		view.Publish(store.View().Snapshot())
		synctest.Wait()
		if err := s.Heard("http/x"); err != nil {
			t.Errorf("Heard after the first snapshot = %v, want nil", err)
		}
		t.Cleanup(func() {
			if err := <-done; err != nil {
				t.Errorf("Run = %v, want nil", err)
			}
		})
	})
}

func TestTombstonesAreBuried(t *testing.T) {
	inBubble(t, func(h *house) {
		k := endpoint("order-api", "192.0.2.1")
		late := func() {
			if _, err := h.Beat(h.t.Context(), k, new(beating(k, nil))); err != nil {
				h.t.Fatal(err)
			}
		}
		leave := func() {
			h.register(k, nil)
			if _, err := h.Deregister(h.t.Context(), k, true); err != nil {
				h.t.Fatal(err)
			}
		}
		leave()
		step(9 * time.Second)
		leave() // a new tombstone, with all its time
		step(9 * time.Second)
		late()
		h.want(k, gone, "a late full beat within two beat periods")
		step(3 * time.Second)
		for range h.Snapshot().Tombstones() {
			h.t.Error("a tombstone stands after its time")
		}
		late()
		h.want(k, healthy, "a full beat after that")
	})
}

func TestOverridesAreForgotten(t *testing.T) {
	inBubble(t, func(h *house) {
		comes, stays, leaves := endpoint("order-api", "192.0.2.1"), endpoint("order-api", "192.0.2.2"), endpoint("order-api", "192.0.2.3")
		for _, k := range []registry.InstanceKey{comes, stays, leaves} {
			h.register(k, nil)
			if _, err := h.Override(h.t.Context(), k, registry.Edit{Weight: new(7.0)}); err != nil {
				h.t.Fatal(err)
			}
		}
		for _, k := range []registry.InstanceKey{comes, leaves} {
			if _, err := h.Deregister(h.t.Context(), k, true); err != nil {
				h.t.Fatal(err)
			}
		}
		wait := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); step(time.Second) {
				h.beat(stays)
				if h.state(comes) != gone {
					h.beat(comes)
				}
			}
		}
		wait(55 * time.Second)
		h.register(comes, nil)
		if got := h.Snapshot().Instance(comes).Weight; got != 7 {
			h.t.Errorf("weight of an instance that came back within a minute = %v, want the operator's 7", got)
		}
		wait(10 * time.Second)
		for _, test := range []struct {
			name string
			key  registry.InstanceKey
			want bool
		}{{"gone for over a minute", leaves, false}, {"came back", comes, true}, {"never left", stays, true}} {
			if got := h.Snapshot().Override(test.key) != nil; got != test.want {
				h.t.Errorf("override of an instance that %s stands: %v, want %v", test.name, got, test.want)
			}
		}
	})
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := prometheus.NewPedanticRegistry()
		h := newHouse(t, sweep.Config{Registerer: r})
		h.judge()
		h.register(endpoint("order-api", "192.0.2.1"), nil)
		h.declare("host-1", "a")
		step(20 * time.Second)
		want := `
# HELP muster_sweep_rows Deadlines kept: one for each witness and pair of timeouts, 0 on a server that does not judge.
# TYPE muster_sweep_rows gauge
muster_sweep_rows 2
# HELP muster_sweep_verdicts_total Verdicts written, by what they say: silent, removed, buried (a tombstone), forgotten (an override), cleared (an empty service), freed (a DNS name), dropped (a verdict on a connection that holds nothing).
# TYPE muster_sweep_verdicts_total counter
muster_sweep_verdicts_total{verdict="buried"} 0
muster_sweep_verdicts_total{verdict="cleared"} 0
muster_sweep_verdicts_total{verdict="forgotten"} 0
muster_sweep_verdicts_total{verdict="dropped"} 0
muster_sweep_verdicts_total{verdict="freed"} 0
muster_sweep_verdicts_total{verdict="removed"} 0
muster_sweep_verdicts_total{verdict="silent"} 2
`
		if err := testutil.GatherAndCompare(r, strings.NewReader(want), "muster_sweep_rows", "muster_sweep_verdicts_total"); err != nil {
			t.Error(err)
		}
		if problems, err := testutil.GatherAndLint(r); err != nil || len(problems) > 0 {
			t.Errorf("lint: %v, %v", problems, err)
		}
		h.stop()
		if _, err := sweep.New(sweep.Config{Registerer: r}); err == nil {
			t.Error("New with metrics that are registered already = nil, want an error")
		}
	})
}

// A service that came with its instances goes a minute after the last of them;
// one that was declared stays, and so does one whose instances come back.
func TestEmptyServicesAreCleared(t *testing.T) {
	inBubble(t, func(h *house) {
		gone, back, declared := endpoint("gone", "192.0.2.1"), endpoint("back", "192.0.2.1"), endpoint("declared", "192.0.2.1")
		if _, err := h.CreateService(h.t.Context(), declared.Service, registry.ServiceSpec{Ephemeral: new(true)}); err != nil {
			h.t.Fatal(err)
		}
		leave := func(k registry.InstanceKey) {
			if _, err := h.Deregister(h.t.Context(), k, true); err != nil {
				h.t.Fatal(err)
			}
		}
		for _, k := range []registry.InstanceKey{gone, back, declared} {
			h.register(k, nil)
			leave(k)
		}
		step(50 * time.Second)
		h.register(back, nil)
		leave(back)
		there := func(want ...registry.InstanceKey) {
			h.t.Helper()
			if got := len(h.Snapshot().Services()); got != len(want) {
				h.t.Errorf("%d services stand, want %d", got, len(want))
			}
			for _, k := range want {
				if h.Snapshot().Service(k.Service) == nil {
					h.t.Errorf("%s is gone", k.Service)
				}
			}
		}
		there(gone, back, declared)
		step(15 * time.Second)
		there(back, declared)
		step(50 * time.Second)
		there(declared)
	})
}

// What an operator pinned outlives its instance.
func TestPinnedOverridesStay(t *testing.T) {
	inBubble(t, func(h *house) {
		k := endpoint("order-api", "192.0.2.1")
		h.register(k, nil)
		if _, err := h.Override(h.t.Context(), k, registry.Edit{Enabled: new(false), Pinned: new(true)}); err != nil {
			h.t.Fatal(err)
		}
		if _, err := h.Deregister(h.t.Context(), k, true); err != nil {
			h.t.Fatal(err)
		}
		step(10 * time.Minute)
		h.register(k, nil)
		if i := h.Snapshot().Instance(k); i.Enabled {
			h.t.Error("an instance that came back late does not find what was pinned")
		}
	})
}
