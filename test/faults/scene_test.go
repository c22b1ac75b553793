package faults_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/musterhq/muster/test/faults/check"
	"github.com/musterhq/muster/test/faults/cluster"
	"github.com/musterhq/muster/test/faults/history"
	"github.com/musterhq/muster/test/faults/load"
)

// scene is a cluster under load whose history is written down.
type scene struct {
	*testing.T

	ctx      context.Context //nolint:containedctx // it is the test's, with a bound
	cluster  *cluster.Cluster
	network  cluster.Network
	load     *load.Load
	recorder *history.Recorder
	random   *rand.Rand
	size     size
	dir      string
	closed   bool
}

// size is how large and how long a scenario is.
type size struct {
	services, beaters, agents, perAgent, churners, resolvers int
	timeouts                                                 history.Timeouts
	call                                                     time.Duration
}

// scale returns the size of the short run, or of the long one.
func scale() size {
	if *longFlag {
		return size{services: 40, beaters: 500, agents: 50, perAgent: 10, churners: 4, resolvers: 2, // 1,000 instances
			timeouts: history.Timeouts{Interval: 5 * time.Second, Unhealthy: 15 * time.Second, Delete: 30 * time.Second}}
	}
	return small()
}

func small() size {
	return size{services: 4, beaters: 12, agents: 4, perAgent: 2, churners: 2, resolvers: 1, call: time.Second,
		timeouts: history.Timeouts{Interval: time.Second, Unhealthy: 5 * time.Second, Delete: 8 * time.Second}}
}

// open starts a cluster and its load. Everything ends with the test.
func open(t *testing.T, c cluster.Config, of size) *scene {
	t.Helper()
	s := &scene{T: t, recorder: history.NewRecorder(), random: randomOf(t.Name()), dir: t.TempDir(), size: of}
	var cancel context.CancelFunc
	s.ctx, cancel = context.WithTimeout(context.WithoutCancel(t.Context()), 50*time.Minute)
	t.Cleanup(cancel)
	c.Dir = filepath.Join(s.dir, "cluster")
	agents := filepath.Join(s.dir, "agents")
	for _, dir := range []string{c.Dir, agents} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if s.network, err = cluster.NewNetwork(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	c.Network, c.Muster, c.Etcd = s.network, cmp.Or(c.Muster, os.Getenv(variableMuster)), os.Getenv(variableEtcd)
	if s.cluster, err = cluster.New(c); err != nil {
		t.Fatal(err)
	}
	s.must(s.within(time.Minute, s.cluster.Start))
	var targets []load.Target
	for _, server := range s.cluster.Servers {
		targets = append(targets, load.Target{Name: server.Name, URL: server.URL(), DNS: server.DNS})
	}
	s.load = load.New(load.Config{
		Servers: targets, Recorder: s.recorder, Seed: seed(), Dir: agents,
		Services: of.services, Beaters: of.beaters, Agents: of.agents, InstancesPerAgent: of.perAgent,
		Churners: of.churners, Resolvers: of.resolvers, Timeouts: of.timeouts, CallTimeout: of.call,
	})
	s.must(s.within(2*time.Minute, s.load.Start))
	return s
}

// within runs f with a bound.
func (s *scene) within(d time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(s.ctx, d)
	defer cancel()
	return f(ctx)
}

func (s *scene) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// pass lets time go by under load. Servers that end by themselves meanwhile are
// told of by the scenario's next step.
func (s *scene) pass(d time.Duration) {
	select {
	case <-time.After(d):
	case <-s.ctx.Done():
	}
}

// fault breaks something, and heal repairs it; both write it down.
func (s *scene) fault(do func() error, format string, args ...any) {
	s.Helper()
	s.recorder.Mark(history.Fault, format, args...)
	s.must(do())
}

func (s *scene) heal(do func() error, format string, args ...any) {
	s.Helper()
	s.must(do())
	s.recorder.Mark(history.Heal, format, args...)
}

// settle waits until everything works again, ends the writes and the beats of a
// few instances, and lets those go and what is behind catch up.
func (s *scene) settle() {
	s.Helper()
	s.must(s.within(time.Minute, s.cluster.Ready))
	s.recorder.Mark(history.Judged, "%s judges", s.judge().Name)
	s.load.Settle()
	silent := s.load.Silence(2)
	s.recorder.Mark(history.Quiet, "everything is repaired; silent from now on: %v", silent)
	// The delete timeout, the grace the checker gives, and time to read.
	s.pass(s.size.timeouts.Delete + 5*time.Second + 3*time.Second)
}

// verify ends the load and reports what must not have happened.
func (s *scene) verify(l check.Limits) {
	s.Helper()
	h, found := s.examine(l)
	if len(found) == 0 {
		return
	}
	kept := s.keep(h)
	s.Errorf("seed %d: %d violations (history and logs: %s)\n%s", seed(), len(found), kept, check.Summary(found, 5))
}

// examine ends the load and returns its history and what is wrong with it.
func (s *scene) examine(l check.Limits) (history.History, []check.Violation) {
	s.Helper()
	h := s.recorder.History()
	s.must(s.load.Err())
	s.close()
	s.Log(told(h))
	if problem := vacuous(h); problem != "" {
		s.Errorf("the history proves nothing: %s", problem)
	}
	return h, check.History(h, l)
}

// vacuous says what a history lacks that every check needs.
func vacuous(h history.History) string {
	reads, beats := make(map[string]int), 0
	for _, r := range h.Reads {
		if r.Answered {
			reads[r.Door]++
		}
	}
	for _, b := range h.Beats {
		if b.Accepted {
			beats++
		}
	}
	for _, door := range []string{history.HTTP, history.Healthy, history.Nacos, history.DNS} {
		if reads[door] == 0 {
			return "no read by " + door
		}
	}
	switch {
	case len(h.Beating) > 0 && beats == 0:
		return "no beat was accepted"
	case !slices.ContainsFunc(h.Reads, func(r history.Read) bool { return r.Age >= 0 }):
		return "no answer publishes an age"
	case !slices.ContainsFunc(h.Reads, func(r history.Read) bool { return r.HasSerial && r.Door == history.DNS }):
		return "no DNS answer could be tied to a serial"
	case !slices.ContainsFunc(h.States, func(s history.State) bool { return len(s.Digests) > 0 }):
		return "no server publishes digests"
	case !slices.ContainsFunc(h.States, func(s history.State) bool { return s.Silenced >= 0 }):
		return "no server counts its verdicts"
	}
	return ""
}

// told says in a line what a history holds.
func told(h history.History) string {
	writes := make(map[history.Outcome]int)
	for _, w := range h.Writes {
		writes[w.Outcome]++
	}
	failed := 0
	for _, l := range h.Lookups {
		if !l.Answered {
			failed++
		}
	}
	var faults []string
	for _, m := range h.Marks {
		faults = append(faults, fmt.Sprintf("%.1fs %s", m.At.Seconds(), m.What))
	}
	return fmt.Sprintf("%d beats, writes %v, %d reads, %d lookups (%d unanswered), %d states; %q",
		len(h.Beats), writes, len(h.Reads), len(h.Lookups), failed, len(h.States), faults)
}

// keep writes the history beside the logs and returns where they stay.
func (s *scene) keep(h history.History) string {
	s.Helper()
	if *keepFlag == "" {
		return "not kept, see -faults.keep"
	}
	to := filepath.Join(*keepFlag, fmt.Sprintf("%s-%d", filepath.Base(s.Name()), seed()))
	s.must(os.MkdirAll(to, 0o700))
	f, err := os.Create(filepath.Join(to, "history.jsonl"))
	s.must(err)
	defer f.Close()
	s.must(h.Dump(f))
	logs, _ := filepath.Glob(filepath.Join(s.dir, "cluster", "*.log")) // the pattern is right
	for _, path := range logs {
		b, err := os.ReadFile(path)
		s.must(err)
		s.must(os.WriteFile(filepath.Join(to, filepath.Base(path)), b, 0o600))
	}
	return to
}

// close ends load and cluster. It may be called again.
func (s *scene) close() {
	if s.closed {
		return
	}
	s.closed = true
	if s.load != nil {
		if err := s.load.Stop(); err != nil {
			s.Error(err)
		}
	}
	if s.cluster != nil {
		if err := s.cluster.Close(); err != nil {
			s.Error(err)
		}
	}
	if err := s.network.Close(); err != nil {
		s.Error(err)
	}
}

// some returns n of the servers, in random order.
func (s *scene) some(n int) []*cluster.Server {
	all := slices.Clone(s.cluster.Servers)
	s.random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:n]
}

// judge returns the server that judges.
func (s *scene) judge() *cluster.Server {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, 30*time.Second)
	defer cancel()
	judge, err := s.cluster.AwaitJudge(ctx, nil)
	s.must(err)
	return judge
}
