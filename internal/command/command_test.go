package command_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/musterhq/muster/internal/command"
)

// shell is a command that runs script.
func shell(script string) command.Command {
	return command.Command{Argv: []string{"/bin/sh", "-c", script}, Timeout: 2 * time.Minute}
}

func TestOutcomes(t *testing.T) {
	t.Setenv("MUSTER_TOKEN", "secret")
	for _, c := range []struct {
		name, script   string
		output, failed string // failed: the error without the output
	}{
		{"succeeds", "echo a; echo b >&2", "a\nb", ""},
		{"fails", "echo why; exit 2", "why", "/bin/sh: exit status 2"},
		{"is killed by another", "kill -9 $$", "", "/bin/sh: signal: killed"},
		{"prints what is no text", `printf 'a\377b'`, "a?b", ""},
		{"sees none of our settings", "env | grep -c MUSTER_", "0", "/bin/sh: exit status 1"},
		{"reads nothing", "read x || echo end", "end", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			output, err := shell(c.script).Run(t.Context())
			if output != c.output {
				t.Errorf("output = %q, want %q", output, c.output)
			}
			e, ok := errors.AsType[*command.Error](err)
			switch {
			case c.failed == "" && err != nil:
				t.Errorf("Run = %v, want nil", err)
			case c.failed != "" && (!ok || e.Brief() != c.failed || e.Output != c.output):
				t.Errorf("Run = %v, want %s", err, c.failed)
			}
		})
	}
}

func TestWhatIsNotThereDoesNotStart(t *testing.T) {
	for _, program := range []string{"/nowhere/program", "program-that-is-not-there", t.TempDir()} {
		_, err := command.Command{Argv: []string{program}}.Run(t.Context())
		if e, ok := errors.AsType[*command.Error](err); !ok || !strings.Contains(e.Brief(), program) {
			t.Errorf("Run of %s = %v, want an Error that names it", program, err)
		}
	}
}

func TestOnlyTheEndOfTheOutputIsKept(t *testing.T) {
	c := shell("head -c 100000000 /dev/zero | tr '\\0' a; echo end")
	c.Keep = 10
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	output, err := c.Run(t.Context())
	runtime.ReadMemStats(&after)
	if output != "aaaaaaend" || err != nil {
		t.Errorf("Run = %q, %v", output, err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
		t.Errorf("100 MB of output made %d bytes be allocated, want less than 1 MiB", grown)
	}
}

func TestTheEndOfTheContextIsNoFailureOfTheCommand(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("why")
	time.AfterFunc(10*time.Millisecond, func() { cancel(why) })
	if _, err := shell("sleep 1000").Run(ctx); !errors.Is(err, why) {
		t.Errorf("Run = %v, want %v", err, why)
	}
}

// What a script does that starts others, and waits for them or not. Each writes
// its process id to a file of the directory it is in.
const (
	child    = "sleep 1000 & echo $! >child; "
	session  = "setsid sh -c 'echo $$ >session; exec sleep 1000' & "
	orphan   = "setsid sh -c 'sleep 1000 & echo $! >orphan' & wait $!; "
	stubborn = "trap '' TERM INT HUP; "
)

// run runs script, which starts n others, in a directory of its own, and
// returns their process ids.
func run(t *testing.T, c command.Command, n int) (pids []int, err error) {
	t.Helper()
	dir := t.TempDir()
	c.Argv[2] = "cd " + dir + "; " + c.Argv[2]
	_, err = c.Run(t.Context())
	files, _ := filepath.Glob(dir + "/*")
	for _, f := range files {
		b, _ := os.ReadFile(f)
		if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
			pids = append(pids, pid)
		}
	}
	if len(pids) != n {
		t.Fatalf("%d processes were started, want %d", len(pids), n)
	}
	return pids, err
}

// lives reports whether there is such a process, be it a zombie.
func lives(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

func TestAllThatACommandStartsIsKilledAtItsTimeout(t *testing.T) {
	runs := 5
	if os.Getenv("MUSTER_LONG") != "" {
		runs = 1000
	}
	for range runs {
		c := shell(stubborn + child + session + orphan + "wait; sleep 1000")
		c.Timeout = 100 * time.Millisecond
		for try := 0; ; try++ {
			began := time.Now()
			pids, err := attempt(t, c)
			if len(pids) < 3 && try < 5 {
				c.Timeout *= 4 // a slow machine
				continue
			}
			if !errors.Is(err, command.ErrTimeout) || len(pids) != 3 {
				t.Fatalf("Run = %v after %v, with %d processes, want ErrTimeout with 3", err, time.Since(began), len(pids))
			}
			for _, pid := range pids {
				if lives(pid) {
					t.Fatalf("process %d is left", pid)
				}
			}
			break
		}
	}
	none(t)
}

// attempt is run with as many processes as come to be in time.
func attempt(t *testing.T, c command.Command) (pids []int, err error) {
	t.Helper()
	dir := t.TempDir()
	c.Argv = []string{c.Argv[0], c.Argv[1], "cd " + dir + "; " + c.Argv[2]}
	_, err = c.Run(t.Context())
	for _, name := range []string{"child", "session", "orphan"} {
		b, _ := os.ReadFile(filepath.Join(dir, name))
		if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, err
}

// none fails the test if this process has children.
func none(t *testing.T) {
	t.Helper()
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, name := range lists {
		if b, _ := os.ReadFile(name); len(bytes.TrimSpace(b)) > 0 {
			t.Errorf("children are left: %s", b)
		}
	}
}

func TestWhatIsLeftInTheBackground(t *testing.T) {
	t.Run("goes on", func(t *testing.T) {
		pids, err := run(t, shell(child+"exit 0"), 1)
		if err != nil || !lives(pids[0]) {
			t.Errorf("Run = %v, want nil and the child alive", err)
		}
		_ = syscall.Kill(pids[0], syscall.SIGKILL)
		_, _ = syscall.Wait4(pids[0], nil, 0, nil) // else another test would find it among the children
	})
	t.Run("is killed where the command is to be alone", func(t *testing.T) {
		c := shell(child + session + "until [ -s session ]; do sleep 0.01; done; " + orphan + "exit 0")
		c.Alone = true
		pids, err := run(t, c, 3)
		if err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		for _, pid := range pids {
			if lives(pid) {
				t.Errorf("process %d is left", pid)
			}
		}
	})
}
