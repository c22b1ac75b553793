package track_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/musterhq/muster/server/track"
)

func TestForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, track.Config{Keep: 2 * time.Hour})
		w.Heard(poll("gone"), key("d"), sum("A"), at(0))
		for range 119 {
			w.Heard(poll("here"), key("d"), sum("A"), time.Now())
			sleep(time.Minute)
		}
		w.wantMetric("entries", 2)
		sleep(2 * time.Minute)
		w.wantHolders("d", "here poll held A since 0s seen 1h58m0s") // not shown when its time is over
		for range 60 {
			w.Heard(poll("here"), key("d"), sum("A"), time.Now())
			sleep(time.Minute)
		}
		w.wantMetric("entries", 1)
		w.wantMetric("forgotten_total", 1)
		if all, err := w.Held("gone"); len(all) != 0 || err != nil {
			t.Errorf("Held(gone) = %v, %v", all, err)
		}
		w.Heard(poll("gone"), key("d"), sum("A"), time.Now())
		w.wantMetric("entries", 2)
		w.wantHolders("d", "gone poll held A since 3h1m0s seen 3h1m0s", "here poll held A since 0s seen 3h0m0s")
	})
}

// More than a batch of records is swept step by step, while reports go on.
func TestForgottenInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 35_000
		w := newWorld(t, track.Config{Keep: time.Hour})
		for i := range n {
			w.Heard(poll(fmt.Sprintf("c%05d", i)), key("d"), sum("A"), at(0))
		}
		sleep(30 * time.Minute)
		w.wantMetric("recent", 0)
		w.wantMetric("entries", n)
		w.Heard(poll("c34000"), key("d"), sum("B"), time.Now())
		sleep(40 * time.Minute)
		w.wantMetric("entries", 1)
		w.wantMetric("forgotten_total", n-1)
		w.wantHolders("d", "c34000 poll held B since 30m0s seen 30m0s")
	})
}

// When there is no room the oldest go, never those who are there.
func TestNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, track.Config{Max: 100})
		say := func(kind string, n int) {
			for i := range n {
				w.Heard(poll(fmt.Sprintf("%s%03d", kind, i)), key("d"), sum("A"), time.Now())
			}
		}
		for i := range 40 {
			w.Heard(poll(fmt.Sprintf("old%03d", i)), key("d"), sum("A"), time.Now())
			sleep(5 * time.Minute) // they are told apart by minutes
		}
		say("young", 40)
		sleep(time.Hour)
		say("here", 30)
		w.wantMetric("entries", 100)
		w.wantMetric("refused_total", 10)
		sleep(time.Minute)
		say("here", 30)
		sleep(2 * time.Second)
		w.wantMetric("entries", 100)
		w.wantMetric("forgotten_total", 10)
		all, err := w.Holders(key("d"))
		if err != nil {
			t.Fatal(err)
		}
		count := map[byte]int{}
		for _, h := range all {
			count[h.Client.ID[0]]++
		}
		if count['o'] != 30 || count['y'] != 40 || count['h'] != 30 {
			t.Errorf("old, young, here = %d, %d, %d, want 30, 40, 30", count['o'], count['y'], count['h'])
		}
		for range 30 { // all who are there, and more
			say("here", 100)
			sleep(time.Minute)
		}
		w.wantMetric("entries", 100)
		if all, err = w.Holders(key("d")); err != nil || len(all) != 100 || all[0].Client.ID != "here000" || all[99].Client.ID != "here099" {
			t.Errorf("holders = %d from %v, %v, want all who are there", len(all), all[:1], err)
		}
	})
}

func TestOneClientHasABound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, track.Config{PerClient: 10})
		for i := range 20 {
			w.Heard(poll("greedy"), key(fmt.Sprint("d", i)), sum("A"), at(0))
		}
		w.Heard(poll("other"), key("d0"), sum("A"), at(0))
		w.wantMetric("entries", 11)
		w.wantMetric("refused_total", 10)
	})
}
