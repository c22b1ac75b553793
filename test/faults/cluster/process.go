package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a program of a node. It is used by one goroutine at a time.
type process struct {
	name    string
	command func() *exec.Cmd // makes the command anew for each start
	log     string           // path; each start appends

	cmd  *exec.Cmd     // nil before the first start
	done chan struct{} // closed when it has ended
}

// Start starts the program, which must not be running.
func (p *process) Start() error {
	if p.Running() {
		return fmt.Errorf("%s runs already", p.name)
	}
	// A file and no pipe: a child that outlives the program may hold it.
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd, done := p.command(), make(chan struct{})
	fmt.Fprintf(log, "== %s %q\n", time.Now().Format(time.StampMilli), cmd.Args)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.cmd, p.done = cmd, done
	go func() {
		_ = cmd.Wait() // its state says how it ended
		close(done)
	}()
	return nil
}

// Running reports whether the program was started and has not ended.
func (p *process) Running() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Stop asks the program to end. It is an error if it does not within 30 s, or
// ends with another code than 0.
func (p *process) Stop() error {
	if !p.Running() {
		return nil
	}
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		return errors.Join(fmt.Errorf("%s did not end within 30 s of SIGTERM", p.name), p.Crash())
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("%s ended with %d after SIGTERM, want 0: see %s", p.name, code, p.log)
	}
	return nil
}

// Kill ends the program alone, as a crash of it does. What it had started goes
// on, or finds out.
func (p *process) Kill() error {
	if !p.Running() {
		return nil
	}
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.done
	return nil
}

// Crash ends the program and all it has started, as a crash of the machine
// does.
func (p *process) Crash() error {
	if !p.Running() {
		return nil
	}
	children := p.Children()
	err := p.Kill()
	for _, pid := range children {
		if killed := syscall.Kill(pid, syscall.SIGKILL); killed != nil && !errors.Is(killed, syscall.ESRCH) {
			err = errors.Join(err, killed)
		}
	}
	return err
}

// Pause stops the program without ending it, as a frozen virtual machine or a
// very long pause of its memory's collector does. Its children go on.
func (p *process) Pause() error { return p.signal(syscall.SIGSTOP) }

// Continue undoes Pause.
func (p *process) Continue() error { return p.signal(syscall.SIGCONT) }

func (p *process) signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("%v to %s: %w", s, p.name, err)
	}
	return nil
}

// Children returns the ids of the processes that descend from the program.
func (p *process) Children() []int {
	parents := make(map[int][]int)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is right
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		// The name, in parentheses, may hold anything.
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		if len(fields) < 2 || fields[0] == "Z" {
			continue
		}
		parent, _ := strconv.Atoi(fields[1])
		parents[parent] = append(parents[parent], pid)
	}
	var all []int
	for next := []int{p.cmd.Process.Pid}; len(next) > 0; {
		children := parents[next[0]]
		all, next = append(all, children...), append(next[1:], children...)
	}
	return all
}

// Log returns the last lines of what the program wrote.
func (p *process) Log(lines int) string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
