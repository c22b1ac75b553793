package faults_test

import (
	"cmp"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/test/faults/check"
	"github.com/musterhq/muster/test/faults/cluster"
	"github.com/musterhq/muster/test/faults/history"
)

// Bugs that the checker must find.
var (
	droppedEvent = plant{
		name: "dropped watch event", file: "etcdstore/records.go",
		old: "				if ok {\n					changes = append(changes, c)\n",
		new: "				if ok && !planted() {\n					changes = append(changes, c)\n",
		extra: "var events int\n\n// planted is true of every 13th event.\n" +
			"func planted() bool {\n	events++\n	return events%13 == 0\n}\n",
	}
	earlyAnswer = plant{
		name: "acknowledgement before commit", file: "etcdstore/commit.go",
		old: sending,
		new: "	if !w.Judge {\n		go s.submit(context.WithoutCancel(ctx), r)\n		return s.View().Snapshot().Revision(), nil\n	}\n" + sending,
	}
	// A verdict that is long on its way is no bug, but without it one would have
	// to hit a moment to show that the fence matters.
	slowVerdict = plant{
		name: "slow verdict", file: "etcdstore/commit.go",
		old:   sending,
		new:   "	if w.Judge {\n" + late + "	}\n" + sending,
		extra: slow,
	}
	noFence = plant{
		name: "verdict without fence", file: "etcdstore/commit.go",
		old:   sending,
		new:   "	if w.Judge {\n" + late + "		r.compares = r.compares[1:] // the office's is the first one\n	}\n" + sending,
		extra: slow,
	}
)

const (
	sending = "	return s.outcome(ctx, w, office, s.submit(ctx, r)[0])\n"
	late    = "		planted()\n		ctx = context.WithoutCancel(ctx)\n"
	slow    = "import \"time\"\n\nfunc planted() { time.Sleep(2 * time.Second) }\n"
)

// The bugs fit the code, so that the long run will not fail for that.
func TestPlantsFit(t *testing.T) {
	for _, p := range []plant{droppedEvent, earlyAnswer, slowVerdict, noFence} {
		if _, err := p.sow(); err != nil {
			t.Error(err)
		}
	}
}

func plantsCaught(t *testing.T) {
	t.Run(droppedEvent.name, func(t *testing.T) {
		found := watched(t, grow(t, droppedEvent))
		expect(t, found, check.LostWrite)
	})
	t.Run(earlyAnswer.name, func(t *testing.T) {
		_, _, illegal := killAndCheck(t, grow(t, earlyAnswer), 2)
		if len(illegal) == 0 {
			t.Error("every history was found legal")
		}
	})
	t.Run(noFence.name, func(t *testing.T) {
		if found := lateVerdict(t, grow(t, slowVerdict)); len(found) > 0 {
			t.Errorf("with the fence: %s", check.Summary(found, 5))
		}
		expect(t, lateVerdict(t, grow(t, noFence)), check.FalseOffline)
	})
}

// grow builds a server with a bug.
func grow(t *testing.T, p plant) (binary string) {
	t.Helper()
	binary, err := build(t.Context(), t.TempDir(), []plant{p})
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

func expect(t *testing.T, found []check.Violation, invariant string) {
	t.Helper()
	t.Logf("found:\n%s", check.Summary(found, 3))
	if !slices.ContainsFunc(found, func(v check.Violation) bool { return v.Invariant == invariant }) {
		t.Errorf("the checker did not find that %q is broken", invariant)
	}
}

// watched runs two servers without any fault.
func watched(t *testing.T, binary string) []check.Violation {
	t.Helper()
	s := open(t, cluster.Config{Muster: binary, Servers: 2, External: 1}, size{services: 1, churners: 2, resolvers: 1})
	s.pass(5 * time.Second)
	_, found := s.examine(check.Limits{})
	return found
}

// lateVerdict makes the judge stop between finding an instance silent and
// writing so, for so long that another one judges. Meanwhile the instance beats
// again, and so it must stay healthy.
func lateVerdict(t *testing.T, binary string) []check.Violation {
	t.Helper()
	of := size{services: 1, beaters: 2, call: time.Second,
		timeouts: history.Timeouts{Interval: time.Second, Unhealthy: 5 * time.Second, Delete: 60 * time.Second}}
	s := open(t, cluster.Config{Muster: cmp.Or(binary, os.Getenv(variableMuster)), Servers: 2, External: 1}, of)
	judge := s.judge()
	s.pass(2 * time.Second)
	quiet := s.load.Silence(1)
	s.pass(of.timeouts.Unhealthy + time.Second) // found silent, the verdict is on its way
	s.fault(judge.Pause, "SIGSTOP of %s, the judge", judge.Name)
	ctx := s.ctx
	if _, err := s.cluster.AwaitJudge(ctx, judge); err != nil {
		s.Fatal(err)
	}
	s.load.Wake()
	s.pass(4 * time.Second)
	s.heal(judge.Continue, "SIGCONT of %s", judge.Name)
	s.pass(4 * time.Second)
	h, found := s.examine(check.Limits{Visible: time.Second})
	// Before it beat again it was silent for long enough to be found so.
	return slices.DeleteFunc(found, func(v check.Violation) bool {
		return !strings.Contains(v.Text, quiet[0].String()) || v.At < h.Marks[0].At
	})
}
