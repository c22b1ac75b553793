package account

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Machine is a reading of how long processors had nothing to do since the start.
type Machine struct {
	idle time.Duration
	at   time.Time
}

// tick is what the kernel counts idle time in, for programs.
const tick = 10 * time.Millisecond

// Read reads the clocks of the machine.
func Read() (Machine, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return Machine{}, err
	}
	return parse(string(b), time.Now())
}

func parse(stat string, at time.Time) (Machine, error) {
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	if len(fields) < 6 || fields[0] != "cpu" {
		return Machine{}, fmt.Errorf("no sum of processors: %q", line)
	}
	m := Machine{at: at}
	for _, f := range fields[4:6] { // idle, and idle until a disk answers
		n, err := strconv.Atoi(f)
		if err != nil {
			return Machine{}, err
		}
		m.idle += time.Duration(n) * tick
	}
	return m, nil
}

// Busy returns how many processors worked on average since an earlier reading, at
// whatever: also for what the host took away.
func (m Machine) Busy(since Machine) float64 {
	return float64(runtime.NumCPU()) - (m.idle-since.idle).Seconds()/m.at.Sub(since.at).Seconds()
}

// Quiet waits until the machine is at rest, but no longer than patience: until others
// than ours have used less than most processors over a window. It returns what they used
// in the last one.
func Quiet(ctx context.Context, ours func() (time.Duration, error), most float64, window, patience time.Duration) (others float64, err error) {
	for began := time.Now(); ; {
		watch, err := NewWatch(ours)
		if err != nil {
			return 0, err
		}
		select {
		case <-time.After(window):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		if others, err = watch.Others(); err != nil || others < most || time.Since(began) >= patience {
			return others, err
		}
	}
}

// Watch tells what others use of the machine from now on.
type Watch struct {
	ours  func() (time.Duration, error)
	used  time.Duration
	since Machine
}

// NewWatch begins to watch. ours returns the time that those used who are not others.
func NewWatch(ours func() (time.Duration, error)) (w Watch, err error) {
	w.ours = ours
	if w.used, err = ours(); err == nil {
		w.since, err = Read()
	}
	return w, err
}

// Others returns how many processors others have used on average since the watch began.
func (w Watch) Others() (float64, error) {
	now, err := Read()
	if err != nil {
		return 0, err
	}
	used, err := w.ours()
	if err != nil {
		return 0, err
	}
	return max(0, now.Busy(w.since)-(used-w.used).Seconds()/now.at.Sub(w.since.at).Seconds()), nil
}
