package track_test

import (
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/musterhq/muster/server/track"
)

// tell brings in one thing: "second heard A", "second sent A release",
// "second written A detail", and so on. Who says it is an agent when it reports.
func (w *world) tell(id, what string) {
	w.t.Helper()
	f := append(strings.Fields(what), "", "")
	second, err := strconv.ParseFloat(f[0], 64)
	if err != nil {
		w.t.Fatal(err)
	}
	c := track.Client{ID: id, Kind: track.KindPoll}
	name, rest := strings.TrimSuffix(f[2], "-"), f[3]
	switch f[1] {
	case "heard":
		w.Heard(c, key("d"), sum(name), at(second))
	case "agent":
		w.Heard(track.Client{ID: id, Kind: track.KindAgent}, key("d"), sum(name), at(second))
	case "sent":
		w.Sent(c, key("d"), sum(name), rest, at(second))
	case "got":
		w.Sent(track.Client{ID: id, Kind: track.KindGet}, key("d"), sum(name), rest, at(second))
	default:
		w.Reported(track.Client{ID: id, Kind: track.KindAgent}, key("d"), sum(name), f[1], rest, at(second))
	}
}

func TestWhatIsHeard(t *testing.T) {
	for _, c := range []struct{ name, told, want string }{
		{"it holds something", "1 heard A", "poll held A since 1s seen 1s"},
		{"it holds nothing", "1 heard -", "poll none nothing since 1s seen 1s"},
		{"it still does", "1 heard A, 31 heard A", "poll held A since 1s seen 31s"},
		{"an old word comes late", "31 heard A, 1 heard A", "poll held A since 31s seen 31s"},
		{"it holds something else", "1 heard A, 2 heard B", "poll held B since 2s seen 2s"},
		{"it holds nothing any more", "1 heard A, 2 heard -", "poll none nothing since 2s seen 2s"},
		{"it was given something", "1 heard A, 2 sent B beta", "poll held A since 1s seen 2s; sent B (beta) at 2s"},
		{"and says that it has it", "1 heard A, 2 sent B beta, 3 heard B", "poll held B (beta) since 2s seen 3s"},
		{"and still has what it had", "1 heard A, 2 sent B beta, 3 heard A", "poll held A since 1s seen 3s; sent B (beta) at 2s"},
		{"and has a third thing", "1 heard A, 2 sent B, 3 heard C", "poll held C since 3s seen 3s"},
		{"it was given it twice", "1 heard A, 2 sent B, 3 sent B, 4 heard B", "poll held B since 2s seen 4s"},
		{"by another release", "1 heard A, 2 sent B, 3 sent B beta", "poll held A since 1s seen 3s; sent B (beta) at 2s"},
		{"it was given what it has", "1 heard A, 2 sent A", "poll held A since 1s seen 2s"},
		{"by another release than before", "1 heard A, 2 sent A beta", "poll held A (beta) since 1s seen 2s"},
		{"it went back", "1 heard A, 2 sent B, 3 sent A", "poll held A since 1s seen 3s"},
		{"it only fetches", "1 got A beta, 2 got A beta", "get unknown since 1s seen 2s; sent A (beta) at 1s"},
		{"it fetched and then says so", "1 got A beta, 2 heard A", "poll held A (beta) since 1s seen 2s"},
		{"it says so and fetches", "1 heard A, 2 got B", "poll held A since 1s seen 2s; sent B at 2s"},
		{"it says no more and fetches", "1 heard A, 92 got B", "get held A since 1s seen 1m32s; sent B at 1m32s"},

		{"an agent wrote", "1 agent A, 2 sent B beta, 3 written B", "agent held A since 1s seen 3s; written B (beta) at 3s"},
		{"twice", "1 agent A, 3 written B, 4 written B", "agent held A since 1s seen 4s; written B at 3s"},
		{"and applied", "1 agent A, 2 sent B beta, 3 written B, 4 applied B", "agent applied B (beta) since 3s seen 4s"},
		{"and says so again", "3 written B, 4 applied B, 5 agent B, 6 applied B", "agent applied B since 3s seen 6s"},
		{"applied at once", "1 agent A, 2 sent B beta, 4 applied B", "agent applied B (beta) since 4s seen 4s"},
		{"applied what nobody gave", "1 agent A, 4 applied B", "agent applied B since 4s seen 4s"},
		{"applied what it has", "1 agent A, 4 applied A", "agent applied A since 1s seen 4s"},
		{"wrote what it has", "1 agent A, 4 written A", "agent held A since 1s seen 4s"},
		{"applied while the next one comes", "1 sent B, 2 written B, 3 sent C, 4 applied B", "agent applied B since 4s seen 4s; sent C at 3s"},
		{"rejected", "1 agent A, 2 sent B beta, 3 rejected B port", "agent held A since 1s seen 3s; rejected B (beta) at 3s: port"},
		{"rejected twice", "1 agent A, 3 rejected B port, 4 rejected B host", "agent held A since 1s seen 4s; rejected B at 3s: host"},
		{"rejected what it wrote", "1 applied A, 2 written B, 3 rejected B", "agent applied A since 1s seen 3s; rejected B at 3s"},
		{"and downloaded it", "1 agent A, 3 rejected B, 4 agent B", "agent held A since 1s seen 4s; rejected B at 3s"},
		{"and is given it again", "1 agent A, 3 rejected B, 4 sent B", "agent held A since 1s seen 4s; rejected B at 3s"},
		{"and holds another old one", "1 agent A, 3 rejected B, 4 agent C", "agent held C since 4s seen 4s; rejected B at 3s"},
		{"and is given what it holds", "1 agent A, 3 rejected B, 4 sent A", "agent held A since 1s seen 4s"},
		{"and is given the next", "1 agent A, 3 rejected B, 4 sent C", "agent held A since 1s seen 4s; sent C at 4s"},
		{"and takes it after all", "1 agent A, 3 rejected B, 5 applied B", "agent applied B since 5s seen 5s"},
		{"rejected what it held", "1 applied A, 3 rejected A", "agent unknown since 3s seen 3s; rejected A at 3s"},
		{"and says what it went back to", "1 applied A, 3 rejected A, 4 agent B", "agent held B since 4s seen 4s; rejected A at 3s"},
		{"rejected the first thing", "3 rejected A", "agent unknown since 3s seen 3s; rejected A at 3s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, track.Config{})
				for told := range strings.SplitSeq(c.told, ", ") {
					w.tell("c", told)
				}
				w.wantHolders("d", "c "+c.want)
				w.stop()
				w.start()
				w.wantHolders("d", "c "+c.want) // from the file
				all, err := w.Held("c")
				if got := words(all); got != "c "+c.want || err != nil {
					t.Errorf("Held = %s, %v, want c %s", got, err, c.want)
				}
			})
		})
	}
}

// What is said over a record that is in the file alone is as if it were in
// memory.
func TestWhatIsHeardAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, track.Config{})
		w.tell("c", "1 heard A")
		w.tell("c", "2 sent B beta")
		w.stop()
		w.start()
		w.wantMetric("recent", 0)
		w.tell("c", "3 heard B")
		w.wantMetric("recent", 1)
		w.wantMetric("entries", 1)
		w.wantHolders("d", "c poll held B (beta) since 2s seen 3s")
	})
}

func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, track.Config{})
		agent := track.Client{ID: "c", Kind: track.KindAgent}
		for i, refused := range []func(){
			func() { w.Heard(track.Client{ID: "c"}, key("d"), sum("A"), at(1)) },
			func() { w.Heard(track.Client{ID: "c", Kind: "x"}, key("d"), sum("A"), at(1)) },
			func() { w.Heard(poll(""), key("d"), sum("A"), at(1)) },
			func() { w.Heard(poll("a\x00b"), key("d"), sum("A"), at(1)) },
			func() { w.Heard(poll("\xff"), key("d"), sum("A"), at(1)) },
			func() { w.Heard(poll(strings.Repeat("i", 257)), key("d"), sum("A"), at(1)) },
			func() { w.Heard(poll("c"), key(""), sum("A"), at(1)) },
			func() { w.Heard(poll("c"), key("a\x00b"), sum("A"), at(1)) },
			func() { w.Heard(poll("c"), key("d"), "A", at(1)) },
			func() { w.Heard(poll("c"), key("d"), strings.Repeat("x", 32), at(1)) },
			func() { w.Sent(poll("c"), key("d"), "", "", at(1)) },
			func() { w.Reported(agent, key("d"), "", track.StateApplied, "", at(1)) },
			func() { w.Reported(agent, key("d"), sum("A"), "", "", at(1)) },
			func() { w.Reported(agent, key("d"), sum("A"), track.StateHeld, "", at(1)) },
			func() { w.Reported(agent, key("d"), sum("A"), "other", "", at(1)) },
		} {
			refused()
			w.wantMetric("refused_total", i+1)
		}
		w.wantMetric("entries", 0)
	})
}

func TestLongTextsAreCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, track.Config{})
		w.Sent(poll("c"), key("d"), sum("A"), strings.Repeat("r", 1000), at(1))
		w.Reported(track.Client{ID: "c", Kind: track.KindAgent}, key("d"), sum("A"), track.StateRejected, strings.Repeat("é", 1000), at(2))
		w.wantHolders("d", "c agent unknown since 1s seen 2s; rejected A ("+strings.Repeat("r", 128)+") at 2s: "+strings.Repeat("é", 256))
	})
}
