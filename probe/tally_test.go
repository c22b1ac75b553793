package probe_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/probe"
)

func TestTally(t *testing.T) {
	const u, p, c = probe.Unknown, probe.Passing, probe.Critical
	for _, tc := range []struct {
		name       string
		rise, fall int
		results    string // + passed, - failed
		want       []probe.State
	}{
		{"both thresholds 1 by default", 0, 0, "+-+", []probe.State{p, c, p}},
		{"a first failure is a verdict", 1, 1, "-", []probe.State{c}},
		{"fall 3 rides out two failures", 1, 3, "+--+---", []probe.State{p, p, p, p, p, p, c}},
		{"rise 2 wants two in a row", 2, 1, "-+-++", []probe.State{c, c, c, c, p}},
		{"unknown until a threshold is met", 2, 2, "+-+--", []probe.State{u, u, u, u, c}},
		{"many equal results", 2, 2, "++++--", []probe.State{u, p, p, p, p, c}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tally := probe.Tally{Rise: tc.rise, Fall: tc.fall}
			if tally.State() != u {
				t.Errorf("State() before any result = %v, want %v", tally.State(), u)
			}
			var got []probe.State
			for _, r := range tc.results {
				before := tally.State()
				changed := tally.Observe(r == '+')
				if changed != (before != tally.State()) {
					t.Errorf("Observe(%c) = %v while %v became %v", r, changed, before, tally.State())
				}
				got = append(got, tally.State())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("verdicts after %s (-want +got):\n%s", tc.results, diff)
			}
		})
	}
}
