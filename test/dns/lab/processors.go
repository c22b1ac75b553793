package lab

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/musterhq/muster/test/binary"

	"golang.org/x/sys/unix"
)

// A flood comes from elsewhere: who sends it must not take the processor away from
// those it is to be measured on, nor have the system deliver their packets along
// with its own. So flooders have one processor, and all others the rest.

// flooders and others are the two parts; the same one where there is one processor.
func flooders() unix.CPUSet { return part(func(n, first int) bool { return n == first }) }

func others() unix.CPUSet { return part(func(n, first int) bool { return n != first }) }

func part(in func(n, first int) bool) (set unix.CPUSet) {
	var all unix.CPUSet
	if unix.SchedGetaffinity(os.Getpid(), &all) != nil || all.Count() < 2 {
		return all
	}
	first := -1
	for n := range len(all) * strconv.IntSize {
		if !all.IsSet(n) {
			continue
		}
		if first < 0 {
			first = n
		}
		if in(n, first) {
			set.Set(n)
		}
	}
	return set
}

// KeepApart has the process run where flooders do not, with all its threads and
// those that they will start.
func KeepApart(tb testing.TB, p *binary.Process) {
	tb.Helper()
	set := others()
	tasks, err := filepath.Glob("/proc/" + strconv.Itoa(p.PID()) + "/task/*")
	if err != nil || len(tasks) == 0 {
		tb.Fatalf("threads of %d: %v, %v", p.PID(), tasks, err)
	}
	for _, task := range tasks {
		id, _ := strconv.Atoi(filepath.Base(task)) // the kernel writes numbers
		if err := unix.SchedSetaffinity(id, &set); err != nil && !errors.Is(err, unix.ESRCH) {
			tb.Fatalf("processors of thread %d: %v", id, err)
		}
	}
}

// here has the thread that calls it, which must be locked, run on a set.
func here(set unix.CPUSet) error { return unix.SchedSetaffinity(0, &set) }
