// Package sdnotify tells a service manager how this process is, as sd_notify(3)
// has it: ready, reloading, stopping, and alive.
//
// That it is alive is said while all its loops make progress, not by a timer of
// its own: each loop has a Pulse, and one that has not beat within its bound ends
// the pings, so that the service manager restarts a process that is stuck.
//
// The library that is at hand (go-systemd) reads NOTIFY_SOCKET with every
// message, so that the variable would have to stay for every command that this
// process starts. Here it is taken from the environment at the start.
package sdnotify

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Variables of the environment that a service manager sets.
const (
	envSocket   = "NOTIFY_SOCKET"
	envInterval = "WATCHDOG_USEC"
	envPID      = "WATCHDOG_PID"
)

// Notifier tells one service manager. The zero value, and nil, tell nobody, and
// every method works. Methods may be called by several goroutines.
type Notifier struct {
	socket   string
	interval time.Duration // within which the watchdog wants to hear of us; 0: not at all
	log      *slog.Logger

	mu     sync.Mutex
	pulses []*Pulse // under mu
	failed bool     // a message did not arrive, and that was logged; under mu
}

// FromEnvironment returns a Notifier of the service manager that started this
// process, and takes its variables away, so that no child believes that they
// are meant for it. Without one it tells nobody. A nil log hears nothing.
func FromEnvironment(log *slog.Logger) (*Notifier, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	n := &Notifier{log: log}
	socket, usec, pid := os.Getenv(envSocket), os.Getenv(envInterval), os.Getenv(envPID)
	for _, name := range []string{envSocket, envInterval, envPID} {
		if err := os.Unsetenv(name); err != nil {
			return nil, err
		}
	}
	if socket == "" {
		return n, nil
	}
	if !strings.HasPrefix(socket, "/") && !strings.HasPrefix(socket, "@") {
		return nil, fmt.Errorf("%s %q is no path, nor the name of an abstract socket", envSocket, socket)
	}
	n.socket = socket
	if usec == "" || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return n, nil
	}
	us, err := strconv.ParseInt(usec, 10, 64)
	if err != nil || us <= 0 || us > int64(time.Duration(1<<63-1)/time.Microsecond) {
		return nil, fmt.Errorf("%s %q is no number of microseconds", envInterval, usec)
	}
	n.interval = time.Duration(us) * time.Microsecond
	return n, nil
}

// Listens reports whether somebody is told.
func (n *Notifier) Listens() bool { return n != nil && n.socket != "" }

// Ready says that the start, or a reload, is over.
func (n *Notifier) Ready(status string) { n.send("READY=1", "STATUS="+status) }

// Status says in a few words how things are.
func (n *Notifier) Status(status string) { n.send("STATUS=" + status) }

// Reloading says that a reload has begun; Ready ends it.
func (n *Notifier) Reloading() {
	n.send("RELOADING=1", "MONOTONIC_USEC="+strconv.FormatInt(monotonic(), 10))
}

// Stopping says that the end has begun, and that it may take up to within from
// now. Called again it extends that.
func (n *Notifier) Stopping(status string, within time.Duration) {
	n.send("STOPPING=1", "STATUS="+status, "EXTEND_TIMEOUT_USEC="+strconv.FormatInt(max(within, 0).Microseconds(), 10))
}

// Starting says that the start is still under way, and may take up to within from
// now.
func (n *Notifier) Starting(status string, within time.Duration) {
	n.send("STATUS="+status, "EXTEND_TIMEOUT_USEC="+strconv.FormatInt(within.Microseconds(), 10))
}

// monotonic returns the time of CLOCK_MONOTONIC in microseconds, which the
// service manager compares with its own.
func monotonic() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0 // a system without that clock has no such service manager
	}
	return ts.Nano() / int64(time.Microsecond)
}

// send sends one datagram of the assignments. A service manager that is not
// there must not stop what it started: that is logged, once.
func (n *Notifier) send(assignments ...string) {
	if !n.Listens() {
		return
	}
	for i, a := range assignments {
		assignments[i] = strings.ReplaceAll(a, "\n", " ") // one line each
	}
	err := write(n.socket, strings.Join(assignments, "\n")+"\n")
	n.mu.Lock()
	defer n.mu.Unlock()
	if err != nil && !n.failed {
		n.log.Warn("service manager is not told", "socket", n.socket, "err", err)
	}
	n.failed = err != nil
}

// sendTimeout bounds one message: a service manager that does not read must not
// hold anything up.
const sendTimeout = time.Second

func write(socket, message string) error {
	// A name that begins with @ is abstract; package net knows that.
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return err
	}
	_, err = conn.Write([]byte(message))
	return err
}

// Run says that this process is alive, twice in each interval that the service
// manager wants it, while every Pulse beats. It returns nil when ctx ends.
func (n *Notifier) Run(ctx context.Context) error {
	if !n.Listens() || n.interval == 0 {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(n.interval / 2)
	defer tick.Stop()
	stuck := ""
	for {
		now := n.stuck(time.Now())
		if now == "" {
			n.send("WATCHDOG=1")
		}
		switch {
		case now == stuck:
		case now != "":
			n.log.Error("a loop does not go on, the service manager hears no more until it does", "loop", now)
		default:
			n.log.Info("the loop goes on", "loop", stuck)
		}
		stuck = now
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// stuck returns the name of a loop that should have beat before now, "" when
// there is none.
func (n *Notifier) stuck(now time.Time) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.pulses {
		if p.late(now) {
			return p.name
		}
	}
	return ""
}

// Pulse is the progress of one loop.
type Pulse struct {
	of    *Notifier
	name  string
	bound time.Duration

	mu   sync.Mutex
	last time.Time // under mu
}

// Pulse returns the pulse of a loop that beats once per turn, and that is stuck
// when it has not for bound. It counts from now on.
func (n *Notifier) Pulse(name string, bound time.Duration) *Pulse {
	p := &Pulse{of: n, name: name, bound: bound, last: time.Now()}
	if n != nil {
		n.mu.Lock()
		n.pulses = append(n.pulses, p)
		n.mu.Unlock()
	}
	return p
}

// Beat says that the loop has come round. That of a nil Pulse does nothing.
func (p *Pulse) Beat() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = time.Now()
}

// End says that the loop is over, and nothing is awaited of it any more.
func (p *Pulse) End() {
	if p == nil || p.of == nil {
		return
	}
	p.of.mu.Lock()
	defer p.of.mu.Unlock()
	p.of.pulses = slices.DeleteFunc(p.of.pulses, func(o *Pulse) bool { return o == p })
}

func (p *Pulse) late(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return now.Sub(p.last) > p.bound
}

// Watch calls probe about every period until ctx ends, and beats after each that
// returns true: for what has no loop of its own, such as a listener that is to
// answer. It returns nil.
func (p *Pulse) Watch(ctx context.Context, period time.Duration, probe func(context.Context) bool) error {
	defer p.End()
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		if probe(ctx) {
			p.Beat()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
