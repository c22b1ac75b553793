package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/musterhq/muster/internal/freeport"
	"github.com/musterhq/muster/test/binary"
)

// failer is what the processes of a test need of it.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// process is a program started as users start it: another process.
type process struct {
	t       failer
	program string // empty: muster
	args    []string
	dir     string   // working directory, empty: the test's
	env     []string // over the test's environment
	cmd     *exec.Cmd
	log     *binary.Output
	done    chan struct{} // closed when it has ended
}

func (p *process) start() {
	p.t.Helper()
	p.log = &binary.Output{}
	// It outlives the test's context, so that the clean-up can stop it well.
	p.cmd = exec.CommandContext(context.Background(), cmp.Or(p.program, "muster"), p.args...)
	p.cmd.Dir = p.dir
	p.cmd.Env = append(os.Environ(), p.env...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		p.t.Fatalf("start %v: %v", p.args, err)
	}
	done := make(chan struct{})
	p.done = done
	go func(cmd *exec.Cmd) {
		_ = cmd.Wait() // its state says how it ended
		close(done)
	}(p.cmd)
}

// kill ends the process as a crash does. A data race seen before would have
// been told by the exit code of a clean end.
func (p *process) kill() {
	p.t.Helper()
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
	if strings.Contains(p.log.String(), "WARNING: DATA RACE") {
		p.t.Fatalf("%v has a data race:\n%s", p.args, p.log)
	}
}

// stop asks the process to end, and demands that it does so cleanly.
func (p *process) stop() {
	p.t.Helper()
	p.end(syscall.SIGTERM)
}

// end sends the signal, demands a clean end, and returns how long that took. A
// process that has ended is left alone.
func (p *process) end(signal os.Signal) (took time.Duration) {
	p.t.Helper()
	select {
	case <-p.done:
		return 0
	default:
	}
	began := time.Now()
	_ = p.cmd.Process.Signal(signal) // it may have ended
	select {
	case <-p.done:
	case <-time.After(time.Minute):
		p.kill()
		p.t.Fatalf("%v did not end within a minute of %v:\n%s", p.args, signal, p.log)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		p.t.Fatalf("%v ended with %d after %v, want 0:\n%s", p.args, code, signal, p.log)
	}
	return time.Since(began)
}

// serverProcess is a running `muster server`.
type serverProcess struct {
	process
	data, http, dns string
}

func newServer(t failer, data string, args ...string) *serverProcess {
	// It keeps them over restarts, so that nobody else may have them meanwhile.
	all := append([]string{"server", "--http", freeAddress(t), "--grpc", "127.0.0.1:0", "--dns", freeAddress(t), "--data-dir", data}, args...)
	return &serverProcess{process: process{t: t, args: all}, data: data}
}

// freeAddress returns an address that nobody listens at, nor gets by chance.
func freeAddress(t failer) string {
	t.Helper()
	port, err := freeport.Keep("127.0.0.1")
	if err != nil {
		t.Fatalf("%v", err)
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}

func (s *serverProcess) url() string {
	if slices.Contains(s.args, "--tls-cert") {
		return "https://" + s.http
	}
	return "http://" + s.http
}

// start starts the server and waits until it is ready.
func (s *serverProcess) start() {
	s.t.Helper()
	at := s.startAt(s.data)
	s.http, s.dns = at.HTTP, at.DNS
	s.awaitReady()
}

// awaitReady waits until the server says that it is ready.
func (s *serverProcess) awaitReady() {
	s.t.Helper()
	s.await("readiness", func() bool {
		status, _, err := request(http.MethodGet, s.url()+"/readyz", nil)
		return err == nil && status == http.StatusOK
	})
}

// addresses is where a process says it listens.
type addresses struct{ HTTP, DNS string }

// startAt starts a process that has its data in dir and waits until it has
// written there where it listens.
func (p *process) startAt(dir string) (at addresses) {
	p.t.Helper()
	path := filepath.Join(dir, "addresses.json")
	_ = os.Remove(path) // of an earlier run
	p.start()
	p.await("addresses.json", func() bool {
		b, err := os.ReadFile(path)
		return err == nil && json.Unmarshal(b, &at) == nil
	})
	return at
}

// agentProcess is a running `muster agent`.
type agentProcess struct {
	process
	data, services, http string
}

// newAgent returns an agent with its folders below dir, for the server at url.
func newAgent(t failer, dir, url string, args ...string) *agentProcess {
	a := &agentProcess{data: filepath.Join(dir, "agent"), services: filepath.Join(dir, "services.d")}
	all := []string{"agent", "--server", url, "--services", a.services, "--data-dir", a.data, "--http", "127.0.0.1:0", "--drain-wait", "0s"}
	a.process = process{t: t, args: slices.Concat(all, args)}
	return a
}

// define writes a definition file.
func (a *agentProcess) define(name, text string) {
	a.t.Helper()
	if err := os.MkdirAll(a.services, 0o700); err != nil {
		a.t.Fatalf("%v", err)
	}
	if err := os.WriteFile(filepath.Join(a.services, name), []byte(text), 0o600); err != nil {
		a.t.Fatalf("%v", err)
	}
}

// start starts the agent and waits until its local API listens.
func (a *agentProcess) start() {
	a.t.Helper()
	a.http = a.startAt(a.data).HTTP
}

// await polls until ok, and fails when the process ends first.
func (p *process) await(what string, ok func() bool) {
	p.t.Helper()
	if !poll(time.Minute, ok, p.done) {
		p.t.Fatalf("%v: no %s:\n%s", p.args, what, p.log)
	}
}

// What waits and what is judged is as in other tests with processes.
var (
	poll     = binary.Poll
	promptly = binary.Promptly
)

// eventually fails the test unless ok becomes true within patience.
func eventually(t failer, patience time.Duration, what string, ok func() bool) {
	t.Helper()
	if !poll(patience, ok, nil) {
		t.Fatalf("not within %s: %s", patience, what)
	}
}

// command runs muster with args to its end and returns the exit code and what
// it wrote.
func command(t failer, args ...string) (code int, out string) {
	t.Helper()
	p := process{t: t, args: args}
	p.start()
	select {
	case <-p.done:
	case <-time.After(time.Minute):
		p.kill()
		t.Fatalf("%v did not end within a minute:\n%s", args, p.log)
	}
	return p.cmd.ProcessState.ExitCode(), p.log.String()
}
