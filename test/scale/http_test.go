package scale_test

import (
	"maps"
	"strconv"
	"testing"
)

// measured is how many calls in a second are no test of the loads alone, but measure.
const measured = 1000

// TestHTTP gives an empty server each of the loads that Nacos could be given.
func TestHTTP(t *testing.T) {
	w := newWorld(t)
	w.start("nobody.svc.muster.internal.", nothing)
	length, some, few := strconv.Itoa(*seconds)+"s", strconv.Itoa(max(*calls/3, 1)), strconv.Itoa(max(*calls/30, 1))
	w.registrations(length, some)
	for _, run := range [][]string{
		{"beat", "--light", "--services", some, "--instances", "10", "--rate", strconv.Itoa(*calls)},
		{"list", "--services", some, "--instances", "10", "--rate", strconv.Itoa(*calls)},
		{"publish", "--documents", some, "--rate", strconv.Itoa(max(*calls/10, 10))},
		{"get", "--documents", some, "--rate", strconv.Itoa(*calls)},
		{"listen", "--documents", few, "--listeners", strconv.Itoa(*calls), "--rate", "20"},
		{"mixed", "--services", some, "--instances", "10", "--rate", strconv.Itoa(*calls)},
	} {
		w.charged(append(run, "--duration", length))
	}
}

// registrations registers as fast as 64 clients go, and says how often etcd's log was
// written to the disk for it.
func (w *world) registrations(length, services string) {
	w.t.Helper()
	const syncs = "etcd_disk_wal_fsync_duration_seconds_count"
	before := w.metric(syncs)
	found := w.charged([]string{"register", "--keep", "--services", services, "--instances", "100", "--clients", "64", "--duration", length})
	if done := found.Runs[0].Kinds[0].Done; done > 0 {
		w.say("%.1f writes to the disk for 1,000 registrations", (w.metric(syncs)-before)/float64(done)*1000)
	}
}

// charged runs a load, of which nothing may go wrong, and says what the server spent on
// each call, all that the load makes and clears away included.
func (w *world) charged(args []string) found {
	w.t.Helper()
	etcd := children(w.t, w.PID())[0]
	server, stored := used(w.t, w.PID()), used(w.t, etcd)
	found := w.bench(args...)
	calls := found.Runs[0].Started
	w.say("muster-bench %s: %.0f µs of CPU a call in the server, %.0f in etcd", args[0], (used(w.t, w.PID())-server).Seconds()/float64(calls)*1e6,
		(used(w.t, etcd)-stored).Seconds()/float64(calls)*1e6)
	w.faultless(args, found)
	return found
}

// faultless demands that calls of each kind were answered, and that nothing went wrong.
// On a machine that others use too a server may have its hands full, and say so.
func (w *world) faultless(args []string, found found) {
	w.t.Helper()
	for _, run := range found.Runs {
		for _, k := range run.Kinds {
			faults := maps.Clone(k.Faults)
			if *calls < measured {
				delete(faults, "503")
			}
			if len(faults) > 0 || k.Done == 0 && len(k.Faults) > 0 {
				w.t.Errorf("%v: %s: %d done, %v, want no faults", args, k.Name, k.Done, k.Faults)
			}
		}
	}
}

// TestAgentBeats has many agents, of two instances each, beat every 5 s.
func TestAgentBeats(t *testing.T) {
	w := newWorld(t)
	w.start("nobody.svc.muster.internal.", nothing)
	n := *beats * 5
	troop := []string{"agents", "--keep", "--agents", strconv.Itoa(n), "--services", strconv.Itoa(max(n/10, 1)), "--instances", "20"}
	w.charged(append(troop, "--rate", "1", "--duration", "1s"))
	w.charged(append(troop, "--made", "--duration", strconv.Itoa(*seconds)+"s"))
}
