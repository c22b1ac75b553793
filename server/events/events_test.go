package events_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/events"
)

func TestStream(t *testing.T) {
	for _, test := range []struct {
		name   string
		cfg    events.Config
		before []string // commits, one each, before the stream
		query  string
		begin  []string
		then   []string // one commit
		after  []string
	}{
		{"everything, then what changes", events.Config{}, []string{"a 192.0.2.1 1"}, "",
			[]string{"reset 11", "service a whole 192.0.2.1=1", "synced 11 @11-store"},
			[]string{"a 192.0.2.2 3"}, []string{"service a 192.0.2.2=3 @12-store"}},
		{"an instance that changes", events.Config{}, []string{"a 192.0.2.1 1", "a 192.0.2.2 1"}, "since=now",
			[]string{"synced 12 @12-store"},
			[]string{"a 192.0.2.1 5"}, []string{"service a 192.0.2.1=5 @13-store"}},
		{"an instance that goes", events.Config{}, []string{"a 192.0.2.1 1", "a 192.0.2.2 1"}, "since=now",
			[]string{"synced 12 @12-store"},
			[]string{"a 192.0.2.1 -1"}, []string{"service a -192.0.2.1 @13-store"}},
		{"a service that goes", events.Config{}, []string{"a 192.0.2.1 1"}, "since=now",
			[]string{"synced 11 @11-store"},
			[]string{"a 192.0.2.1 -1"}, []string{"removed a @12-store"}},
		{"where the reader left", events.Config{}, []string{"a 192.0.2.1 1", "b 192.0.2.1 1", "b 192.0.2.2 1"}, "since=11-store",
			[]string{"service b whole 192.0.2.1=1 192.0.2.2=1", "synced 13 @13-store"},
			[]string{"a 192.0.2.1 2"}, []string{"service a 192.0.2.1=2 @14-store"}},
		{"a bare revision", events.Config{}, []string{"a 192.0.2.1 1", "b 192.0.2.1 1"}, "since=11",
			[]string{"service b whole 192.0.2.1=1", "synced 12 @12-store"}, nil, nil},
		{"the very newest", events.Config{}, []string{"a 192.0.2.1 1"}, "since=11-store",
			[]string{"synced 11 @11-store"}, nil, nil},
		{"what went meanwhile", events.Config{}, []string{"a 192.0.2.1 1", "b 192.0.2.1 1", "a 192.0.2.1 -1"}, "since=12-store",
			[]string{"removed a", "synced 13 @13-store"}, nil, nil},
		{"before this server began to follow", events.Config{}, []string{"a 192.0.2.1 1"}, "since=9-store",
			[]string{"reset 11", "service a whole 192.0.2.1=1", "synced 11 @11-store"}, nil, nil},
		{"of another store", events.Config{}, []string{"a 192.0.2.1 1"}, "since=11-other",
			[]string{"reset 11", "service a whole 192.0.2.1=1", "synced 11 @11-store"}, nil, nil},
		{"ahead of this store", events.Config{}, []string{"a 192.0.2.1 1"}, "since=99",
			[]string{"reset 11", "service a whole 192.0.2.1=1", "synced 11 @11-store"}, nil, nil},
		{"older than what is remembered", events.Config{Log: 2}, []string{"a 192.0.2.1 1", "a 192.0.2.1 2", "a 192.0.2.1 3"}, "since=10",
			[]string{"reset 13", "service a whole 192.0.2.1=3", "synced 13 @13-store"}, nil, nil},
		{"as old as what is remembered", events.Config{Log: 2}, []string{"b 192.0.2.1 1", "a 192.0.2.1 2", "a 192.0.2.1 3"}, "since=11",
			[]string{"service a whole 192.0.2.1=3", "synced 13 @13-store"}, nil, nil},
		{"one service", events.Config{}, []string{"a 192.0.2.1 1", "b 192.0.2.1 1"}, "namespace=public&group=DEFAULT_GROUP&service=b",
			[]string{"reset 12", "service b whole 192.0.2.1=1", "synced 12 @12-store"},
			[]string{"a 192.0.2.1 2", "b 192.0.2.1 2"}, []string{"service b 192.0.2.1=2 @13-store"}},
		{"services of a name", events.Config{}, []string{"a 192.0.2.1 1", "b 192.0.2.1 1"}, "service=b&since=10",
			[]string{"service b whole 192.0.2.1=1", "synced 12 @12-store"}, nil, nil},
		{"another namespace", events.Config{}, []string{"a 192.0.2.1 1"}, "namespace=dev",
			[]string{"reset 11", "synced 11 @11-store"},
			[]string{"a 192.0.2.1 2"}, []string{"beat @12-store"}},
		{"nothing", events.Config{}, nil, "", []string{"reset 10", "synced 10 @10-store"}, nil, []string{"beat @10-store", "beat @10-store"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, test.cfg)
				synctest.Wait()
				for _, c := range test.before {
					w.commit(c)
					synctest.Wait()
				}
				r := w.open(test.query)
				r.want(test.begin...)
				if test.then != nil {
					w.commit(test.then...)
				}
				r.want(test.after...)
			})
		})
	}
}

func TestHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, events.Config{})
		synctest.Wait()
		r := w.open("since=now")
		r.want("synced 10 @10-store")
		start := time.Now()
		r.want("beat @10-store", "beat @10-store")
		if after := time.Since(start); after != 30*time.Second {
			t.Errorf("two heartbeats took %v, want 30s", after)
		}
	})
}

// All of a batch but the last event come without an id: who loses the connection
// in between gets the others again.
func TestOneIdForWhatStandsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, events.Config{})
		synctest.Wait()
		r := w.open("since=now")
		r.want("synced 10 @10-store")
		w.commit("a 192.0.2.1 1", "b 192.0.2.1 1", "c 192.0.2.1 1")
		ids := 0
		for n := range 3 {
			e, _ := r.next()
			if e.id != "" {
				ids++
				if n != 2 || e.id != "11-store" {
					t.Errorf("event %d has the id %q", n, e.id)
				}
			}
		}
		if ids != 1 {
			t.Errorf("%d ids, want one", ids)
		}
	})
}

// Whoever reads slowly gets the last state of each service, and not all between.
func TestBurstsAreCoalesced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, events.Config{})
		synctest.Wait()
		r := w.open("since=now")
		r.want("synced 10 @10-store")
		for n := range 1000 {
			w.commit(fmt.Sprintf("a 192.0.2.1 %d", n))
			synctest.Wait()
		}
		seen := 0
		for last := ""; last != "service a 192.0.2.1=999 @1010-store"; seen++ {
			e, ok := r.next()
			if !ok {
				t.Fatal("the stream ended")
			}
			last = e.words()
		}
		if seen > 10 {
			t.Errorf("%d events for 1000 states in a burst, want a few", seen)
		}
	})
}

func TestReaderThatDoesNotReadIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, events.Config{Streams: 1})
		synctest.Wait()
		r := w.open("since=now")
		r.want("synced 10 @10-store")
		start := time.Now()
		w.commit("a 192.0.2.1 1")
		for !w.hub.Enter("another") {
			time.Sleep(100 * time.Millisecond)
		}
		w.hub.Leave("another")
		if after := time.Since(start); after < 10*time.Second || after > 11*time.Second {
			t.Errorf("the stream ended after %v, want 10s", after)
		}
		r.close()
		again := w.open("since=10-store")
		again.want("service a whole 192.0.2.1=1", "synced 11 @11-store")
	})
}

func TestReaderThatFallsBehindIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, events.Config{Behind: 100})
		synctest.Wait()
		r := w.open("since=now")
		r.want("synced 10 @10-store")
		for n := range 300 {
			w.commit(fmt.Sprintf("s%d 192.0.2.1 1", n))
			synctest.Wait()
		}
		first, _ := r.next() // it was on its way
		end, _ := r.next()
		want := "end behind 11-store"
		if got := end.words(); first.id != "11-store" || got != want {
			t.Fatalf("events = %q, %q, want one and %q", first.words(), got, want)
		}
		if e, more := r.next(); more {
			t.Errorf("after the end came %q", e.words())
		}
		told := map[string]bool{}
		again := w.open("since=11-store")
		for e, ok := again.next(); ok && e.kind != "synced"; e, ok = again.next() {
			told[e.words()] = e.kind == "service"
		}
		if len(told) != 300 { // retry, and the 299 that are missing
			t.Errorf("resumed with %d events, want 299", len(told)-1)
		}
	})
}

// A single step is taken whole, however large it is.
func TestLargeStepIsNotHeldAgainstTheReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, events.Config{Behind: 10})
		synctest.Wait()
		r := w.open("since=now")
		r.want("synced 10 @10-store")
		var all []string
		for n := range 100 {
			all = append(all, fmt.Sprintf("s%d 192.0.2.1 1", n))
		}
		w.commit(all...)
		for n := range 100 {
			if e, ok := r.next(); !ok || e.kind != "service" {
				t.Fatalf("event %d = %q, %v", n, e.words(), ok)
			}
		}
	})
}

func TestDrainEndsStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, events.Config{})
		synctest.Wait()
		r := w.open("since=now")
		r.want("synced 10 @10-store")
		w.hub.Drain()
		r.want("end stopping 10-store")
		if e, more := r.next(); more {
			t.Errorf("after the end came %q", e.words())
		}
	})
}

func TestReaderThatMayNotIsToldNoMore(t *testing.T) {
	for name, news := range map[string]func(*world){
		"what is new":           func(w *world) { w.commit("a 192.0.2.1 1") },
		"that there is nothing": func(*world) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, events.Config{})
				synctest.Wait()
				r := w.open("since=now")
				r.want("synced 10 @10-store")
				w.refuses.Store(true)
				news(w)
				r.want("end refused 10-store")
				if e, more := r.next(); more {
					t.Errorf("after the end came %q", e.words())
				}
			})
		})
	}
}

// A snapshot that is repaired at its own revision says that this revision held
// something else: nobody can go on from it.
func TestRepairIsToldToAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, events.Config{})
		w.commit("a 192.0.2.1 1")
		synctest.Wait()
		r := w.open("since=now")
		r.want("synced 11 @11-store")
		w.show("b 192.0.2.1 1")
		r.want("service b whole 192.0.2.1=1 @11-store")
		again := w.open("since=11-store&service=b")
		again.want("reset 11", "service b whole 192.0.2.1=1", "synced 11 @11-store")
		w.commit("b 192.0.2.1 2")
		synctest.Wait()
		third := w.open("since=12-store")
		third.want("synced 12 @12-store")
	})
}

func TestAnotherServerIsAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, events.Config{})
		synctest.Wait()
		time.AfterFunc(time.Second, func() { w.commit("a 192.0.2.1 1") })
		r := w.open("since=11-store")
		r.want("synced 11 @11-store")
	})
}

// Whatever happens to a reader, in the end it knows what the snapshot shows.
func TestReaderKnowsAllInTheEnd(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { follow(t, rand.New(rand.NewPCG(seed, 0))) })
		})
	}
}

func follow(t *testing.T, rnd *rand.Rand) {
	w := newWorld(t, events.Config{Log: 20, Behind: 10})
	synctest.Wait()
	known, resume := state{}, ""
	r := w.open("")
	for range 300 {
		if rnd.IntN(3) > 0 {
			var changes []string
			for range 1 + rnd.IntN(3) {
				changes = append(changes, fmt.Sprintf("s%d 192.0.2.%d %d", rnd.IntN(5), rnd.IntN(4), rnd.IntN(3)-1))
			}
			w.commit(changes...)
			synctest.Wait()
		}
		for range rnd.IntN(4) {
			e, ok := r.next()
			if ok {
				resume = known.take(e, resume)
			}
			if !ok || rnd.IntN(10) == 0 {
				r.close()
				r = w.open("since=" + resume)
			}
		}
	}
	w.commit()
	newest := fmt.Sprintf("%d-store", w.revision)
	for resume != newest {
		e, ok := r.next()
		if !ok {
			r = w.open("since=" + resume)
			continue
		}
		resume = known.take(e, resume)
	}
	if diff := cmp.Diff(stateOf(w.view.Snapshot()), known); diff != "" {
		t.Errorf("known in the end: -want +got\n%s", diff)
	}
}

func TestParseSince(t *testing.T) {
	for text, want := range map[string]bool{
		"": true, "now": true, "0": true, "12": true, "12-ab3": true, "9223372036854775807": true,
		"abc": false, "-1": false, "+1": false, "1-": false, "1.5": false, "9223372036854775808": false, " 1": false, "NOW": false, "-": false,
	} {
		if _, ok := events.ParseSince(text); ok != want {
			t.Errorf("ParseSince(%q) = %v, want %v", text, ok, want)
		}
	}
}

func FuzzParseSince(f *testing.F) {
	for _, seed := range []string{"", "now", "12", "12-ab", "-1", "9223372036854775808", "1-2-3"} {
		f.Add(seed)
	}
	f.Fuzz(func(_ *testing.T, s string) { events.ParseSince(s) })
}

// stateOf is what a snapshot shows.
func stateOf(s *registry.Snapshot) state {
	out := state{}
	for v := range s.Each() {
		out[v.Key.Name] = map[string]float64{}
		for i := range v.Instances.All() {
			out[v.Key.Name][i.Key.Endpoint.Host] = i.Weight
		}
	}
	return out
}
