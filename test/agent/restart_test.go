package agent_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/musterhq/muster/agent"
	"github.com/musterhq/muster/agent/roll"
	"github.com/musterhq/muster/agent/source"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/test/binary"
)

// host is an agent as a process, with a data directory of its own.
type host struct {
	*binary.Process

	t         *testing.T
	data, dir string // dir of the definitions
}

// newHost starts an agent of the server with definition files.
func newHost(t *testing.T, server, data, id string, files map[string]string, args ...string) *host {
	t.Helper()
	h := &host{t: t, data: data, dir: filepath.Join(t.TempDir(), "services.d")}
	if err := os.MkdirAll(h.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		h.define(name, content)
	}
	all := []string{"agent", "--server", "http://" + server, "--data-dir", data, "--services", h.dir, "--http", "127.0.0.1:0",
		"--dns", "off", "--address", "127.0.0.1", "--drain-wait", "0s"}
	if id != "" {
		all = append(all, "--id", id)
	}
	h.Process = binary.Start(t, binary.Muster(), append(all, args...)...)
	return h
}

func (h *host) define(name, content string) {
	h.t.Helper()
	temp := filepath.Join(h.dir, "."+name)
	if err := os.WriteFile(temp, []byte(content), 0o600); err != nil {
		h.t.Fatal(err)
	}
	if err := os.Rename(temp, filepath.Join(h.dir, name)); err != nil {
		h.t.Fatal(err)
	}
}

// status returns what the agent says of itself, and false when it does not answer.
func (h *host) status() (s agent.Status, ok bool) {
	b, err := os.ReadFile(filepath.Join(h.data, "addresses.json"))
	if err != nil {
		return s, false
	}
	var at struct{ HTTP string }
	if json.Unmarshal(b, &at) != nil {
		return s, false
	}
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at.HTTP+"/v1/status", http.NoBody)
	if err != nil {
		return s, false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return s, false
	}
	defer resp.Body.Close()
	return s, json.NewDecoder(resp.Body).Decode(&s) == nil
}

// awaitStatus waits until the status is as ok wants it.
func (h *host) awaitStatus(what string, ok func(agent.Status) bool) (s agent.Status) {
	h.t.Helper()
	h.Await(what, func() bool {
		var answered bool
		s, answered = h.status()
		return answered && ok(s)
	})
	return s
}

// inStep reports whether a server has all, with all healthy.
func inStep(s agent.Status) bool {
	return !s.Server.Reached.IsZero() && s.Server.Error == "" && len(s.Instances) > 0 &&
		!slices.ContainsFunc(s.Instances, func(i rollStatus) bool { return i.Health != api.HealthPassing })
}

// told collects what a server tells of its services from now on.
type told struct {
	mu  sync.Mutex
	all []string // under mu
}

// watchEvents returns once the watch has begun.
func watchEvents(t *testing.T, c *client.Client) *told {
	t.Helper()
	e := &told{}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); wg.Wait() })
	synced := make(chan struct{})
	begun := sync.OnceFunc(func() { close(synced) })
	wg.Go(func() {
		_ = c.Watch(ctx, client.WatchAll, client.WatchFilter{}, func(ev client.Event) error {
			e.mu.Lock()
			defer e.mu.Unlock()
			switch ev.Kind {
			case api.EventSynced:
				begun()
			case api.EventService:
				select {
				case <-synced:
					b, _ := json.Marshal(ev.Service) // of types that can be
					e.all = append(e.all, string(b))
				default:
				}
			case api.EventRemoved:
				e.all = append(e.all, "removed "+ev.Removed.Name)
			}
			return nil
		})
	})
	select {
	case <-synced:
	case <-time.After(time.Minute):
		t.Fatal("no events")
	}
	return e
}

func (e *told) seen() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.all)
}

func revision(t *testing.T, c *client.Client) int64 {
	t.Helper()
	list, err := c.Agents(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list.Revision
}

// An agent that is killed and started again is seen by nobody, and sends no set.
func TestRestartThatNobodySees(t *testing.T) {
	server, c := start(t)
	h := newHost(t, server.HTTP, t.TempDir(), "", map[string]string{
		"a.yaml": fmt.Sprintf("services: [{name: a, port: 80, checks: [{tcp: '%s', interval: 200ms, timeout: 10s}]}, {name: b, port: 81, weight: 3}]", server.HTTP),
	})
	first := h.awaitStatus("the set", func(s agent.Status) bool { return inStep(s) && s.Server.Sets > 0 })
	binary.Eventually(t, time.Minute, "the health of a", func() bool {
		list, err := c.Instances(t.Context(), client.Name{Name: "a"}, client.InstanceQuery{Healthy: true})
		return err == nil && list.Total == 1
	})
	e, before := watchEvents(t, c), revision(t, c)
	rounds, down := 2, time.Second
	if long() {
		rounds, down = 5, 9*time.Second
	}
	for range rounds {
		h.Kill()
		_ = os.Remove(filepath.Join(h.data, "addresses.json"))
		<-time.After(down)
		began := time.Now()
		h.Restart()
		s := h.awaitStatus("the beat", inStep)
		if s.Incarnation != first.Incarnation || s.Server.Sets != 0 {
			t.Errorf("incarnation = %s, sets = %d, want %s and none", s.Incarnation, s.Server.Sets, first.Incarnation)
		}
		t.Logf("down %v, in step again after %v", down, time.Since(began).Round(time.Millisecond))
	}
	if s, ok := h.status(); !ok || s.Server.Sets != 0 {
		t.Errorf("sets = %+v, want none", s.Server)
	}
	if now := revision(t, c); now != before {
		t.Errorf("revision = %d, want %d as before", now, before)
	}
	if all := e.seen(); len(all) != 0 {
		t.Errorf("events = %v, want none", all)
	}
}

// Agents find a server that was down again within seconds, and need not say
// anything twice.
func TestServerDown(t *testing.T) {
	server, c := start(t)
	agents, down := 5, 4*time.Second
	if long() {
		agents, down = 20, 2*time.Minute
	}
	var hosts []*host
	for n := range agents {
		hosts = append(hosts, newHost(t, server.HTTP, t.TempDir(), fmt.Sprintf("host-%d", n), map[string]string{
			"a.yaml": fmt.Sprintf("services: [{name: a, port: %d}]", 1000+n),
		}))
	}
	for _, h := range hosts {
		h.awaitStatus("the set", inStep)
	}
	before := revision(t, c)
	server.Kill()
	killed := time.Now()
	<-time.After(down)
	server.RestartServer()
	ready := time.Now()
	var times []time.Duration
	for _, h := range hosts {
		s := h.awaitStatus("the server", func(s agent.Status) bool { return inStep(s) && s.Server.Reached.After(killed) })
		times = append(times, max(s.Server.Reached.Sub(ready), 0))
		if s.Server.Sets != 1 {
			t.Errorf("%s sent %d sets, want that of the beginning alone", s.ID, s.Server.Sets)
		}
	}
	slices.Sort(times)
	t.Logf("server down %v: %d agents back after %v at the median, %v at the most", down, agents, times[len(times)/2].Round(time.Millisecond), times[len(times)-1].Round(time.Millisecond))
	if last := times[len(times)-1]; long() && last > 5*time.Second {
		t.Errorf("the last came after %v, want 5 s at the most", last)
	}
	if list, err := c.Instances(t.Context(), client.Name{Name: "a"}, client.InstanceQuery{Healthy: true}); err != nil || list.Total != agents {
		t.Errorf("healthy instances = %d, %v, want %d", list.Total, err, agents)
	}
	if now := revision(t, c); now != before {
		t.Logf("revision %d after %d: the server's own", now, before)
	}
}

// shared is an instance that several agents define, judged within seconds.
const shared = `services: [{name: shared, port: 80, address: 192.0.2.1, metadata: {by: %s,
  preserved.heart.beat.interval: "500", preserved.heart.beat.timeout: "6000", preserved.ip.delete.timeout: "12000"}}]`

// The second agent of an instance stands by, and nobody is answered without it
// when the first goes, however it goes.
func TestStandby(t *testing.T) {
	server, c := start(t)
	hosts := map[string]*host{}
	for _, id := range []string{"one", "two"} {
		hosts[id] = newHost(t, server.HTTP, t.TempDir(), id, map[string]string{"a.yaml": fmt.Sprintf(shared, id)})
		hosts[id].awaitStatus("the set", inStep)
	}
	by := func() string {
		list, err := c.Instances(t.Context(), client.Name{Name: "shared"}, client.InstanceQuery{Healthy: true})
		if err != nil {
			t.Fatal(err)
		}
		if list.Total != 1 || len(list.Instances) != 1 {
			t.Errorf("%d instances are answered, want 1 all along", list.Total)
			return ""
		}
		return list.Instances[0].Metadata["by"]
	}
	waits := func(id, on string) {
		t.Helper()
		hosts[id].awaitStatus(id+" to stand by", func(s agent.Status) bool {
			return len(s.Instances) == 1 && strings.Contains(s.Instances[0].Standby, "agent "+on)
		})
	}
	has := func(id string) {
		t.Helper()
		began := time.Now()
		hosts[id].Await("the instance to be of "+id, func() bool { return by() == id })
		t.Logf("%s has it after %v", id, time.Since(began).Round(time.Millisecond))
	}
	waits("two", "one")
	has("one")
	t.Log("killed")
	hosts["one"].Kill()
	has("two")
	hosts["two"].awaitStatus("two to know", func(s agent.Status) bool { return inStep(s) && s.Instances[0].Standby == "" })
	t.Log("back, and it stands by")
	hosts["one"].Restart()
	waits("one", "two")
	has("two")
	t.Log("stopped")
	hosts["two"].Stop()
	has("one")
	hosts["two"].Restart()
	waits("two", "one")
	t.Log("defined no more")
	hosts["one"].define("a.yaml", "services: []")
	has("two")
}

// A copied data directory does not take the set from the host that has it.
func TestCopiedID(t *testing.T) {
	server, c := start(t)
	content := strings.Replace(fmt.Sprintf(shared, "one"), "192.0.2.1", "127.0.0.1", 1)
	one := newHost(t, server.HTTP, t.TempDir(), "", map[string]string{"a.yaml": content})
	s := one.awaitStatus("the set", inStep)
	copied := t.TempDir()
	for _, name := range []string{"id", "state.json"} {
		b, err := os.ReadFile(filepath.Join(one.data, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(copied, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e := watchEvents(t, c)
	two := newHost(t, server.HTTP, copied, "", map[string]string{"a.yaml": strings.Replace(content, "by: one", "by: two", 1)})
	waiting := two.awaitStatus("the second to wait", func(s agent.Status) bool { return s.Server.Standby != "" })
	if waiting.ID != s.ID || waiting.Incarnation == s.Incarnation || !strings.Contains(waiting.Server.Standby, "agent "+s.ID+" runs on host ") {
		t.Errorf("status of the second = %+v, want it to name the other host", waiting.Server)
	}
	<-time.After(2 * time.Second)
	if got, ok := one.status(); !ok || got.Server.Sets != 1 || got.Server.Standby != "" {
		t.Errorf("status of the first = %+v, want it undisturbed", got.Server)
	}
	if all := e.seen(); len(all) != 0 {
		t.Errorf("events = %v, want none", all)
	}
	t.Log("the first is killed")
	one.Kill()
	two.awaitStatus("the second to take over", func(s agent.Status) bool { return inStep(s) && s.Server.Standby == "" && s.Server.Sets == 1 })
	t.Log("the first is back, and is the one that waits")
	one.Restart()
	one.awaitStatus("the first to wait", func(s agent.Status) bool { return s.Server.Standby != "" })
	one.Stop()
	if _, err := c.Service(t.Context(), client.Name{Name: "shared"}); err != nil {
		t.Errorf("who waits has deregistered the other's: %v", err)
	}
	t.Log("a new container with the same id on the same host waits for nobody")
	two.Kill()
	fresh := newHost(t, server.HTTP, t.TempDir(), s.ID, map[string]string{"a.yaml": content})
	fresh.awaitStatus("the new one", inStep)
	if log := fresh.Log(); strings.Contains(log, "another agent has") {
		t.Errorf("it waited:\n%s", log)
	}
}

// One bad file of ten leaves nine alone; a reload with nothing new writes nothing.
func TestOneBadFileOfTen(t *testing.T) {
	server, c := start(t)
	files := map[string]string{"9.yaml": "services:\n  - name: s9\n    prot: 89\n"}
	for n := range 9 {
		files[fmt.Sprintf("%d.yaml", n)] = fmt.Sprintf("services: [{name: s%d, port: 8%[1]d}]", n)
	}
	delete(files, "5.yaml")
	files["5.toml"] = "[[services]]\nname = \"s5\"\nport = 85\n"
	h := newHost(t, server.HTTP, t.TempDir(), "", files)
	s := h.awaitStatus("nine", func(s agent.Status) bool { return inStep(s) && len(s.Instances) == 9 })
	at := slices.IndexFunc(s.Definitions, func(d definitionStatus) bool { return d.Origin == "file 9.yaml" })
	if at < 0 || !strings.Contains(s.Definitions[at].Error, `9.yaml:3: `) || !strings.Contains(s.Definitions[at].Error, `did you mean "port"`) {
		t.Errorf("definitions = %+v, want file and line of the bad one", s.Definitions)
	}
	if f := s.Definitions[max(at, 0)].Fault; f == nil || f.File != "9.yaml" || f.Line != 3 {
		t.Errorf("fault = %+v, want it in parts", f)
	}
	binary.Eventually(t, time.Minute, "nine at the server", func() bool {
		list, err := c.Services(t.Context(), client.Query{})
		return err == nil && list.Total == 9
	})
	e, before := watchEvents(t, c), revision(t, c)
	h.Signal(syscall.SIGHUP)
	<-time.After(500 * time.Millisecond)
	h.define("3.yaml", "services: [{name: s3, port: 83}] # the same in other words")
	h.Await("the file", func() bool { return strings.Count(h.Log(), "file=3.yaml") >= 2 })
	<-time.After(500 * time.Millisecond)
	if now := revision(t, c); now != before {
		t.Errorf("revision after a reload with nothing new = %d, want %d", now, before)
	}
	if all := e.seen(); len(all) != 0 {
		t.Errorf("events = %v, want none", all)
	}
	h.define("9.yaml", "services:\n  - name: s9\n    port: 89\n")
	h.awaitStatus("ten", func(s agent.Status) bool { return inStep(s) && len(s.Instances) == 10 })
	binary.Eventually(t, time.Minute, "the event of the tenth", func() bool { return len(e.seen()) > 0 })
	for _, ev := range e.seen() {
		if !strings.Contains(ev, `"s9"`) {
			t.Errorf("event = %s, want those of the tenth alone", ev)
		}
	}
}

// Without any server an agent is ready at once, and serves what it knows.
func TestStartWithoutServers(t *testing.T) {
	server, c := start(t)
	dir, data := t.TempDir(), t.TempDir()
	if _, err := c.PutConfig(t.Context(), client.Name{Name: "app"}, []byte("kept"), client.ConfigWrite{}); err != nil {
		t.Fatal(err)
	}
	settings := filepath.Join(dir, "agent.yaml")
	if err := os.WriteFile(settings, fmt.Appendf(nil, "files: [{data_id: app, path: %s/app}]\n", dir), 0o600); err != nil {
		t.Fatal(err)
	}
	h := newHost(t, server.HTTP, data, "", map[string]string{"a.yaml": "services: [{name: a, port: 80}]"}, "--config", settings)
	h.awaitStatus("the file", func(agent.Status) bool { b, _ := os.ReadFile(filepath.Join(dir, "app")); return string(b) == "kept" })
	h.Kill()
	server.Kill()
	if err := os.Remove(filepath.Join(dir, "app")); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(filepath.Join(data, "addresses.json"))
	began := time.Now()
	h.Restart()
	var at struct{ HTTP string }
	h.Await("readiness", func() bool {
		b, err := os.ReadFile(filepath.Join(data, "addresses.json"))
		return err == nil && json.Unmarshal(b, &at) == nil && binary.Status(t.Context(), "http://"+at.HTTP+"/readyz") == http.StatusOK
	})
	ready := time.Since(began)
	t.Logf("ready after %v", ready.Round(time.Millisecond))
	if long() && ready > 2*time.Second {
		t.Errorf("ready after %v, want 2 s at the most", ready)
	}
	h.Await("the file as it was", func() bool { b, _ := os.ReadFile(filepath.Join(dir, "app")); return string(b) == "kept" })
	h.Await("the local API", func() bool {
		return binary.Status(t.Context(), "http://"+at.HTTP+"/v1/configs/public/DEFAULT_GROUP/app") == http.StatusOK
	})
	h.awaitStatus("word of the server", func(s agent.Status) bool { return s.Server.Error != "" && len(s.Instances) == 1 })
}

type (
	rollStatus       = roll.InstanceStatus
	definitionStatus = source.DefinitionStatus
)
