package faults_test

import (
	"testing"
	"time"

	"github.com/musterhq/muster/test/faults/check"
	"github.com/musterhq/muster/test/faults/cluster"
	"github.com/musterhq/muster/test/faults/history"
	"github.com/musterhq/muster/test/faults/sandbox"
)

// scenarios are what is done to clusters.
var scenarios = []struct {
	name  string
	short bool // part of the short run, too
	boxed bool // only inside the sandbox: it mounts, or cuts what no proxy stands before
	run   func(*testing.T)
}{
	{"servers are killed", true, false, serversKilled},
	{"the judge is stopped and goes on", false, false, judgeStopped},
	{"the store is away", true, false, storeAway},
	{"the store is slow", false, false, storeSlow},
	{"members of the store are killed", false, false, membersKilled},
	{"the majority is killed", false, false, majorityKilled},
	{"the power fails", false, false, powerFails},
	{"a server is cut off", false, false, serverCutOff},
	{"the disk is full", false, true, diskFull},
	{"the disk is full without a floor", false, true, diskFullWithoutFloor},
	{"the embedded store is killed", false, false, storeKilled},
	{"rolling restart", false, false, rollingRestart},
	{"a backup is restored", false, false, backupRestored},
	{"histories are linearizable", true, false, linearizable},
	{"planted bugs are caught", false, false, plantsCaught},
}

func TestFaults(t *testing.T) {
	for _, s := range scenarios {
		if !s.short && !*allFlag && !*longFlag {
			continue
		}
		if s.boxed && !sandbox.Inside() {
			t.Logf("without a sandbox left out: %s", s.name)
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			if !*allFlag && !*longFlag { // most of it is waiting
				t.Parallel()
			}
			s.run(t)
		})
	}
}

// serversKilled kills servers, again and again, also the judge.
func serversKilled(t *testing.T) {
	s := open(t, cluster.Config{Servers: 3}, scale())
	rounds := 2
	if *longFlag {
		rounds = 30
	}
	for range rounds {
		victim := s.some(1)[0]
		if s.random.IntN(3) == 0 {
			victim = s.judge()
		}
		s.pass(time.Duration(s.random.Int64N(int64(2 * time.Second))))
		s.fault(victim.Crash, "kill -9 of %s", victim.Name)
		s.pass(time.Second + time.Duration(s.random.Int64N(int64(3*time.Second))))
		s.heal(victim.Start, "start of %s", victim.Name)
		s.must(s.within(time.Minute, victim.Ready))
	}
	s.settle()
	s.verify(check.Limits{Lookups: true})
}

// judgeStopped stops the judge for longer than its office lasts, and lets it go
// on in the belief that it still has it.
func judgeStopped(t *testing.T) {
	s := open(t, cluster.Config{Servers: 3, External: 1}, scale())
	rounds := 1
	if *longFlag {
		rounds = 5
	}
	for range rounds {
		judge := s.judge()
		s.pass(time.Duration(s.random.Int64N(int64(3 * time.Second))))
		s.fault(judge.Pause, "SIGSTOP of %s, the judge", judge.Name)
		s.pass(20 * time.Second)
		s.heal(judge.Continue, "SIGCONT of %s", judge.Name)
		s.pass(5 * time.Second)
	}
	s.settle()
	s.verify(check.Limits{Lookups: true})
}

// storeAway stops an external etcd of one member.
func storeAway(t *testing.T) {
	s := open(t, cluster.Config{Servers: 3, External: 1}, scale())
	away := 8 * time.Second
	if *longFlag {
		away = time.Minute
	}
	s.pass(2 * time.Second)
	store := s.cluster.Etcds[0]
	if s.random.IntN(2) == 0 {
		s.fault(store.Pause, "SIGSTOP of the store")
		s.pass(away)
		s.failFast(away)
		s.heal(store.Continue, "SIGCONT of the store")
	} else {
		s.fault(store.Kill, "kill -9 of the store")
		s.pass(away)
		s.failFast(away)
		s.heal(store.Start, "start of the store")
	}
	s.pass(3 * time.Second)
	s.settle()
	s.verify(check.Limits{Lookups: true})
}

// storeSlow has the store stand still again and again, as one whose disk is slow:
// mostly for less than the time after which it counts as away.
func storeSlow(t *testing.T) {
	s := open(t, cluster.Config{Servers: 3, External: 1}, scale())
	rounds := 10
	if *longFlag {
		rounds = 60
	}
	store := s.cluster.Etcds[0]
	for range rounds {
		s.fault(store.Pause, "SIGSTOP of the store")
		s.pass(time.Duration(s.random.Int64N(int64(1500 * time.Millisecond))))
		s.heal(store.Continue, "SIGCONT of the store")
		s.pass(time.Duration(s.random.Int64N(int64(500 * time.Millisecond))))
	}
	s.settle()
	s.verify(check.Limits{Lookups: true})
}

// failFast demands that writes failed at once, but for the first seconds of the
// time for which the store was away, in which that is found out.
func (s *scene) failFast(away time.Duration) {
	s.Helper()
	s.stale(s.cluster.Servers...)
	now, tried := s.recorder.Now(), 0
	for _, w := range s.recorder.History().Writes {
		if w.Begin < now-away+5*time.Second {
			continue
		}
		if tried++; w.Outcome == history.Done || !w.Retryable || w.End-w.Begin > time.Second {
			s.Errorf("a write while the store is away: %+v, want 503 within a second", w)
		}
	}
	if tried == 0 {
		s.Error("no write was tried while the store was away")
	}
}

// membersKilled takes one of three members of an external etcd, then two.
func membersKilled(t *testing.T) {
	s := open(t, cluster.Config{Servers: 3, External: 3}, scale())
	for _, n := range []int{1, 2} {
		order := s.random.Perm(3)[:n]
		s.pass(3 * time.Second)
		for _, i := range order {
			e := s.cluster.Etcds[i]
			s.fault(e.Kill, "kill -9 of %s, one of %d", e.Name, n)
		}
		s.pass(20 * time.Second)
		if n == 2 {
			s.stale(s.cluster.Servers...)
		}
		for _, i := range order {
			e := s.cluster.Etcds[i]
			s.heal(e.Start, "start of %s", e.Name)
		}
	}
	s.pass(5 * time.Second)
	s.settle()
	s.verify(check.Limits{Lookups: true})
}

// majorityKilled takes two of three servers with embedded members: the third
// one goes on without a quorum.
func majorityKilled(t *testing.T) {
	s := open(t, cluster.Config{Servers: 3}, scale())
	s.pass(2 * time.Second)
	victims := s.some(2)
	for _, v := range victims {
		s.fault(v.Crash, "kill -9 of %s", v.Name)
		s.pass(time.Duration(s.random.Int64N(int64(3 * time.Second))))
	}
	s.pass(20 * time.Second)
	for _, server := range s.cluster.Servers {
		if server.Running() {
			s.stale(server)
		}
	}
	for _, v := range victims {
		s.heal(v.Start, "start of %s", v.Name)
	}
	s.pass(5 * time.Second)
	s.settle()
	s.verify(check.Limits{Lookups: true})
}

// powerFails takes all servers at once, for longer than the timeouts last in the
// short run: what beats must come back, what was acknowledged must be there.
func powerFails(t *testing.T) {
	s := open(t, cluster.Config{Servers: 3}, scale())
	for range 2 {
		s.pass(3 * time.Second)
		for _, server := range s.cluster.Servers {
			s.fault(server.Crash, "power failure of %s", server.Name)
		}
		s.pass(time.Duration(s.random.Int64N(int64(12 * time.Second))))
		for _, server := range s.some(3) {
			s.heal(server.Start, "start of %s", server.Name)
		}
		s.must(s.within(time.Minute, s.cluster.Ready))
	}
	s.settle()
	s.verify(check.Limits{})
}

// serverCutOff cuts one server off from the store, and from its peers alone.
func serverCutOff(t *testing.T) {
	s := open(t, cluster.Config{Servers: 3, External: 1}, scale())
	rounds := 1
	if *longFlag {
		rounds = 3
	}
	for range rounds {
		judge := s.judge()
		for _, victim := range []*cluster.Server{judge, s.some(1)[0]} {
			s.cut(victim.Name, []string{s.cluster.Etcds[0].Name}, 25*time.Second, func() { s.stale(victim) })
			var peers []string
			for _, p := range s.cluster.Servers {
				if p != victim {
					peers = append(peers, p.Name)
				}
			}
			if sandbox.Inside() {
				s.cut(victim.Name, peers, 25*time.Second, func() { s.alone(victim) })
			} else {
				s.Log("without a sandbox left out: a cut between servers")
			}
		}
	}
	s.settle()
	s.verify(check.Limits{Lookups: true})
}

// cut separates a node from others for some time, at the end of which it looks
// whether that was felt.
func (s *scene) cut(victim string, others []string, d time.Duration, felt func()) {
	s.Helper()
	s.pass(time.Duration(s.random.Int64N(int64(3 * time.Second))))
	each := func(do func(a, b string) error) func() error {
		return func() error {
			for _, o := range others {
				if err := do(victim, o); err != nil {
					return err
				}
			}
			return nil
		}
	}
	s.fault(each(s.network.Cut), "%s cut off from %v", victim, others)
	s.pass(d)
	felt()
	s.heal(each(s.network.Mend), "%s joined with %v again", victim, others)
	s.pass(10 * time.Second)
}

// stale demands that servers say of themselves that the store does not answer.
func (s *scene) stale(servers ...*cluster.Server) {
	s.Helper()
	for _, server := range servers {
		state, err := server.Status(s.ctx)
		s.must(err)
		if !state.Stale || state.AgeMs < 5000 {
			s.Errorf("%s says stale=%t, age %d ms, and the store was away", server.Name, state.Stale, state.AgeMs)
		}
	}
}

// alone demands that a server reaches no other one.
func (s *scene) alone(server *cluster.Server) {
	s.Helper()
	list, err := server.Peers(s.ctx)
	s.must(err)
	for _, other := range list.Servers {
		if !other.Self && other.Reachable {
			s.Errorf("%s reaches %s, from which it was cut off", server.Name, other.HTTP)
		}
	}
}

// rollingRestart restarts one server after another, as an upgrade does.
func rollingRestart(t *testing.T) {
	s := open(t, cluster.Config{Servers: 3}, scale())
	for _, server := range s.some(3) {
		s.fault(server.Stop, "stop of %s", server.Name)
		s.heal(server.Start, "start of %s", server.Name)
		s.must(s.within(time.Minute, server.Ready))
		s.pass(3 * time.Second)
	}
	s.settle()
	s.verify(check.Limits{Lookups: true, Writes: true})
}
