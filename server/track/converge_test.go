package track_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/server/track"
)

// holder makes one of words: "id kind state MD5 since seen", and for an offer
// "state MD5 at".
func holder(t *testing.T, s string) track.Holder {
	t.Helper()
	var h track.Holder
	var md5 string
	var since, seen float64
	said, offered, _ := strings.Cut(s, "; ")
	if _, err := fmt.Sscan(said, &h.Client.ID, &h.Client.Kind, &h.State, &md5, &since, &seen); err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	h.Key, h.MD5, h.Since, h.Seen = key("d"), sum(strings.Trim(md5, "-")), at(since), at(seen)
	if h.State == "unknown" {
		h.State = ""
	}
	if offered == "" {
		return h
	}
	h.Offer = new(track.Offer)
	if _, err := fmt.Sscan(offered, &h.Offer.State, &md5, &since); err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	h.Offer.MD5, h.Offer.At = sum(md5), at(since)
	return h
}

func TestConverge(t *testing.T) {
	const published, since = 100, 150
	for _, c := range []struct {
		name    string
		holders []string
		want    string // clients, those on the newest, time; who is slow
	}{
		{"nobody", nil, "0 0 1.00 -"},
		{"all", []string{"a poll held B 101 190", "b agent applied B 103 190", "c grpc held B 102 190"}, "3 3 1.00 3s; b 3s, c 2s, a 1s"},
		{"one has another", []string{"a poll held B 101 190", "b poll held A 50 190"}, "2 1 0.50 -; b, a 1s"},
		{"one has nothing", []string{"a poll held B 101 190", "b poll none - 99 190"}, "2 1 0.50 -; b, a 1s"},
		{"one has gone", []string{"a poll held B 101 190", "b poll held A 50 149"}, "1 1 1.00 1s; a 1s"},
		{"one only fetches", []string{"a poll held B 101 190", "b get unknown - 150 190; sent B 150"}, "1 1 1.00 1s; a 1s"},
		{"one was sent it", []string{"a agent held A 101 190; sent B 150"}, "1 0 0.00 -; a"},
		{"one was sent its first", []string{"a agent unknown - 101 190; sent B 150"}, "1 0 0.00 -; a"},
		{"one has written it", []string{"a agent held A 101 190; written B 150"}, "1 1 1.00 50s; a 50s"},
		{"one rejected it", []string{"a agent held A 101 190; rejected B 150"}, "1 0 0.00 -; a"},
		{"one had it before", []string{"a poll held B 50 190"}, "1 1 1.00 0s; a 0s"},
		{"the slowest first, who waits longest before", []string{"a poll held B 101 190", "b poll held A 60 190", "c poll held B 109 190", "d poll held A 50 190"},
			"4 2 0.50 -; d, b, c 9s, a 1s"},
		{"a gray release for one", []string{"gray poll held C 110 190", "b poll held B 101 190"}, "2 2 1.00 10s; gray 10s, b 1s"},
		{"nothing for one", []string{"empty poll none - 120 190"}, "1 1 1.00 20s; empty 20s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			holders := make([]track.Holder, len(c.holders))
			for i, h := range c.holders {
				holders[i] = holder(t, h)
			}
			got := track.Converge(holders, newest, at(published), at(since))
			if got := summary(got); got != c.want {
				t.Errorf("Converge = %q, want %q", got, c.want)
			}
		})
	}
}

func newest(h track.Holder) string {
	switch h.Client.ID {
	case "gray":
		return sum("C")
	case "empty":
		return ""
	}
	return sum("B")
}

func summary(c track.Convergence) string {
	took := "-"
	if c.Took != nil {
		took = c.Took.String()
	}
	s := fmt.Sprintf("%d %d %.2f %s", c.Clients, c.OnNewest, c.Share, took)
	slow := make([]string, len(c.Slowest))
	for i, l := range c.Slowest {
		if slow[i] = l.Holder.Client.ID; l.Took != nil {
			slow[i] += " " + l.Took.String()
		}
	}
	if len(slow) > 0 {
		s += "; " + strings.Join(slow, ", ")
	}
	return s
}

func TestConvergenceOfTheTrack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, track.Config{})
		ask := func(want string) {
			t.Helper()
			c, err := w.Convergence(key("d"), func(track.Holder) string { return sum("B") }, at(100))
			if got := summary(c); got != want || err != nil {
				t.Errorf("Convergence = %q, %v, want %q", got, err, want)
			}
		}
		for i := range 12 {
			w.Heard(poll(fmt.Sprintf("c%02d", i)), key("d"), sum("A"), at(1))
		}
		sleep(50 * time.Second)
		for i := range 12 {
			w.Heard(poll(fmt.Sprintf("c%02d", i)), key("d"), sum("A"), time.Now())
		}
		sleep(52 * time.Second)
		ask("12 0 0.00 -; c00, c01, c02, c03, c04, c05, c06, c07, c08, c09")
		for i := range 11 {
			w.Heard(poll(fmt.Sprintf("c%02d", i)), key("d"), sum("B"), time.Now())
		}
		ask("12 11 0.92 -; c11, c00 2s, c01 2s, c02 2s, c03 2s, c04 2s, c05 2s, c06 2s, c07 2s, c08 2s")
		sleep(40 * time.Second) // the last one is gone
		ask("11 11 1.00 2s; c00 2s, c01 2s, c02 2s, c03 2s, c04 2s, c05 2s, c06 2s, c07 2s, c08 2s, c09 2s")
		w.Heard(poll("new"), key("d"), sum("A"), time.Now()) // one that starts now
		w.Heard(poll("c11"), key("d"), sum("B"), time.Now()) // and one that comes back
		ask("13 12 0.92 -; new, c00 2s, c01 2s, c02 2s, c03 2s, c04 2s, c05 2s, c06 2s, c07 2s, c08 2s")
		sleep(3 * time.Second)
		w.Heard(poll("new"), key("d"), sum("B"), time.Now())
		ask("13 13 1.00 3s; new 3s, c00 2s, c01 2s, c02 2s, c03 2s, c04 2s, c05 2s, c06 2s, c07 2s, c08 2s")
	})
}

func TestMerge(t *testing.T) {
	for _, c := range []struct{ name, here, there, want string }{
		{"one server", "c poll held A 1 9", "", "c poll held A 1 9"},
		{"who heard last", "c poll held A 1 40", "c poll held B 50 90", "c poll held B 50 90"},
		{"the same, moved over", "c poll held A 1 40", "c poll held A 50 90", "c poll held A 1 90"},
		{"the same after a long time", "c poll held A 1 40", "c poll held A 1000 1090", "c poll held A 1000 1090"},
		{"applied, said there", "c agent applied A 1 40", "c agent held A 50 90", "c agent applied A 1 90"},
		{"given there, said here", "c poll held B 51 90", "c poll held A 1 40; sent B 50", "c poll held B 50 90"},
		{"given there long ago", "c poll held B 5100 5190", "c poll held A 1 40; sent B 50", "c poll held B 5100 5190"},
		{"given there, not said", "c poll held A 1 90", "c poll held A 1 80; sent B 80", "c poll held A 1 90; sent B 80"},
		{"given there before what it says here", "c poll held C 60 90", "c poll held A 1 55; sent B 55", "c poll held C 60 90"},
		{"rejected there", "c agent held A 1 90", "c agent held A 1 80; rejected B 80", "c agent held A 1 90; rejected B 80"},
		{"sent here, written there", "c agent held A 1 70; sent B 70", "c agent held A 1 90; written B 90", "c agent held A 1 90; written B 90"},
		{"only fetched there, later", "c poll held A 1 80", "c get unknown - 90 90; sent B 90", "c poll held A 1 90; sent B 90"},
		{"only fetched there what it says here", "c poll held B 81 85", "c get unknown - 80 90; sent B 80", "c poll held B 80 90"},
		{"two clients", "b poll held A 1 9", "a poll held A 1 9", "a poll held A 1 9 | b poll held A 1 9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var here, there, want []track.Holder
			here = append(here, holder(t, c.here))
			if c.there != "" {
				there = append(there, holder(t, c.there))
			}
			for w := range strings.SplitSeq(c.want, " | ") {
				want = append(want, holder(t, w))
			}
			if diff := cmp.Diff(want, track.Merge(here, there)); diff != "" {
				t.Errorf("Merge(here, there): -want +got\n%s", diff)
			}
			if diff := cmp.Diff(want, track.Merge(there, here)); diff != "" {
				t.Errorf("Merge(there, here): -want +got\n%s", diff)
			}
			if diff := cmp.Diff(want, track.Merge(here, there, here)); diff != "" {
				t.Errorf("Merge(here, there, here): -want +got\n%s", diff)
			}
		})
	}
	if got := track.Merge(); len(got) != 0 {
		t.Errorf("Merge() = %v", got)
	}
}

func TestMergeOfWhoJoined(t *testing.T) {
	for _, c := range []struct{ seen, joined, want float64 }{{40, 1, 1}, {180, 1, 1}, {180, 60, 50}, {-90, -200, 50}} {
		here, there := holder(t, "c poll held A 51 190"), holder(t, "c poll held A 1 40")
		here.Joined, there.Joined, there.Seen = at(50), at(c.joined), at(c.seen)
		if got := track.Merge([]track.Holder{here}, []track.Holder{there})[0].Joined; !got.Equal(at(c.want)) {
			t.Errorf("joined there at %v s and seen at %v s: %s, want %v s", c.joined, c.seen, after(got), c.want)
		}
	}
}

// Answers are not edited: they may be shared.
func TestMergeEditsNoAnswer(t *testing.T) {
	here := []track.Holder{holder(t, "c agent held A 1 40; sent B 40")}
	there := []track.Holder{holder(t, "c agent held A 50 90; written B 90")}
	here[0].Offer.Release = "beta"
	merged := track.Merge(here, there)
	if got := merged[0].Offer.Release; got != "beta" {
		t.Errorf("release of the offer = %q, want that of the server that knows it", got)
	}
	if there[0].Offer.Release != "" || !there[0].Since.Equal(at(50)) || !here[0].Seen.Equal(at(40)) {
		t.Errorf("answers were edited: %s", words(append(here, there...)))
	}
}
