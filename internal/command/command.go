// Package command runs a program of this host: without a shell, bounded in time
// and in what is kept of its output, and killed together with all it started.
//
// A program runs in a process group of its own. What leaves the group, and even
// its parent, is found all the same where Linux lets this process adopt it, by a
// variable of its environment: only what wipes that, or has become another
// user's, is out of reach. What was adopted and ends is waited for here, so
// that no zombie stays.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// DefaultKeep bounds what is kept of a command's output, the end of it.
const DefaultKeep = 4 << 10

// patience is how long the output of what was left in the background is read.
const patience = time.Second

// Command is a program to run.
type Command struct {
	Argv []string // the program, looked up in PATH, and its arguments; required
	// Timeout kills the program with all it started; 0 means that only the end
	// of the context does.
	Timeout time.Duration
	Keep    int // bytes of the end of its output; 0 means DefaultKeep
	// Alone kills what is left in the background when the program ends, and the
	// program when this process dies. Else that goes on.
	Alone bool
}

// Error says how a command failed. What it printed is apart: that may be what
// nobody else is to see.
type Error struct {
	Program string
	Err     error  // an *exec.ExitError, what kept it from starting, or ErrTimeout
	Output  string // the end of it
}

// ErrTimeout is what the Error of a command unwraps to that took too long.
var ErrTimeout = errors.New("killed")

// Brief is Error without the output.
func (e *Error) Brief() string { return e.Program + ": " + e.Err.Error() }

func (e *Error) Error() string {
	if e.Output == "" {
		return e.Brief()
	}
	return e.Brief() + ": " + e.Output
}

func (e *Error) Unwrap() error { return e.Err }

// Run runs the program and returns the end of what it printed. It returns nil
// for one that succeeds in time, even if it leaves something running in the
// background, the cause of ctx when that ends, and otherwise an *Error. The
// program gets the environment of this process without what begins with
// MUSTER_: settings, tokens among them.
func (c Command) Run(ctx context.Context) (output string, err error) {
	bounded, cancel := ctx, context.CancelFunc(func() {})
	if c.Timeout > 0 {
		bounded, cancel = context.WithTimeout(ctx, c.Timeout)
	}
	defer cancel()
	output, err = c.run(bounded)
	switch {
	case err == nil:
		return output, nil
	case ctx.Err() != nil:
		return output, context.Cause(ctx)
	case bounded.Err() != nil:
		err = fmt.Errorf("%w after %v", ErrTimeout, c.Timeout)
	}
	return output, &Error{Program: c.Argv[0], Err: err, Output: output}
}

func (c Command) run(ctx context.Context) (output string, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer r.Close()
	own := newFamily()
	cmd := exec.CommandContext(ctx, c.Argv[0], c.Argv[1:]...)
	cmd.SysProcAttr = attributes(c.Alone)
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "MUSTER_") })
	cmd.Env = append(cmd.Env, own.mark)
	cmd.Stdout, cmd.Stderr = w, w
	err = own.start(cmd)
	w.Close()
	if err != nil {
		return "", err
	}
	out := &tail{keep: c.Keep}
	if out.keep == 0 {
		out.keep = DefaultKeep
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(out, struct{ io.Reader }{r}) // until the deadline or its end
	}()
	err = cmd.Wait()
	if c.Alone || ctx.Err() != nil {
		own.kill()
	}
	own.end()
	_ = r.SetReadDeadline(time.Now().Add(patience))
	<-read
	return out.String(), err
}

// tail keeps the last bytes written to it.
type tail struct {
	keep int

	mu  sync.Mutex
	buf []byte // under mu
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b[max(0, len(b)-t.keep):]...)
	if over := len(t.buf) - t.keep; over > 0 {
		t.buf = slices.Delete(t.buf, 0, over)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(strings.ToValidUTF8(string(t.buf), "?"))
}
