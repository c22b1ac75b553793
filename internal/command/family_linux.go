package command

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// family is a program that runs, with all that it starts: those of its process
// group, and those with its mark in their environment.
type family struct {
	mark string
	pid  int
}

// running are the process ids of the programs that os/exec waits for, the only
// children of this process that nobody else may wait for.
var running = struct {
	sync.Mutex

	pids map[int]bool
	last time.Time         // when strangers was last called
	dead map[int]time.Time // strangers that are zombies, since when
}{pids: make(map[int]bool), dead: make(map[int]time.Time)}

var (
	// adopt makes this process, rather than process 1, the parent of whoever
	// loses its own below it: so it can be found and waited for. It fails where
	// a sandbox forbids it, and then process 1 is.
	adopt = sync.OnceFunc(func() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) })
	// life tells the marks of this process from those of an earlier one, whose
	// programs may live on.
	life    = rand.Uint64()
	counted atomic.Uint64
)

func newFamily() *family {
	return &family{mark: fmt.Sprintf("COMMAND_RUN=%016x.%d", life, counted.Add(1))}
}

func attributes(alone bool) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true}
	if alone {
		a.Pdeathsig = syscall.SIGKILL
	}
	return a
}

func (f *family) start(cmd *exec.Cmd) error {
	adopt()
	running.Lock()
	defer running.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	f.pid = cmd.Process.Pid
	running.pids[f.pid] = true
	return nil
}

// rounds bounds how often kill looks for more: a program may start others faster
// than they are killed. Between two it waits a little longer each time, half a
// second in all.
const rounds = 32

// kill kills all there are of the family and waits for them. The program itself
// has been waited for.
func (f *family) kill() {
	strays := make(map[int]bool) // those outside the group that were killed
	for round := range rounds {
		_ = syscall.Kill(-f.pid, syscall.SIGKILL)
		left := f.wait()
		for _, pid := range children() {
			switch is, certain := f.isMarked(pid); {
			case is:
				left = true // its own children come to this process once it has ended
				strays[pid] = true
				_ = syscall.Kill(pid, syscall.SIGKILL)
			case !certain && round < 4: // else its environment is empty for good
				left = true
			}
		}
		for pid := range strays {
			if ended, err := syscall.Wait4(pid, nil, syscall.WNOHANG, nil); ended == pid || err == syscall.ECHILD {
				delete(strays, pid)
			}
		}
		if !left && len(strays) == 0 {
			return
		}
		time.Sleep(time.Duration(round) * time.Millisecond)
	}
}

// wait waits for those of the group that have ended, and reports whether there
// are others. A child that is somebody's own is in no group of a program that
// has been waited for.
func (f *family) wait() (others bool) {
	for {
		switch pid, err := syscall.Wait4(-f.pid, nil, syscall.WNOHANG, nil); {
		case err == syscall.EINTR:
		case err != nil:
			return false
		case pid == 0:
			return true
		}
	}
}

// isMarked reports whether the process has the mark of f. That is not certain of
// one that is about to run another program.
func (f *family) isMarked(pid int) (is, certain bool) {
	environ, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return false, true // it is gone, or not ours
	}
	if len(environ) == 0 {
		state, _ := stat(pid)
		return false, state == 'Z' || state == 0
	}
	return bytes.HasPrefix(environ, []byte(f.mark+"\x00")) || bytes.Contains(environ, []byte("\x00"+f.mark+"\x00")), true
}

// end is called when the program has been waited for.
func (f *family) end() {
	f.wait()
	running.Lock()
	defer running.Unlock()
	delete(running.pids, f.pid)
	if now := time.Now(); now.Sub(running.last) >= time.Second {
		running.last = now
		strangers(now)
	}
}

// deadFor is how long a child must be a zombie until it is taken for one that
// nobody waits for.
const deadFor = 10 * time.Second

// strangers waits for those that were adopted and have ended long since: what
// programs left in the background. running is locked.
func strangers(now time.Time) {
	before := running.dead
	running.dead = make(map[int]time.Time)
	own := syscall.Getpgrp()
	for _, pid := range children() {
		if state, group := stat(pid); state != 'Z' || group == own || running.pids[pid] {
			continue // it lives, or may be that of another package
		}
		since, known := before[pid]
		switch {
		case !known:
			running.dead[pid] = now
		case now.Sub(since) < deadFor:
			running.dead[pid] = since
		default:
			_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
		}
	}
}

// children returns the process ids of the children of this process, none where
// the kernel does not tell.
func children() []int {
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	var all []int
	for _, name := range lists {
		b, _ := os.ReadFile(name)
		for field := range strings.FieldsSeq(string(b)) {
			if pid, err := strconv.Atoi(field); err == nil {
				all = append(all, pid)
			}
		}
	}
	return all
}

// stat returns the state and the process group of a process, 0 where there is
// none.
func stat(pid int) (state byte, group int) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0
	}
	return parseStat(b)
}

// parseStat reads proc_pid_stat(5): the name of the program stands in
// parentheses and may hold anything.
func parseStat(b []byte) (state byte, group int) {
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 3 || len(fields[0]) != 1 || fields[0][0] < 'A' {
		return 0, 0
	}
	group, err := strconv.Atoi(fields[2])
	if err != nil {
		return 0, 0
	}
	return fields[0][0], group
}
