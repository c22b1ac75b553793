package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// Bounds of what is read of /proc and of a file that holds a process id.
const (
	maxProc    = 4 << 10
	maxPIDFile = 64
	maxComm    = 15 // bytes of a program's name that the kernel keeps
)

// process passes while a process runs: the one whose id is in a file, or any of
// a program.
type process struct {
	proc    string // where the kernel tells of processes
	program string // name or path; empty: any
	pidFile string // empty: any process of program

	mu   sync.Mutex
	last int // the process found latest, which is looked at first; under mu
}

func newProcess(c Check, _ *Guard) (Prober, error) {
	switch {
	case c.Process != "" && !filepath.IsAbs(c.Process) && strings.Contains(c.Process, "/"):
		return nil, fmt.Errorf("%q is neither the name of a program nor an absolute path", c.Process)
	case strings.ContainsRune(c.Process+c.PIDFile, 0):
		return nil, errors.New("a zero byte")
	case c.PIDFile != "" && !filepath.IsAbs(c.PIDFile):
		return nil, fmt.Errorf("pid_file %q is not absolute", c.PIDFile)
	}
	return &process{proc: "/proc", program: c.Process, pidFile: c.PIDFile}, nil
}

func (p *process) Probe(ctx context.Context) error { return failure(ctx, p.look(ctx)) }

func (p *process) look(ctx context.Context) error {
	if p.pidFile != "" {
		return p.lookInFile()
	}
	p.mu.Lock()
	last := p.last
	p.mu.Unlock()
	if last != 0 && p.is(last) {
		return nil
	}
	d, err := os.Open(p.proc)
	if err != nil {
		return &Error{NotSetUp, err}
	}
	defer d.Close()
	for ctx.Err() == nil {
		entries, err := d.ReadDir(256)
		for _, e := range entries {
			if pid, err := strconv.Atoi(e.Name()); err == nil && p.is(pid) {
				p.mu.Lock()
				p.last = pid
				p.mu.Unlock()
				return nil
			}
		}
		if errors.Is(err, io.EOF) {
			return wrongAnswer(fmt.Errorf("no process of %q runs", p.program))
		}
		if err != nil {
			return &Error{NotSetUp, err}
		}
	}
	return ctx.Err()
}

func (p *process) lookInFile() error {
	b, err := readShort(p.pidFile, maxPIDFile)
	if errors.Is(err, fs.ErrNotExist) {
		return wrongAnswer(fmt.Errorf("%s does not exist", p.pidFile))
	}
	if err != nil {
		return &Error{NotSetUp, err}
	}
	pid, err := parsePID(b)
	if err != nil {
		return wrongAnswer(fmt.Errorf("%s %w", p.pidFile, err))
	}
	stat, err := readShort(p.of(pid, "stat"), maxProc)
	switch state := stateOf(stat); {
	case errors.Is(err, fs.ErrNotExist):
		return wrongAnswer(fmt.Errorf("no process %d runs", pid))
	case err != nil:
		return &Error{NotSetUp, err}
	case state == 'Z' || state == 'X':
		return wrongAnswer(fmt.Errorf("process %d has ended, and its parent does not wait for it", pid))
	}
	if p.program != "" && !p.is(pid) {
		return wrongAnswer(fmt.Errorf("process %d is not of %q", pid, p.program))
	}
	return nil
}

func (p *process) of(pid int, file string) string {
	return filepath.Join(p.proc, strconv.Itoa(pid), file)
}

// is reports whether there is such a process, of the program, and no zombie.
func (p *process) is(pid int) bool {
	stat, err := readShort(p.of(pid, "stat"), maxProc)
	if err != nil {
		return false
	}
	if state := stateOf(stat); state == 0 || state == 'Z' || state == 'X' {
		return false
	}
	name := filepath.Base(p.program)
	if comm, ok := commOf(stat); ok && comm != name[:min(len(name), maxComm)] && !filepath.IsAbs(p.program) {
		// A process may have renamed itself, but then by its name alone nobody
		// can tell, and reading more of every process is dear.
		return false
	}
	// What it runs only its owner and root are told; what it was called with
	// everybody is.
	if exe, err := os.Readlink(p.of(pid, "exe")); err == nil {
		exe = strings.TrimSuffix(exe, " (deleted)") // it was replaced meanwhile
		if exe == p.program || filepath.Base(exe) == p.program {
			return true
		}
	}
	argv, err := readShort(p.of(pid, "cmdline"), maxProc)
	if err != nil {
		return false
	}
	called, _, _ := bytes.Cut(argv, []byte{0})
	return string(called) == p.program || filepath.Base(string(called)) == p.program
}

// readShort returns the first bytes of a file that does not block.
func readShort(name string, most int64) ([]byte, error) {
	if info, err := os.Stat(name); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most))
}

// parsePID returns the process id that a file holds in its first line.
func parsePID(b []byte) (int, error) {
	line, _, _ := bytes.Cut(b, []byte("\n"))
	pid, err := strconv.Atoi(string(bytes.TrimSpace(line)))
	if err != nil || pid <= 0 {
		return 0, errors.New("holds no process id")
	}
	return pid, nil
}

// stateOf and commOf read proc_pid_stat(5): the name of the program stands in
// parentheses and may hold anything, the state follows.
func stateOf(stat []byte) byte {
	_, rest, ok := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" "))
	if !ok || len(rest) == 0 {
		return 0
	}
	return rest[0]
}

func commOf(stat []byte) (string, bool) {
	from, to := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if from < 0 || to < from {
		return "", false
	}
	return string(stat[from+1 : to]), true
}
