package track_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/musterhq/muster/server/track"
)

// sleep lets time pass, and Run do what is due.
func sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// Polls that say the same again write only now and then, when the file is far
// behind.
func TestTheSameAgainIsNotWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, track.Config{})
		polls := func(n int) {
			for range n {
				for i := range 10 {
					w.Heard(poll(fmt.Sprint("c", i)), key("d"), sum("A"), time.Now())
				}
				sleep(30 * time.Second)
			}
		}
		polls(1)
		w.wantMetric("written_total", 10)
		polls(18)
		w.wantMetric("written_total", 10)
		polls(4)
		w.wantMetric("written_total", 20)
		polls(100)
		if got := w.metric("written_total"); got < 50 || got > 70 {
			t.Errorf("records written in an hour of polls = %d, want 10 each 10 min or so", got)
		}
		w.wantMetric("pending", 0)
		w.wantMetric("recent", 10)
	})
}

// Changes of one second are one transaction.
func TestChangesAreWrittenTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, track.Config{})
		for _, name := range []string{"A", "B", "C"} {
			w.Heard(poll("c"), key("d"), sum(name), time.Now())
		}
		w.wantMetric("pending", 1)
		sleep(time.Second)
		w.wantMetric("written_total", 1)
		sleep(time.Minute)
		w.wantMetric("written_total", 1)
		w.wantHolders("d", "c poll held C since 0s seen 0s")
	})
}

// Who is gone leaves memory, and is still known with the time when it was seen.
func TestWhoIsGoneLeavesMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, track.Config{})
		w.Heard(poll("gone"), key("d"), sum("A"), at(0))
		for range 10 {
			w.Heard(poll("here"), key("d"), sum("A"), time.Now())
			sleep(30 * time.Second)
			if time.Since(epoch) == time.Minute {
				w.Heard(poll("gone"), key("d"), sum("A"), at(60))
			}
		}
		w.wantMetric("recent", 1)
		w.wantMetric("entries", 2)
		w.wantHolders("d", "gone poll held A since 0s seen 1m0s", "here poll held A since 0s seen 4m30s")
		w.Heard(poll("gone"), key("d"), sum("A"), at(300))
		w.wantMetric("recent", 2)
		w.wantMetric("entries", 2)
		w.wantHolders("d", "gone poll held A since 0s seen 5m0s", "here poll held A since 0s seen 4m30s")
	})
}

// A clean stop keeps everything; one without it what was written.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, track.Config{})
		w.Heard(poll("c"), key("d"), sum("A"), at(0))
		sleep(2 * time.Second)
		w.Heard(poll("c"), key("d"), sum("A"), at(2))
		w.Heard(poll("late"), key("d"), sum("B"), at(2))
		w.stop()
		w.start()
		w.wantMetric("entries", 2)
		w.wantHolders("d", "c poll held A since 0s seen 2s", "late poll held B since 2s seen 2s")
		sleep(time.Second)
		w.wantMetric("written_total", 0)
		w.stop()

		w.open() // nothing runs: as if it were killed before it writes
		w.Heard(poll("c"), key("d"), sum("C"), at(10))
		w.wantHolders("d", "c poll held C since 10s seen 10s", "late poll held B since 2s seen 2s")
		w.close()
		w.start()
		w.wantHolders("d", "c poll held A since 0s seen 2s", "late poll held B since 2s seen 2s")
	})
}

func TestHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, track.Config{})
		for _, id := range []string{"c", "c2"} {
			for _, data := range []string{"z", "a", "m"} {
				w.Heard(poll(id), key(data), sum("A"), time.Now())
			}
		}
		sleep(5 * time.Minute)
		w.wantMetric("recent", 0)
		w.Heard(poll("c"), key("a"), sum("B"), time.Now())
		all, err := w.Held("c")
		if err != nil {
			t.Fatal(err)
		}
		got := make([]string, len(all))
		for i, h := range all {
			got[i] = h.Key.DataID + " " + names[h.MD5]
		}
		if want := "a B, m A, z A"; strings.Join(got, ", ") != want {
			t.Errorf("Held(c) = %v, want %s", got, want)
		}
		if all, err := w.Held("nobody"); len(all) != 0 || err != nil {
			t.Errorf("Held(nobody) = %v, %v", all, err)
		}
	})
}

// Names that begin the same are told apart.
func TestNamesThatBeginTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, track.Config{})
		for _, data := range []string{"d", "d2"} {
			for _, id := range []string{"c", "c2"} {
				w.Heard(poll(id), key(data), sum("A"), at(0))
			}
		}
		w.stop()
		w.start()
		w.wantHolders("d", "c poll held A since 0s seen 0s", "c2 poll held A since 0s seen 0s")
		if all, _ := w.Held("c"); len(all) != 2 {
			t.Errorf("Held(c) = %v, want two", all)
		}
	})
}

// Everything at once, for the race detector; nothing is lost on the way through
// memory and file.
func TestManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, track.Config{Active: 2 * time.Second, Refresh: time.Second})
		const clients, docs, rounds = 8, 5, 40
		var wg sync.WaitGroup
		for c := range clients {
			wg.Go(func() {
				for round := range rounds {
					for d := range docs {
						id, data := fmt.Sprint("c", c), fmt.Sprint("d", d)
						w.Sent(poll(id), key(data), sum("AB"[round%2:][:1]), "", time.Now())
						w.Heard(poll(id), key(data), sum("AB"[round%2:][:1]), time.Now())
						if _, err := w.Holders(key(data)); err != nil {
							t.Errorf("Holders: %v", err)
						}
						if _, err := w.Held(id); err != nil {
							t.Errorf("Held: %v", err)
						}
					}
					time.Sleep(time.Duration(c*round%7) * time.Second / 2)
				}
			})
		}
		wg.Wait()
		w.wantMetric("entries", clients*docs)
		w.stop()
		w.start()
		w.wantMetric("entries", clients*docs)
		for d := range docs {
			all, err := w.Holders(key(fmt.Sprint("d", d)))
			if err != nil || len(all) != clients {
				t.Fatalf("holders = %d, %v, want %d", len(all), err, clients)
			}
			for _, h := range all {
				if names[h.MD5] != "B" || h.State != track.StateHeld || h.Offer != nil {
					t.Errorf("%s holds %s, want B", h.Client.ID, words([]track.Holder{h}))
				}
			}
		}
	})
}
