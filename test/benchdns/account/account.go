// Package account tells what processes have used of the machine: time of its processors,
// memory, and what others than those of interest have used meanwhile.
package account

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Processes are several, named by their numbers.
type Processes []int

// Tree returns a process and all below it.
func Tree(root int) (Processes, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	below := make(map[int][]int)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // it has ended
		}
		// The name, in parentheses, may hold anything.
		fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		parent, _ := strconv.Atoi(fields[1]) // the kernel writes numbers
		below[parent] = append(below[parent], pid)
	}
	all := Processes{root}
	for i := 0; i < len(all); i++ {
		all = append(all, below[all[i]]...)
	}
	return all, nil
}

// CPU returns how long processors have run the processes, user and system, to the
// nanosecond, including threads that have ended.
func (p Processes) CPU() (sum time.Duration, err error) {
	for _, pid := range p {
		// The clock of another process, as clock_getcpuclockid(3) names it.
		const scheduled = 2
		var at unix.Timespec
		if err := unix.ClockGettime(int32(^pid)<<3|scheduled, &at); err != nil {
			return 0, fmt.Errorf("clock of process %d: %w", pid, err)
		}
		sum += time.Duration(at.Nano())
	}
	return sum, nil
}

// Memory returns the octets that the processes keep resident, each page's divided among
// those that share it.
func (p Processes) Memory() (sum int, err error) {
	for _, pid := range p {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			return 0, err
		}
		_, rest, _ := strings.Cut(string(b), "\nPss:")
		fields := strings.Fields(rest)
		if len(fields) == 0 {
			return 0, fmt.Errorf("no Pss of process %d", pid)
		}
		kib, err := strconv.Atoi(fields[0])
		if err != nil {
			return 0, err
		}
		sum += kib << 10
	}
	return sum, nil
}

// Self returns the time that processors have run this process and those of its children
// that it has waited for.
func Self() (sum time.Duration, err error) {
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var u unix.Rusage
		if err := unix.Getrusage(who, &u); err != nil {
			return 0, err
		}
		sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return sum, nil
}
