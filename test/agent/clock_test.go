package agent_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/musterhq/muster/agent"
	"github.com/musterhq/muster/agent/configfile"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	program "github.com/musterhq/muster/test/binary"
)

// wallVariable names, to a program that steppable has built, the file that holds by
// how many seconds its wall clock is wrong.
const wallVariable = "MUSTER_TEST_CLOCK"

// wallSource is added to package time of such a program. The file is mapped, so that
// every look at the clock has what was last written to it.
const wallSource = `package time

import (
	"sync/atomic"
	"syscall"
	"unsafe"
)

var wallStep = func() *int64 {
	path, ok := syscall.Getenv("` + wallVariable + `")
	if !ok {
		return new(int64)
	}
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		panic(err)
	}
	b, err := syscall.Mmap(fd, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	return (*int64)(unsafe.Pointer(&b[0]))
}()

func steppedNow() (sec int64, nsec int32, mono int64) {
	sec, nsec, mono = runtimeNow()
	return sec + atomic.LoadInt64(wallStep), nsec, mono
}
`

// steppableVariable names a program that steppable built before.
const steppableVariable = "MUSTER_STEPPABLE"

// steppable builds muster with a wall clock that can be set while the monotonic one
// goes on. All of it is compiled anew, as all of it knows the time.
func steppable(t *testing.T) string {
	t.Helper()
	if path := os.Getenv(steppableVariable); path != "" {
		return path
	}
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	original, dir := filepath.Join(strings.TrimSpace(string(out)), "src", "time"), t.TempDir()
	b, err := os.ReadFile(filepath.Join(original, "time.go"))
	if err != nil {
		t.Fatal(err)
	}
	const head, call = "\nfunc Now() Time {\n\tsec, nsec, mono := ", "runtimeNow()"
	if n := strings.Count(string(b), head+call); n != 1 {
		t.Fatalf("time.Now begins with %q %d times, want once: fit this to the Go in use", head+call, n)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{
		filepath.Join(original, "time.go"): filepath.Join(dir, "time.go"),
		filepath.Join(original, "step.go"): filepath.Join(dir, "step.go"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"time.go":      strings.Replace(string(b), head+call, head+"steppedNow()", 1),
		"step.go":      wallSource,
		"overlay.json": string(overlay),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path, err := program.Build(t.Context(), "../..", dir, "-overlay", filepath.Join(dir, "overlay.json"))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// wall is the wall clock of one program.
type wall string

func newWall(t *testing.T) wall {
	t.Helper()
	w := wall(filepath.Join(t.TempDir(), "clock"))
	if err := os.WriteFile(string(w), make([]byte, 8), 0o600); err != nil {
		t.Fatal(err)
	}
	return w
}

// set makes the clock wrong by so much from now on.
func (w wall) set(t *testing.T, by time.Duration) {
	t.Helper()
	f, err := os.OpenFile(string(w), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(int64(by/time.Second))), 0); err != nil {
		t.Fatal(err)
	}
}

func (w wall) env() string { return wallVariable + "=" + string(w) }

// watched is for how long nothing may happen after a clock was set: longer than
// the silence after which an instance is removed.
const watched = 40 * time.Second

// Clocks that are set by a day, forward and back, on the server, the agent, or both,
// change nothing.
func TestWallClock(t *testing.T) {
	if !long() {
		t.Log("compiles all of Go's library and muster anew: in long runs alone")
		return
	}
	muster := steppable(t)
	for _, c := range []struct {
		name          string
		server, agent bool
	}{{"of both", true, true}, {"of the agent", false, true}, {"of the server", true, false}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newClockScene(t, muster)
			for _, by := range []time.Duration{24 * time.Hour, -24 * time.Hour, 0} {
				s.flap()
				s.settled(fmt.Sprintf("before the clock is wrong by %v", by))
				if c.server {
					s.serverWall.set(t, by)
				}
				if c.agent {
					s.agentWall.set(t, by)
				}
				s.unmoved(fmt.Sprintf("clock wrong by %v", by))
			}
		})
	}
}

// clockScene is a server, an agent of it, and what both look after.
type clockScene struct {
	t                     *testing.T
	server                *program.Server
	client                *client.Client
	host                  *host
	serverWall, agentWall wall
	local                 string      // the agent's API
	dir                   string      // of configuration files
	steady                atomic.Bool // odd fails, and does not flap
	round                 int
	names                 []string
}

// clockServices: `late` is critical from the start, and for much shorter than a day,
// `odd` is held as it flaps, `job` lives by word.
const clockServices = `services:
  - {name: web, port: 80, checks: [{http: '%[1]s', interval: 1s}]}
  - {name: web, port: 81, checks: [{http: '%[1]s', interval: 1s}]}
  - {name: late, port: 82, checks: [{http: '%[1]s/bad', interval: 1s, deregister_after: 1h}]}
  - {name: odd, port: 83, checks: [{http: '%[1]s/odd', interval: 100ms}]}
  - {name: job, port: 84, checks: [{ttl: 20s, name: word}]}
`

func newClockScene(t *testing.T, muster string) *clockScene {
	t.Helper()
	s := &clockScene{t: t, dir: t.TempDir(), serverWall: newWall(t), agentWall: newWall(t), names: []string{"web", "late", "odd", "job", "nacos", "quiet", "through"}}
	odd := 0 // tries; one at a time
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/odd" {
			odd++
		}
		if r.URL.Path == "/bad" || r.URL.Path == "/odd" && (s.steady.Load() || odd%2 == 0) {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(app.Close)

	s.server = startServerWithWall(t, muster, s.serverWall)
	c, err := client.New([]string{"http://" + s.server.HTTP}, client.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s.client = c
	s.publish()
	settings := filepath.Join(t.TempDir(), "agent.yaml")
	if err := os.WriteFile(settings, fmt.Appendf(nil, "files: [{data_id: app, path: %s/app}]\n", s.dir), 0o600); err != nil {
		t.Fatal(err)
	}
	s.host = &host{t: t, data: t.TempDir(), dir: filepath.Join(t.TempDir(), "services.d")}
	if err := os.MkdirAll(s.host.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s.host.define("a.yaml", fmt.Sprintf(clockServices, app.URL))
	s.host.Process = program.Start(t, "env", s.agentWall.env(), muster, "agent", "--server", "http://"+s.server.HTTP, "--data-dir", s.host.data,
		"--services", s.host.dir, "--http", "127.0.0.1:0", "--address", "127.0.0.1", "--drain-wait", "0s", "--config", settings)
	s.local = agentAPI(t, s.host.Process, s.host.data)

	long := "&metadata=preserved.heart.beat.timeout=3600000,preserved.ip.delete.timeout=7200000"
	for base, query := range map[string]string{s.server.HTTP: "serviceName=nacos&ip=192.0.2.1&port=80", s.local: "serviceName=through&ip=192.0.2.3&port=80"} {
		s.mustAsk(base, "POST /v1/ns/instance?"+query)
	}
	// One that is silent, but for much less time than it may be.
	s.mustAsk(s.server.HTTP, "POST /v1/ns/instance?serviceName=quiet&ip=192.0.2.2&port=80"+long)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); wg.Wait() })
	wg.Go(func() { s.beat(ctx) })
	return s
}

// flap has odd flap until it is held for it.
func (s *clockScene) flap() {
	s.t.Helper()
	s.steady.Store(false)
	s.host.awaitStatus("odd is held", func(st agent.Status) bool {
		return slices.ContainsFunc(st.Instances, func(i rollStatus) bool { return len(i.Checks) > 0 && i.Checks[0].Flapping })
	})
}

// startServerWithWall starts a server whose wall clock is w.
func startServerWithWall(t *testing.T, muster string, w wall) *program.Server {
	t.Helper()
	wrapper := filepath.Join(t.TempDir(), "muster")
	if err := os.WriteFile(wrapper, fmt.Appendf(nil, "#!/bin/sh\n%s=%s exec %s \"$@\"\n", wallVariable, w, muster), 0o700); err != nil { //nolint:gosec // it is run
		t.Fatal(err)
	}
	return program.StartServer(t, wrapper, "--dns", "127.0.0.1:0", "--min-free", "0")
}

func (s *clockScene) mustAsk(base, call string) {
	s.t.Helper()
	if a := ask(s.t, base, call, "none"); a.body != "ok" {
		s.t.Fatalf("%s = %d %s", call, a.status, a.body)
	}
}

// beat keeps alive what lives by word, until ctx ends.
func (s *clockScene) beat(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		send(ctx, http.MethodPut, "http://"+s.server.HTTP+"/nacos/v1/ns/instance/beat?serviceName=nacos&ip=192.0.2.1&port=80")
		if b, err := os.ReadFile(filepath.Join(s.host.data, "addresses.json")); err == nil {
			var at struct{ HTTP string }
			if json.Unmarshal(b, &at) == nil {
				send(ctx, http.MethodPut, "http://"+at.HTTP+"/nacos/v1/ns/instance/beat?serviceName=through&ip=192.0.2.3&port=80")
				send(ctx, http.MethodPut, "http://"+at.HTTP+"/v1/services/job/checks/word/pass")
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// send makes a call that may fail.
func send(ctx context.Context, method, url string) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	if err != nil {
		return
	}
	if resp, err := http.DefaultClient.Do(req); err == nil {
		resp.Body.Close()
	}
}

func (s *clockScene) publish() {
	s.t.Helper()
	s.round++
	if _, err := s.client.PutConfig(s.t.Context(), client.Name{Name: "app"}, fmt.Append(nil, s.round), client.ConfigWrite{}); err != nil {
		s.t.Errorf("publish: %v", err)
	}
}

// settled waits until all is as it should be.
func (s *clockScene) settled(when string) {
	s.t.Helper()
	want := "late:critical odd:critical job:passing nacos:passing quiet:passing through:passing web:passing,passing"
	got := ""
	ok := program.Poll(30*time.Second, func() bool { got = s.healths(); return sorted(got) == sorted(want) }, nil)
	if !ok {
		s.t.Errorf("%s: %s, want %s", when, got, want)
	}
	s.host.Await(when+": the file", func() bool {
		b, _ := os.ReadFile(filepath.Join(s.dir, "app"))
		return string(b) == fmt.Sprint(s.round)
	})
	s.host.awaitStatus(when+": word of the server", func(st agent.Status) bool {
		return st.Server.Error == "" && st.Configs.Files[0].State == configfile.StateInStep
	})
}

func sorted(s string) string {
	return strings.Join(slices.Sorted(slices.Values(strings.Fields(s))), " ")
}

// healths tells the health and weight of all instances, by service.
func (s *clockScene) healths() string {
	var all []string
	for _, name := range s.names {
		list, err := s.client.Instances(s.t.Context(), client.Name{Name: name}, client.InstanceQuery{})
		if err != nil {
			return err.Error()
		}
		var each []string
		for _, i := range list.Instances {
			health := api.HealthPassing
			if i.Healthy != nil && !*i.Healthy {
				health = api.HealthCritical
			}
			if i.Weight != nil && *i.Weight != 1 {
				health += fmt.Sprint("*", *i.Weight)
			}
			each = append(each, health)
		}
		all = append(all, name+":"+strings.Join(each, ","))
	}
	return strings.Join(all, " ")
}

// unmoved watches that nothing happens by itself, and that what is asked for does.
func (s *clockScene) unmoved(when string) {
	t := s.t
	t.Helper()
	e := watchEvents(t, s.client)
	quiet := func(what string) {
		t.Helper()
		if seen := e.seen(); len(seen) > 0 {
			t.Errorf("%s, %s: events\n%s", when, what, strings.Join(seen, "\n"))
		}
	}
	names, failed := 0, 0
	for until := time.Now().Add(watched); time.Now().Before(until); <-time.After(100 * time.Millisecond) {
		names++
		if err := s.resolve(); err != nil {
			failed++
			t.Logf("%s: resolve: %v", when, err)
		}
	}
	if failed > 0 {
		t.Errorf("%s: %d of %d names not resolved", when, failed, names)
	}
	quiet("watched")

	// An agent that crashes, and is back; it counts flaps anew then.
	s.steady.Store(true)
	s.host.Kill()
	_ = os.Remove(filepath.Join(s.host.data, "addresses.json"))
	<-time.After(2 * time.Second)
	s.host.Restart()
	s.local = agentAPI(t, s.host.Process, s.host.data)
	s.host.awaitStatus("the beat", func(st agent.Status) bool { return st.Server.Error == "" && !st.Server.Reached.IsZero() })
	<-time.After(5 * time.Second)
	quiet("agent killed and started")

	s.publish()
	s.settled(when + ": published")
	s.tracked(when)
	for _, change := range []string{"drain", "undrain"} {
		method, want := http.MethodPost, "*0"
		if change == "undrain" {
			method, want = http.MethodDelete, "web:passing,passing"
		}
		send(t.Context(), method, "http://"+s.local+"/v1/drain")
		if !program.Poll(30*time.Second, func() bool { return strings.Contains(s.healths(), want) }, nil) {
			t.Errorf("%s: after %s: %s", when, change, s.healths())
		}
	}
	s.settled(when + ": drained and back")

	// A server that crashes, and is back.
	s.server.Kill()
	s.server.RestartServer()
	s.settled(when + ": server killed and started")
	<-time.After(watched)
	s.settled(when + ": later")
	t.Logf("%s: %d names resolved, nothing seen; %s", when, names, s.healths())
}

// tracked waits until the push track has it that the agent applied the newest.
func (s *clockScene) tracked(when string) {
	s.t.Helper()
	var track api.ConfigTrack
	ok := program.Poll(30*time.Second, func() bool {
		found, err := s.client.ConfigTrack(s.t.Context(), client.Name{Name: "app"})
		if err != nil {
			return false
		}
		track = found
		return track.OnNewest == 1 && slices.ContainsFunc(track.Holders, func(h api.ConfigHolder) bool {
			return h.MD5 == track.MD5 && h.State == "applied" && h.Offer == nil
		})
	}, nil)
	if !ok {
		s.t.Errorf("%s: push track %+v, want the newest, applied", when, track)
	}
}

// resolve asks the agent's DNS for what the servers say, and its server for it.
func (s *clockScene) resolve() error {
	var at struct{ DNS string }
	b, err := os.ReadFile(filepath.Join(s.host.data, "addresses.json"))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, &at); err != nil {
		return err
	}
	for _, address := range []string{at.DNS, s.server.DNS} {
		r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		}}
		ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Second)
		found, err := r.LookupHost(ctx, "web.svc.muster.internal.")
		cancel()
		if err != nil {
			return fmt.Errorf("at %s: %w", address, err)
		}
		if !slices.Equal(found, []string{"127.0.0.1"}) {
			return fmt.Errorf("at %s: %v", address, found)
		}
	}
	return nil
}
