package probe_test

import (
	"testing"

	"github.com/musterhq/muster/probe"
)

// changes counts the verdicts of tally over results, each + or -, and says what
// stands in the end.
func changes(tally *probe.Tally, results string) (n int, s probe.State) {
	for _, r := range results {
		if tally.Observe(r == '+') {
			n++
		}
	}
	return n, tally.State()
}

func TestDamping(t *testing.T) {
	times := func(n int, s string) (all string) {
		for range n {
			all += s
		}
		return all
	}
	for _, c := range []struct {
		name       string
		rise, fall int
		results    string
		changes    int
		state      probe.State
		flapping   bool
	}{
		{"fails every other time", 1, 1, times(500, "+-"), 4, probe.Critical, true},
		{"passes every other time", 1, 1, times(500, "-+"), 3, probe.Critical, true},
		{"two and two", 1, 1, times(200, "++--"), 4, probe.Critical, true},
		{"one of three", 1, 1, times(200, "+--"), 4, probe.Critical, true},
		{"fails every other time, where three in a row matter", 1, 3, times(500, "+-"), 1, probe.Passing, false},
		{"with thresholds", 2, 3, times(200, "++---"), 4, probe.Critical, true},
		{"is steady again", 1, 1, times(500, "+-") + "++++++", 5, probe.Passing, false},
		{"is not yet steady again", 1, 1, times(500, "+-") + "+++++", 4, probe.Critical, true},
		{"fails for good", 1, 1, times(500, "+-") + "-----", 4, probe.Critical, false},
		{"fails for good and comes back", 1, 1, times(500, "+-") + "-----+", 5, probe.Passing, false},
		{"flaps again", 1, 1, times(500, "+-") + "++++++" + times(500, "-+"), 6, probe.Critical, true},
		{"fails once in a while", 1, 1, times(10, "+++++++++++++-"), 20, probe.Critical, false},
		{"fails twice in a minute", 1, 1, "++++++-++++++-++++++", 5, probe.Passing, false},
		{"begins late", 3, 1, times(3, "-++") + "+++", 2, probe.Passing, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			tally := &probe.Tally{Rise: c.rise, Fall: c.fall, Damp: true}
			n, s := changes(tally, c.results)
			if n != c.changes || s != c.state || tally.Flapping() != c.flapping {
				t.Errorf("changes, verdict, flapping = %d, %s, %v, want %d, %s, %v", n, s, tally.Flapping(), c.changes, c.state, c.flapping)
			}
			free := &probe.Tally{Rise: c.rise, Fall: c.fall}
			if n, _ := changes(free, c.results); n < c.changes || free.Flapping() {
				t.Errorf("changes without damping = %d, want as many at least, and no flapping", n)
			}
		})
	}
}

// FuzzDamping has targets of any pattern: a verdict changes no more often than
// damping says, and what is steady is told as it is.
func FuzzDamping(f *testing.F) {
	f.Add([]byte("\xaa\xaa\xaa"), uint8(1), uint8(1))
	f.Add([]byte("\x33\x0f\xff"), uint8(2), uint8(3))
	f.Fuzz(func(t *testing.T, bits []byte, rise, fall uint8) {
		tally := &probe.Tally{Rise: int(rise%5) + 1, Fall: int(fall%5) + 1, Damp: true}
		turn := tally.Rise + tally.Fall
		row, last := 0, false
		var toPassing []int // when the verdict became Passing again
		for i := range 8 * len(bits) {
			ok := bits[i/8]>>(i%8)&1 == 1
			if ok != last {
				row, last = 0, ok
			}
			row++
			first := tally.State() == probe.Unknown
			if tally.Observe(ok) && tally.State() == probe.Passing && !first {
				toPassing = append(toPassing, i)
			}
			if steady := row >= 3*turn; steady && (tally.Flapping() || (tally.State() == probe.Passing) != ok) {
				t.Fatalf("after %d equal results: %s, flapping %v", row, tally.State(), tally.Flapping())
			}
			if tally.Flapping() && tally.State() != probe.Critical {
				t.Fatal("it flaps and is not critical")
			}
		}
		for i := 2; i < len(toPassing); i++ {
			if toPassing[i]-toPassing[i-2] < 2*turn {
				t.Fatalf("passing again at %v, %d and %d", toPassing, tally.Rise, tally.Fall)
			}
		}
	})
}
