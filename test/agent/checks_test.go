package agent_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/test/binary"
)

// long reports whether tests may take their time, and judge that of others.
func long() bool { return os.Getenv("MUSTER_LONG") != "" }

// app is a program whose health a test sets.
type app struct {
	mu    sync.Mutex
	tries int            // under mu
	when  []time.Time    // of the tries; under mu
	fails func(int) bool // whether the n-th try fails; under mu
}

func newApp(t *testing.T) (a *app, url string) {
	t.Helper()
	a = &app{fails: func(int) bool { return false }}
	s := httptest.NewServer(a)
	t.Cleanup(s.Close)
	return a, s.URL
}

func (a *app) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fails(a.tries) {
		w.WriteHeader(http.StatusInternalServerError)
	}
	a.tries++
	a.when = append(a.when, time.Now())
}

// from makes fails the rule for the tries from now on, which it counts from 0.
func (a *app) from(fails func(int) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	base := a.tries
	a.fails = func(n int) bool { return fails(n - base) }
}

func (a *app) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.tries
}

// events are what a server tells of one service: its health at each change.
type events struct {
	mu  sync.Mutex
	all []string // under mu
}

func (e *events) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return strings.Join(e.all, " ")
}

func (e *events) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.all)
}

// watchService collects the events of a service until the test ends.
func watchService(t *testing.T, c *client.Client, name string) *events {
	t.Helper()
	e := &events{}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); wg.Wait() })
	wg.Go(func() {
		_ = c.Watch(ctx, client.WatchAll, client.WatchFilter{Service: name}, func(ev client.Event) error {
			if ev.Kind != api.EventService {
				return nil
			}
			e.mu.Lock()
			defer e.mu.Unlock()
			for _, i := range ev.Service.Instances {
				word := "passing"
				if i.Healthy != nil && !*i.Healthy {
					word = "critical"
				}
				e.all = append(e.all, word)
			}
			for range ev.Service.Gone {
				e.all = append(e.all, "gone")
			}
			return nil
		})
	})
	return e
}

// define writes a definition file.
func define(t *testing.T, data, name, content string) {
	t.Helper()
	dir := filepath.Join(data, "services.d")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// checkStatus is what an agent says of a check.
type checkStatus struct {
	Name, State, Error, Note, Took string
	Since                          time.Time
	Flapping                       bool
}

// checksOf returns the checks of the only instance, and whether it is withdrawn.
func checksOf(t *testing.T, address string) (all []checkStatus, withdrawn bool) {
	t.Helper()
	var s struct {
		Instances []struct {
			Withdrawn bool
			Checks    []checkStatus
		}
	}
	if !getJSON(t, "http://"+address+"/v1/status", &s) || len(s.Instances) != 1 {
		return nil, false
	}
	return s.Instances[0].Checks, s.Instances[0].Withdrawn
}

// One failure below the threshold changes nothing that a server tells, and as many
// as it asks for do within as many intervals. What fails every other time changes
// 4 times at the most, and is then held until it is steady.
func TestThresholdsAndFlapping(t *testing.T) {
	interval := 100 * time.Millisecond
	if long() {
		interval = 2 * time.Second
	}
	server, c := start(t)
	data := t.TempDir()
	calm, calmURL := newApp(t)
	calmEvents, wildEvents := watchService(t, c, "calm"), watchService(t, c, "wild")
	define(t, data, "calm.yaml", fmt.Sprintf("services:\n  - {name: calm, address: 127.0.0.1, port: 1, checks: [{name: page, http: '%s', interval: %v, timeout: 10s, fall: 3}]}\n", calmURL, interval))
	agent := startAgent(t, server, data, "")
	tries := func(a *app, n int) {
		t.Helper()
		at := a.count()
		agent.AwaitFor(time.Minute, "more tries", func() bool { return a.count() >= at+n })
	}
	agent.Await("a first verdict", func() bool { return strings.HasSuffix(calmEvents.String(), "passing") })
	tries(calm, 2)
	before := calmEvents.count()
	for range 3 { // one, and two in a row, are not three
		calm.from(func(n int) bool { return n == 0 || n == 2 || n == 3 })
		tries(calm, 6)
	}
	if n := calmEvents.count(); n != before {
		t.Errorf("events = %v, want none of failures below the threshold", calmEvents)
	}
	calm.from(func(int) bool { return true })
	began, tried := time.Now(), calm.count()
	agent.AwaitFor(time.Minute, "unhealthy", func() bool { return strings.HasSuffix(calmEvents.String(), "critical") })
	took, more := time.Since(began), calm.count()-tried
	t.Logf("unhealthy after %v and %d tries at %v", took, more, interval)
	if more < 3 {
		t.Errorf("unhealthy after %d failures, want 3", more)
	}
	if long() && took > 3*interval+time.Second {
		t.Errorf("unhealthy after %v, want at most 3 intervals and 1 s", took)
	}
	if n := calmEvents.count(); n != before+1 {
		t.Errorf("events = %v, want one more", calmEvents)
	}

	wild, wildURL := newApp(t)
	wild.from(func(n int) bool { return n%2 == 1 })
	if err := os.Remove(filepath.Join(data, "services.d", "calm.yaml")); err != nil {
		t.Fatal(err)
	}
	define(t, data, "wild.yaml", fmt.Sprintf("services:\n  - {name: wild, address: 127.0.0.1, port: 2, checks: [{name: page, http: '%s', interval: %v, timeout: 10s}]}\n", wildURL, interval))
	tries(wild, 20)
	api := agentAPI(t, agent, data)
	agent.Await("it is held", func() bool {
		all, _ := checksOf(t, api)
		return len(all) == 1 && all[0].Name == "page" && all[0].Flapping && all[0].State == "critical" && !all[0].Since.IsZero()
	})
	held := 0
	agent.Await("the watch has told all of it", func() bool {
		before := held
		held = wildEvents.count()
		tries(wild, 5)
		return held == before && strings.HasSuffix(wildEvents.String(), "critical")
	})
	tries(wild, 20)
	t.Logf("events of what fails every other time: %v", wildEvents)
	// An instance is told of as unhealthy before its first verdict, or with it.
	if n := wildEvents.count(); n != held || n > 5 || !strings.HasSuffix(wildEvents.String(), "critical") {
		t.Errorf("events = %v, want at most 4 changes, and then none", wildEvents)
	}
	wild.from(func(int) bool { return false })
	agent.AwaitFor(time.Minute, "healthy again", func() bool { return strings.HasSuffix(wildEvents.String(), "passing") })
}

// An instance whose check has been critical for too long is withdrawn, and back
// when its checks pass.
func TestDeregisterAfter(t *testing.T) {
	server, c := start(t)
	data := t.TempDir()
	a, url := newApp(t)
	e := watchService(t, c, "gone")
	define(t, data, "a.yaml", fmt.Sprintf("services:\n  - {name: gone, address: 127.0.0.1, port: 1, checks: [{http: '%s', interval: 50ms, timeout: 10s, deregister_after: 500ms}]}\n", url))
	agent := startAgent(t, server, data, "")
	agent.Await("healthy", func() bool { return strings.HasSuffix(e.String(), "passing") })
	a.from(func(int) bool { return true })
	gone := func() bool {
		list, err := c.Instances(t.Context(), client.Name{Name: "gone"}, client.InstanceQuery{})
		return errors.Is(err, client.ErrNotFound) || err == nil && len(list.Instances) == 0
	}
	agent.Await("withdrawn", gone)
	if all, withdrawn := checksOf(t, agentAPI(t, agent, data)); !withdrawn || len(all) != 1 || all[0].State != "critical" {
		t.Errorf("status = %+v, %v, want it to say so", all, withdrawn)
	}
	a.from(func(int) bool { return false })
	agent.Await("back", func() bool { return !gone() && strings.HasSuffix(e.String(), "passing") })
}

// A program that starts another, and both hang, is killed with it at the timeout
// of its check: none of them stays, nor a zombie.
func TestProgramsThatHang(t *testing.T) {
	runs := 30
	if long() {
		runs = 1000
	}
	server, _ := start(t)
	data, dir := t.TempDir(), t.TempDir()
	script := filepath.Join(dir, "check")
	body := fmt.Sprintf("#!/bin/sh\ntrap '' TERM\nsleep 1000 &\nsetsid sleep 1000 &\necho $$ $! >>%s/started\nwait\n", dir)
	if err := os.WriteFile(script, []byte(body), 0o700); err != nil {
		t.Fatal(err)
	}
	define(t, data, "a.yaml", "services:\n  - name: hangs\n    address: 127.0.0.1\n    port: 1\n    checks:\n"+
		strings.Repeat(fmt.Sprintf("      - {exec: [%s], interval: 100ms, timeout: 100ms}\n", script), 4))
	agent := startAgent(t, server, data, "")
	started := func() []string {
		b, _ := os.ReadFile(filepath.Join(dir, "started"))
		return strings.Fields(string(b))
	}
	zombies := 0
	agent.AwaitFor(10*time.Minute, "all runs", func() bool {
		zombies = max(zombies, len(children(agent.PID(), 'Z')))
		return len(started()) >= 2*runs
	})
	if all, _ := checksOf(t, agentAPI(t, agent, data)); len(all) != 4 || !strings.HasPrefix(all[0].Error, "no answer in time") || all[0].State != "critical" {
		t.Errorf("checks = %+v, want critical for want of an answer", all)
	}
	// No more are begun, and those under way are killed.
	if err := os.Remove(filepath.Join(data, "services.d", "a.yaml")); err != nil {
		t.Fatal(err)
	}
	agent.Await("an end of all children", func() bool { return len(children(agent.PID(), 0)) == 0 })
	for _, text := range started() {
		pid, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		binary.Eventually(t, time.Minute, fmt.Sprintf("the end of process %d", pid), func() bool { // it was killed, and needs a processor to end
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			line := strings.ReplaceAll(string(b), "\x00", " ")
			return err != nil || !strings.Contains(line, script) && line != "sleep 1000 "
		})
	}
	t.Logf("%d runs; zombies seen at once, those that are about to be waited for: %d; in the end none", len(started())/2, zombies)
}

// children returns the children of a process that are in this state, 0 for any.
func children(parent int, state byte) (all []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(parent) && (state == 0 || fields[0][0] == state) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			all = append(all, pid)
		}
	}
	return all
}

// A program that prints without end makes the agent no larger.
func TestProgramsThatPrintMuch(t *testing.T) {
	server, _ := start(t)
	data := t.TempDir()
	runs := filepath.Join(t.TempDir(), "runs")
	check := func(name string, bytes int) {
		define(t, data, "a.yaml", fmt.Sprintf("services:\n  - name: prints\n    address: 127.0.0.1\n    port: 1\n    checks:\n"+
			"      - {name: %s, exec: [/bin/sh, -c, 'head -c %d /dev/zero; echo %s >>%s; exit 1'], interval: 200ms, timeout: 1m}\n", name, bytes, name, runs))
	}
	agent := &binary.Process{}
	most := func(name string, n int) (peak float64) {
		agent.AwaitFor(2*time.Minute, name, func() bool {
			own, _ := memory(t, agent.PID())
			b, _ := os.ReadFile(runs)
			if strings.Contains(string(b), name) {
				peak = max(peak, own)
			}
			return strings.Count(string(b), name) >= n
		})
		return peak
	}
	little, much := 25, 3
	if long() {
		little, much = 200, 20
	}
	check("little", 100)
	agent = startAgent(t, server, data, "")
	before := most("little", little)
	check("much", 100_000_000)
	after := most("much", much)
	t.Logf("%d runs of 100 bytes: at most %.2f MiB; %d of 100 MB: %.2f MiB", little, before, much, after)
	bound := 4.0
	if long() {
		bound = 1 // the garbage collector has come to rest by then
	}
	if after-before > bound {
		t.Errorf("the agent has grown by %.2f MiB, want at most %v", after-before, bound)
	}
}

// Of 1,000 checks every 10 s all have a result within 10 s, no more are tried at
// once than may be, and later on they are spread out, which long runs look at:
// package probe tests the same in virtual time.
func TestThousandChecks(t *testing.T) {
	const services, each, interval = 100, 10, 10 * time.Second
	var mu sync.Mutex
	var busy, peak int
	var began time.Time // of the first try
	first, tries := map[string]time.Time{}, []time.Time{}
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		busy++
		peak = max(peak, busy)
		if began.IsZero() {
			began = time.Now()
		}
		if _, known := first[r.URL.Path]; !known {
			first[r.URL.Path] = time.Now()
		}
		tries = append(tries, time.Now())
		mu.Unlock()
		<-time.After(20 * time.Millisecond)
		mu.Lock()
		busy--
		mu.Unlock()
	}))
	t.Cleanup(s.Close)
	server, _ := start(t)
	data := t.TempDir()
	var b strings.Builder
	b.WriteString("services:\n")
	for i := range services {
		fmt.Fprintf(&b, "  - name: s%d\n    address: 127.0.0.1\n    port: %d\n    checks:\n", i, i+1)
		for j := range each {
			fmt.Fprintf(&b, "      - {http: '%s/%d/%d', interval: %v, timeout: 10s}\n", s.URL, i, j, interval)
		}
	}
	define(t, data, "a.yaml", b.String())
	agent := startAgent(t, server, data, "")
	agent.AwaitFor(2*time.Minute, "a first try of all", func() bool { mu.Lock(); defer mu.Unlock(); return len(first) == services*each })
	mu.Lock()
	took := time.Since(began)
	t.Logf("all %d tried after %v, at most %d at once", services*each, took, peak)
	if peak > 128 {
		t.Errorf("%d at once, want at most 128", peak)
	}
	mu.Unlock()
	if !long() {
		return
	}
	if took > interval {
		t.Errorf("first tries took %v, want at most %v", took, interval)
	}
	<-time.After(2 * interval)
	mu.Lock()
	from := time.Now()
	mu.Unlock()
	cpu := processorTime(t, agent.PID())
	<-time.After(3 * interval)
	share := (processorTime(t, agent.PID()) - cpu).Seconds() / (3 * interval).Seconds()
	mu.Lock()
	defer mu.Unlock()
	var buckets [10]int
	for _, at := range tries {
		if since := at.Sub(from); since >= 0 && since < 3*interval {
			buckets[since%interval*10/interval]++
		}
	}
	own, _ := memory(t, agent.PID())
	t.Logf("tries by tenths of the interval, of three: %v; at most %d at once; %.1f %% of a core, %.1f MiB", buckets, peak, 100*share, own)
	for _, n := range buckets {
		if n < 180 || n > 420 {
			t.Errorf("buckets = %v, want each around 300", buckets)
			break
		}
	}
	if peak > 128 {
		t.Errorf("%d at once, want at most 128", peak)
	}
}
