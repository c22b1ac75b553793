package relay_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/relay"
)

// What Heard says and whether word arrives, for every row of the table in the
// package's doc and every fault of a server, of the network and of etcd.
func TestFaults(t *testing.T) {
	const always, soon, late = 300 * time.Millisecond, 1900 * time.Millisecond, time.Hour
	all := func(w *world) { w.etcdGone["a"], w.etcdGone["b"], w.etcdGone["c"] = true, true, true }
	tests := []struct {
		name    string
		fault   func(w *world)
		within  time.Duration // in which every beat at a reaches the judge
		refused string        // what the error says after 10 s, empty: there is none
	}{
		{"none", func(*world) {}, always, ""},
		{"the judge hangs", func(w *world) { w.stopped["c"] = true }, soon, ""},
		{"the judge is gone", func(w *world) { w.gone["c"] = true }, soon, ""},
		{"the judge is gone, from the list too", func(w *world) { w.gone["c"], w.listed["c"] = true, false }, soon, ""},
		{"another server hangs", func(w *world) { w.stopped["b"] = true }, always, ""},
		{"the judge and another server hang", func(w *world) { w.stopped["b"], w.stopped["c"] = true, true }, soon, ""},
		{"the way to the judge is cut", func(w *world) { w.cut[[2]string{"a", "c"}] = true }, soon, ""},
		{"the way back from the judge is cut", func(w *world) { w.cut[[2]string{"c", "a"}] = true }, soon, ""},
		{"cut off from all servers", func(w *world) { w.isolate("a") }, soon, ""},
		{"nobody judges", func(w *world) { w.judge = "" }, late, ""},
		{"etcd is away", func(w *world) { w.etcdGone["a"] = true }, always, ""},
		{"etcd is away, and the way to the judge is cut", func(w *world) {
			w.etcdGone["a"], w.cut[[2]string{"a", "c"}] = true, true
		}, soon, ""},
		{"etcd is away, and the judge hangs", func(w *world) { w.etcdGone["a"], w.stopped["c"] = true, true }, 4 * time.Second, ""},
		{"etcd is away, and another server judges by now", func(w *world) { w.etcdGone["a"], w.judge = true, "b" }, soon, ""},
		{"etcd is away, and nobody judges", func(w *world) { w.etcdGone["a"], w.judge = true, "" }, late, ""},
		{"cut off from all servers and from etcd", func(w *world) { w.isolate("a"); w.etcdGone["a"] = true }, late, "cut off: etcd does not answer it"},
		{"etcd is away for all", func(w *world) { all(w); w.judge = "" }, late, ""},
		{"etcd is away for all, and one does not answer", func(w *world) { all(w); w.judge = ""; w.stopped["b"] = true }, late, "server b"},
		{"etcd is away for all, and the judge that was is gone", func(w *world) { all(w); w.gone["c"] = true }, late, "server c"},
		{"etcd is away for all that can be reached, one can not", func(w *world) {
			w.isolate("c")
			w.etcdGone["a"], w.etcdGone["b"] = true, true
		}, late, "server c"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				if took, err := w.beat("a", "http/x", 2*time.Second); took > always || err != nil {
					t.Fatalf("before the fault a beat took %v, %v", took, err)
				}
				w.set(func() { test.fault(w) })
				if _, err := w.beat("a", "http/x", 2500*time.Millisecond); err != nil {
					t.Errorf("Heard = %v within 3 s of the fault, want nil", err)
				}
				took, err := w.beat("a", "http/x", 20*time.Second)
				if took > test.within {
					t.Errorf("a beat took %v to reach the judge, want %v at the most", took, test.within)
				}
				wantRefusal(t, err, test.refused)
				w.set(func() { // all is well again, under a new judge
					clear(w.stopped)
					clear(w.cut)
					clear(w.etcdGone)
					clear(w.gone)
					w.judge, w.listed["c"] = "b", true
				})
				since := time.Now()
				step(4 * time.Second)
				if test.within == late && !w.reached("http/x", since) {
					t.Error("what waited did not reach the new judge after the fault")
				}
				if took, err := w.beat("a", "http/x", 5*time.Second); took > always || err != nil {
					t.Errorf("after the fault a beat took %v, %v", took, err)
				}
			})
		})
	}
}

func wantRefusal(t *testing.T, err error, says string) {
	t.Helper()
	switch {
	case says == "" && err != nil:
		t.Errorf("Heard = %v, want nil", err)
	case says != "" && (!errors.Is(err, registry.ErrUnavailable) || !strings.Contains(err.Error(), says)):
		t.Errorf("Heard = %v, want ErrUnavailable that says %q", err, says)
	}
}

// The first beat after the judge stopped: the one that waits longest.
func TestFallbackIsInForceSoon(t *testing.T) {
	inWorld(t, func(w *world) {
		w.set(func() { w.stopped["b"], w.stopped["c"] = true, true })
		if took, err := w.beat("a", "http/x", 4*time.Second); took > 1700*time.Millisecond || err != nil {
			t.Errorf("the first beat took %v, %v, want 1.7 s at the most", took, err)
		}
		if took, err := w.beat("a", "http/x", time.Minute); took > 400*time.Millisecond || err != nil {
			t.Errorf("a later beat took %v, %v, want a server that hangs to cost nothing", took, err)
		}
	})
}

func TestServerThatIsAlone(t *testing.T) {
	inWorld(t, func(w *world) {
		w.set(func() {
			clear(w.listed)
			w.listed["a"], w.judge, w.etcdGone["a"] = true, "", false
		})
		step(time.Second) // it learns of that
		w.set(func() { w.etcdGone["a"] = true })
		if _, err := w.beat("a", "http/x", 10*time.Second); err != nil {
			t.Errorf("Heard = %v with etcd away and no other server, want nil", err)
		}
		w.set(func() { w.etcdGone["a"], w.judge = false, "a" })
		since := time.Now()
		step(time.Second)
		if !w.reached("http/x", since) {
			t.Error("its own judge was not told when it judged again")
		}
	})
}

func TestNewJudgeIsToldWhatWaits(t *testing.T) {
	for _, judge := range []string{"a", "b"} {
		t.Run(judge, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.set(func() { w.judge = "" })
				step(time.Second)
				if err := w.nodes["a"].relay.Heard("http/x"); err != nil {
					t.Errorf("Heard = %v while nobody judges, want nil", err)
				}
				step(10 * time.Second)
				w.set(func() { w.judge = judge })
				since := time.Now()
				step(500 * time.Millisecond)
				if !w.reached("http/x", since) {
					t.Errorf("server %s judges and was not told", judge)
				}
			})
		})
	}
}

// A server that did not answer is tried at once when it becomes the judge.
func TestNewJudgeIsTriedAtOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		w.set(func() { w.stopped["b"], w.stopped["c"] = true, true })
		if _, err := w.beat("a", "http/x", 4*time.Second); err != nil {
			t.Fatal(err)
		}
		w.set(func() { w.stopped["b"], w.judge, w.posts = false, "b", nil })
		if _, err := w.beat("a", "http/x", 500*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		w.set(func() {
			if !slices.Contains(w.posts, post{"a", "b", false, 1}) {
				t.Errorf("posts = %v in half a second under a new judge, want one to it", w.posts)
			}
		})
	})
}

func TestWordIsPassedOnOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		w.set(func() { w.cut[[2]string{"a", "c"}] = true })
		if took, err := w.beat("a", "http/x", 5*time.Second); took > 2*time.Second || err != nil {
			t.Errorf("a beat took %v, %v", took, err)
		}
		w.set(func() {
			passed := 0
			for _, p := range w.posts {
				if p.relayed != (p.from == "b") {
					t.Errorf("%s sent to %s with Relayed = %v", p.from, p.to, p.relayed)
				}
				if p.from == "b" {
					passed++
				}
			}
			if passed == 0 {
				t.Error("b passed nothing on")
			}
		})
	})
}

func TestWitnessesOfOneRoundGoTogether(t *testing.T) {
	inWorld(t, func(w *world) {
		for _, v := range []string{"http/x", "http/y", "http/x", "agent/z", "http/x"} {
			if err := w.nodes["a"].relay.Heard(v); err != nil {
				t.Fatal(err)
			}
		}
		step(300 * time.Millisecond)
		w.set(func() {
			if len(w.posts) != 1 || w.posts[0] != (post{"a", "c", false, 3}) {
				t.Errorf("posts = %v, want one of 3 witnesses from a to c", w.posts)
			}
		})
	})
}

func TestWhatWaitsAtTheEndIsDelivered(t *testing.T) {
	inWorld(t, func(w *world) {
		if err := w.nodes["a"].relay.Heard("http/x"); err != nil {
			t.Fatal(err)
		}
		since := time.Now()
		w.nodes["a"].stop()
		if !w.reached("http/x", since) {
			t.Error("what waited at the end of Run was not delivered")
		}
		if err := w.nodes["a"].relay.Heard("http/x"); !errors.Is(err, registry.ErrUnavailable) {
			t.Errorf("Heard after Run = %v, want ErrUnavailable", err)
		}
		w.nodes["a"].stop = func() {}
	})
}

func TestHeardRefusesBadWitnesses(t *testing.T) {
	inWorld(t, func(w *world) {
		for _, v := range []string{"", strings.Repeat("x", 1025)} {
			if err := w.nodes["a"].relay.Heard(v); !errors.Is(err, registry.ErrInvalid) {
				t.Errorf("Heard(%d bytes) = %v, want ErrInvalid", len(v), err)
			}
		}
		if err := w.nodes["a"].relay.Heard(strings.Repeat("x", 1024)); err != nil {
			t.Errorf("Heard(1024 bytes) = %v, want nil", err)
		}
	})
}

func TestNewDemandsWhatIsRequired(t *testing.T) {
	if _, err := relay.New(relay.Config{}); err == nil {
		t.Error("New without Local and Cluster = nil, want an error")
	}
}

// A relay without Post and Mail, as of a server that has no others, with a judge
// that comes and goes.
func TestLocalJudgeAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.judge = "a"
		n := &node{id: "a", world: w}
		r, err := relay.New(relay.Config{Local: n, Cluster: func() relay.Cluster { return relay.Cluster{Self: "a", Judge: "a"} }})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Heard("http/x"); err != nil || !w.reached("http/x", time.Now()) {
			t.Errorf("Heard = %v on the server that judges, want nil at once, also before Run", err)
		}
		w.set(func() { w.judge = "" })
		if err := r.Heard("http/x"); !errors.Is(err, registry.ErrUnavailable) {
			t.Errorf("Heard before Run = %v, want ErrUnavailable", err)
		}
	})
}
