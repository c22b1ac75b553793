package configfile

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// maxOutput bounds what is kept of a command's output, the end of it.
const maxOutput = 4 << 10

// command runs argv, no shell, and returns nil when it succeeds in time. The
// error is a *commandError with the end of what it printed. A command that takes too long is
// killed with all that it started; one that leaves something running in the
// background has still succeeded.
func command(ctx context.Context, argv []string, timeout time.Duration) error {
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(bounded, argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	// Settings of the agent's own, tokens among them, are not for it.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "MUSTER_") })
	out := &tail{}
	cmd.Stdout, cmd.Stderr = out, out
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) && cmd.ProcessState.Success() {
		err = nil
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case bounded.Err() != nil:
		err = fmt.Errorf("killed after %v", timeout)
	}
	return &commandError{program: argv[0], err: err, output: out.String()}
}

// commandError says how a command failed. What it printed is apart: that may
// be a part of a document.
type commandError struct {
	program string
	err     error
	output  string
}

func (e *commandError) brief() string { return e.program + ": " + e.err.Error() }

func (e *commandError) Error() string {
	if e.output == "" {
		return e.brief()
	}
	return e.brief() + ": " + e.output
}

func (e *commandError) Unwrap() error { return e.err }

// tail keeps the last maxOutput bytes written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte // under mu
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b[max(0, len(b)-maxOutput):]...)
	if over := len(t.buf) - maxOutput; over > 0 {
		t.buf = slices.Delete(t.buf, 0, over)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(strings.ToValidUTF8(string(t.buf), "?"))
}

// backoff returns the pause after n failures: first, doubled each time up to
// most, of that between half and all.
func backoff(first, most time.Duration, n int) time.Duration {
	d := min(first<<min(n, 16), most)
	return d/2 + rand.N(d/2+1)
}

// pause waits until wake, which it reports, the end of ctx, or, unless d is 0,
// for d.
func pause(ctx context.Context, wake <-chan struct{}, d time.Duration) (woken bool) {
	var elapsed <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		elapsed = timer.C
	}
	select {
	case <-ctx.Done():
	case <-elapsed:
	case <-wake:
		return true
	}
	return false
}
