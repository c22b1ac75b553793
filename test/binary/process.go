package binary

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Process is a program that runs as users run it. It ends with its test.
type Process struct {
	tb   testing.TB
	cmd  *exec.Cmd
	log  *Output
	done chan struct{} // closed when it has ended
}

// Output is what a process has written so far.
type Output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// Start starts a program, which is asked to end when the test does.
func Start(tb testing.TB, program string, args ...string) *Process {
	tb.Helper()
	p := &Process{tb: tb}
	p.start(program, args)
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("%v wrote:\n%s", p.cmd.Args, tail(p.Log()))
		}
		p.Stop()
	})
	return p
}

func (p *Process) start(program string, args []string) {
	p.tb.Helper()
	// It outlives the test's context, so that the clean-up can stop it well.
	cmd, done := exec.CommandContext(context.WithoutCancel(p.tb.Context()), program, args...), make(chan struct{})
	p.cmd, p.done, p.log = cmd, done, &Output{}
	cmd.Stdout, cmd.Stderr = p.log, p.log
	if err := cmd.Start(); err != nil {
		p.tb.Fatalf("start %s: %v", program, err)
	}
	go func() {
		_ = cmd.Wait() // its state says how it ended
		close(done)
	}()
}

// Kill ends the program as a crash does.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.done
}

// Restart starts the program anew, with other arguments if there are any, once it
// has ended.
func (p *Process) Restart(args ...string) {
	p.tb.Helper()
	<-p.done
	if len(args) == 0 {
		args = p.cmd.Args[1:]
	}
	p.start(p.cmd.Path, args)
}

// PID returns the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// tail returns the end of a log.
func tail(log string) string { return log[max(0, len(log)-20_000):] }

// Stop asks the program to end, and ends it when it does not.
func (p *Process) Stop() {
	p.Signal(syscall.SIGCONT)
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(time.Minute):
		p.Kill()
		p.tb.Errorf("%s did not end within a minute of SIGTERM:\n%s", p.cmd.Path, p.Log())
	}
}

// Signal sends a signal to the program, which may have ended.
func (p *Process) Signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// Log returns what the program has written so far.
func (p *Process) Log() string { return p.log.String() }

// Await polls until ok, for a minute at the most: it is for what comes for certain, if
// late on a machine that does much else. It fails the test when the program ends first.
func (p *Process) Await(what string, ok func() bool) {
	p.tb.Helper()
	p.AwaitFor(time.Minute, what, ok)
}

// AwaitFor is Await with another patience.
func (p *Process) AwaitFor(patience time.Duration, what string, ok func() bool) {
	p.tb.Helper()
	if !Poll(patience, ok, p.done) {
		p.tb.Fatalf("%v: not within %v: %s\n%s", p.cmd.Args, patience, what, tail(p.Log()))
	}
}

// Eventually fails the test unless ok becomes true within patience.
func Eventually(tb testing.TB, patience time.Duration, what string, ok func() bool) {
	tb.Helper()
	if !Poll(patience, ok, nil) {
		tb.Fatalf("not within %s: %s", patience, what)
	}
}

// Long reports whether tests are to take their time, which MUSTER_LONG says. Then the
// machine has nothing else to do, and how soon something comes can be judged.
func Long() bool { return os.Getenv("MUSTER_LONG") != "" }

// Promptly returns how long something may take that is to take d at the most: d in long
// runs, and a minute in others.
func Promptly(d time.Duration) time.Duration {
	if Long() {
		return d
	}
	return time.Minute
}

// Poll asks until ok is true, for as long as patience lasts and stop is open, and once
// more then: an answer may have taken longer than patience lasted.
func Poll(patience time.Duration, ok func() bool, stop <-chan struct{}) bool {
	deadline := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok() {
			return true
		}
		select {
		case <-tick.C:
		case <-stop:
			return ok()
		case <-deadline:
			return ok()
		}
	}
}
