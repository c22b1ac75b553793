package relay_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/relay"
)

func TestTake(t *testing.T) {
	batch := relay.Batch{From: "b", Witnesses: []string{"http/x", "http/y"}}
	passedOn := relay.Batch{From: "b", Relayed: true, Witnesses: batch.Witnesses}
	tests := []struct {
		name    string
		at      string
		fault   func(w *world)
		batch   relay.Batch
		want    relay.Answer // without its reason
		reason  string
		reaches bool
	}{
		{"the judge", "c", nil, batch, relay.Answer{Accepted: true, Judge: "c"}, "", true},
		{"the judge, etcd away", "c", func(w *world) { w.etcdGone["c"] = true }, batch, relay.Answer{Accepted: true, Judge: "c", Away: true}, "", true},
		{"the judge, passed on", "c", nil, passedOn, relay.Answer{Accepted: true, Judge: "c"}, "", true},
		{"another", "a", nil, batch, relay.Answer{Accepted: true, Judge: "c"}, "", true},
		{"another, etcd away", "a", func(w *world) { w.etcdGone["a"] = true }, batch, relay.Answer{Accepted: true, Judge: "c", Away: true}, "", true},
		{"another, passed on", "a", nil, passedOn, relay.Answer{Judge: "c"}, "does not judge", false},
		{"another, the judge gone", "a", func(w *world) { w.gone["c"] = true }, batch, relay.Answer{Accepted: true, Judge: "c"}, "", true},
		{"another, the judge hangs", "a", func(w *world) { w.stopped["c"] = true }, batch, relay.Answer{Judge: "c"}, "too long", false},
		{"another, the judge and etcd gone", "a", func(w *world) { w.gone["c"], w.etcdGone["a"] = true, true }, batch,
			relay.Answer{Judge: "c", Away: true}, "connection refused", false},
		{"nobody judges", "a", func(w *world) { w.judge = "" }, batch, relay.Answer{Accepted: true}, "", false},
		{"nobody judges, etcd away", "a", func(w *world) {
			w.judge, w.etcdGone["a"] = "", true
		}, batch, relay.Answer{Judge: "c", Away: true}, "does not judge", false},
		{"an empty batch asks the judge", "c", nil, relay.Batch{From: "b"}, relay.Answer{Accepted: true, Judge: "c"}, "", false},
		{"an empty batch asks another", "a", nil, relay.Batch{From: "b"}, relay.Answer{Accepted: true, Judge: "c"}, "", false},
		{"too many", "c", nil, relay.Batch{Witnesses: slices.Repeat([]string{"http/x"}, relay.MaxBatch+1)}, relay.Answer{Judge: "c"}, "20001 witnesses", false},
		{"as many as are taken", "c", nil, relay.Batch{Witnesses: slices.Repeat([]string{"http/x"}, relay.MaxBatch)},
			relay.Answer{Accepted: true, Judge: "c"}, "", true},
		{"a witness without a name", "c", nil, relay.Batch{Witnesses: []string{"http/x", ""}}, relay.Answer{Judge: "c"}, "witness 2 of the batch is missing", false},
		{"a witness that is too long", "c", nil, relay.Batch{Witnesses: []string{"http/x", strings.Repeat("y", 1025)}},
			relay.Answer{Judge: "c"}, "witness 2 of the batch is longer than 1024 bytes", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				step(time.Second)
				if test.fault != nil {
					w.set(func() { test.fault(w) })
				}
				began := time.Now()
				got := w.nodes[test.at].relay.Take(w.t.Context(), test.batch)
				if took := time.Since(began); took > 350*time.Millisecond {
					t.Errorf("Take took %v", took)
				}
				if !strings.Contains(got.Reason, test.reason) || (got.Reason == "") != (test.reason == "") {
					t.Errorf("Take says %q, want %q", got.Reason, test.reason)
				}
				if got.Reason = ""; got != test.want {
					t.Errorf("Take = %+v, want %+v", got, test.want)
				}
				if reached := w.reached("http/x", began); reached != test.reaches {
					t.Errorf("reached the judge: %v, want %v", reached, test.reaches)
				}
			})
		})
	}
}

// A server that cannot pass word on is refused at once when it is known to be so.
func TestTakeWithoutAWayIsRefusedAtOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		w.set(func() { w.stopped["c"], w.etcdGone["a"] = true, true })
		if _, err := w.beat("a", "http/z", 2*time.Second); err != nil {
			t.Fatal(err)
		}
		for _, b := range []relay.Batch{{From: "b"}, {From: "b", Witnesses: []string{"http/x"}}} {
			began := time.Now()
			a := w.nodes["a"].relay.Take(w.t.Context(), b)
			if time.Since(began) > 0 || a.Accepted || !a.Away || !strings.Contains(a.Reason, "neither") {
				t.Errorf("Take of %d = %+v after %v, want a refusal at once", len(b.Witnesses), a, time.Since(began))
			}
		}
	})
}

// The judge was deposed and does not know the next one yet: what is sent to it
// still arrives.
func TestJudgeThatWasPassesOn(t *testing.T) {
	inWorld(t, func(w *world) {
		step(time.Second)
		w.set(func() { w.etcdGone["a"], w.judge = true, "b" }) // a goes on to think it is c
		since := time.Now()
		if err := w.nodes["a"].relay.Heard("http/x"); err != nil {
			t.Fatal(err)
		}
		step(time.Second)
		if !w.reached("http/x", since) {
			t.Error("what was sent to the judge that was did not reach the judge that is")
		}
	})
}

func TestTakeBeforeRun(t *testing.T) {
	w := newWorld(t)
	n := &node{id: "a", world: w}
	r, err := relay.New(relay.Config{Local: n, Cluster: n.cluster})
	if err != nil {
		t.Fatal(err)
	}
	if a := r.Take(w.t.Context(), relay.Batch{Witnesses: []string{"http/x"}}); a.Accepted || a.Reason == "" {
		t.Errorf("Take before Run = %+v, want a refusal with a reason", a)
	}
}

func TestWhatWaitsIsBounded(t *testing.T) {
	inWorld(t, func(w *world) {
		r := w.nodes["a"].relay
		r.Bound(10, 1000)
		w.set(func() { w.judge = "" })
		step(time.Second)
		for i := range 10 {
			if err := r.Heard(fmt.Sprint("http/", i)); err != nil {
				t.Errorf("Heard = %v, want nil", err)
			}
		}
		if err := r.Heard("http/10"); !errors.Is(err, registry.ErrUnavailable) || !strings.Contains(err.Error(), "too many") {
			t.Errorf("Heard of one more = %v, want ErrUnavailable that says why", err)
		}
		if err := r.Heard("http/3"); err != nil {
			t.Errorf("Heard of one that waits = %v, want nil", err)
		}
		if a := r.Take(w.t.Context(), relay.Batch{Witnesses: slices.Repeat([]string{"http/x"}, 20)}); !a.Accepted {
			t.Errorf("Take = %+v, want other servers to have room of their own", a)
		}
		w.set(func() { w.judge = "b" })
		since := time.Now()
		step(time.Second)
		for i := range 10 {
			if v := fmt.Sprint("http/", i); !w.reached(v, since) {
				t.Errorf("%s did not reach the judge", v)
			}
		}
		if err := r.Heard("http/10"); err != nil {
			t.Errorf("Heard = %v when there is room again, want nil", err)
		}
	})
}

func TestBytesThatWaitAreBounded(t *testing.T) {
	inWorld(t, func(w *world) {
		r := w.nodes["a"].relay
		r.Bound(10, 1000)
		w.set(func() { w.judge = "" })
		step(time.Second)
		if err := r.Heard(strings.Repeat("x", 999)); err != nil {
			t.Errorf("Heard = %v, want nil", err)
		}
		if err := r.Heard("yy"); !errors.Is(err, registry.ErrUnavailable) {
			t.Errorf("Heard = %v with 999 of 1000 bytes taken, want ErrUnavailable", err)
		}
		if err := r.Heard("z"); err != nil {
			t.Errorf("Heard = %v of one that fits in, want nil", err)
		}
	})
}

func TestManyWitnessesGoInBatches(t *testing.T) {
	inWorld(t, func(w *world) {
		const many = 50_000
		for i := range many {
			if err := w.nodes["a"].relay.Heard(fmt.Sprint("http/", i)); err != nil {
				t.Fatal(err)
			}
		}
		since := time.Now()
		step(time.Second)
		sent, most := 0, 0
		for _, p := range w.posts {
			sent, most = sent+p.n, max(most, p.n)
		}
		if sent != many || most > 20_000 {
			t.Errorf("sent %d witnesses in batches of at most %d, want %d of 20000", sent, most, many)
		}
		for i := range many {
			if v := fmt.Sprint("http/", i); !w.reached(v, since) {
				t.Fatalf("%s did not reach the judge", v)
			}
		}
	})
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		metrics := prometheus.NewPedanticRegistry()
		w := newWorld(t)
		n := &node{id: "a", world: w}
		c := relay.Config{Local: n, Cluster: func() relay.Cluster { return relay.Cluster{Self: "a", Judge: "c"} }, Mail: n.mail, Registerer: metrics}
		r, err := relay.New(c)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = r.Run(ctx) })
		synctest.Wait()
		for _, v := range []string{"http/x", "http/y"} {
			if err := r.Heard(v); err != nil {
				t.Error(err)
			}
		}
		step(time.Second)
		w.set(func() { w.etcdGone["a"] = true })
		_ = r.Heard("http/x")
		step(6200 * time.Millisecond)
		want := `
# HELP muster_relay_batches_total Batches of witnesses by way and outcome; ask is an empty one to a server that took none.
# TYPE muster_relay_batches_total counter
muster_relay_batches_total{outcome="accepted",way="mailbox"} 1
muster_relay_batches_total{outcome="failed",way="mailbox"} 3
# HELP muster_relay_beats_total Witnesses whose word was delivered, by way: local, judge, relay (another server), mailbox (in etcd).
# TYPE muster_relay_beats_total counter
muster_relay_beats_total{way="judge"} 0
muster_relay_beats_total{way="local"} 0
muster_relay_beats_total{way="mailbox"} 2
muster_relay_beats_total{way="relay"} 0
# HELP muster_relay_failing_seconds Time since which nothing could be delivered, in seconds; 0 while delivery works.
# TYPE muster_relay_failing_seconds gauge
muster_relay_failing_seconds 5
# HELP muster_relay_pending_witnesses Witnesses that wait to be delivered to the server that judges.
# TYPE muster_relay_pending_witnesses gauge
muster_relay_pending_witnesses 1
`
		if err := testutil.GatherAndCompare(metrics, strings.NewReader(want)); err != nil {
			t.Error(err)
		}
		if err := r.Heard("http/x"); !errors.Is(err, registry.ErrUnavailable) || !strings.Contains(err.Error(), "mailbox") {
			t.Errorf("Heard = %v when the only way fails for long, want ErrUnavailable that names it", err)
		}
		if problems, err := testutil.GatherAndLint(metrics); err != nil || len(problems) > 0 {
			t.Errorf("lint: %v, %v", problems, err)
		}
		if _, err := relay.New(c); err == nil {
			t.Error("New with metrics that are registered already = nil, want an error")
		}
		cancel()
		running.Wait()
	})
}
