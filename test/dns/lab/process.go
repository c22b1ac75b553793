package lab

import (
	"bytes"
	"context"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Process is a program that runs as users run it.
type Process struct {
	tb   testing.TB
	cmd  *exec.Cmd
	log  output
	done chan struct{} // closed when it has ended
}

// output is what a process has written so far.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// Start starts a program, which is asked to end when the test does.
func Start(tb testing.TB, program string, args ...string) *Process {
	tb.Helper()
	// It outlives the test's context, so that the clean-up can stop it well.
	ctx := context.WithoutCancel(tb.Context())
	p := &Process{tb: tb, cmd: exec.CommandContext(ctx, program, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	if err := p.cmd.Start(); err != nil {
		tb.Fatalf("start %s: %v", program, err)
	}
	go func() {
		_ = p.cmd.Wait() // its state says how it ended
		close(p.done)
	}()
	tb.Cleanup(p.Stop)
	return p
}

// Stop asks the program to end, and ends it when it does not.
func (p *Process) Stop() {
	p.Signal(syscall.SIGCONT)
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		p.Signal(syscall.SIGKILL)
		<-p.done
		p.tb.Errorf("%s did not end within 20 s of SIGTERM:\n%s", p.cmd.Path, p.Log())
	}
}

// Signal sends a signal to the program, which may have ended.
func (p *Process) Signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// Log returns what the program has written so far.
func (p *Process) Log() string { return p.log.String() }

// Await polls until ok, and fails the test when the program ends first.
func (p *Process) Await(what string, ok func() bool) {
	p.tb.Helper()
	if !poll(30*time.Second, ok, p.done) {
		p.tb.Fatalf("%v: no %s:\n%s", p.cmd.Args, what, p.Log())
	}
}
