package sdnotify_test

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/musterhq/muster/internal/sdnotify"
)

// ears is what the tests have for a service manager: a socket that hears.
type ears struct {
	t    *testing.T
	conn *net.UnixConn
}

// listen listens at address and sets the variables that a process which it
// started would have. Tests that need it cannot run side by side.
func listen(t *testing.T, address string, watchdog time.Duration) *ears {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", address)
	t.Setenv("WATCHDOG_USEC", "")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	if watchdog > 0 {
		t.Setenv("WATCHDOG_USEC", strconv.FormatInt(watchdog.Microseconds(), 10))
	}
	return &ears{t, conn}
}

// hears returns the assignments of the next message, "" at the end of patience.
func (m *ears) hears(patience time.Duration) []string {
	m.t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		m.t.Fatal(err)
	}
	b := make([]byte, 4096)
	n, err := m.conn.Read(b)
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(b[:n]), "\n"), "\n")
}

func notifier(t *testing.T) *sdnotify.Notifier {
	t.Helper()
	n, err := sdnotify.FromEnvironment(nil)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

const patience = time.Minute

func TestMessages(t *testing.T) {
	for _, address := range []string{filepath.Join(t.TempDir(), "notify"), "@muster-sdnotify-" + strconv.Itoa(os.Getpid())} {
		m := listen(t, address, 0)
		n := notifier(t)
		for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
			if v, ok := os.LookupEnv(name); ok {
				t.Errorf("%s = %q afterwards, want it gone: children would have it", name, v)
			}
		}
		n.Ready("all is\nwell")
		if got, want := m.hears(patience), []string{"READY=1", "STATUS=all is well"}; !slices.Equal(got, want) {
			t.Errorf("Ready says %q, want %q", got, want)
		}
		n.Stopping("draining", 1500*time.Millisecond)
		if got, want := m.hears(patience), []string{"STOPPING=1", "STATUS=draining", "EXTEND_TIMEOUT_USEC=1500000"}; !slices.Equal(got, want) {
			t.Errorf("Stopping says %q, want %q", got, want)
		}
		n.Starting("waiting", time.Second)
		if got, want := m.hears(patience), []string{"STATUS=waiting", "EXTEND_TIMEOUT_USEC=1000000"}; !slices.Equal(got, want) {
			t.Errorf("Starting says %q, want %q", got, want)
		}
		before := now(t)
		n.Reloading()
		got := m.hears(patience)
		if len(got) != 2 || got[0] != "RELOADING=1" {
			t.Fatalf("Reloading says %q", got)
		}
		text, _ := strings.CutPrefix(got[1], "MONOTONIC_USEC=")
		if at, err := strconv.ParseInt(text, 10, 64); err != nil || at < before || at > now(t) {
			t.Errorf("Reloading says %q, want the monotonic time of the call", got[1])
		}
	}
}

// now returns CLOCK_MONOTONIC in microseconds.
func now(t *testing.T) int64 {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		t.Fatal(err)
	}
	return ts.Nano() / 1000
}

func TestWatchdogFollowsTheLoops(t *testing.T) {
	m := listen(t, filepath.Join(t.TempDir(), "notify"), 20*time.Millisecond)
	n := notifier(t)
	healthy, stuck := n.Pulse("healthy", time.Hour), n.Pulse("stuck", time.Nanosecond)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	// A loop that does not come round ends the pings, however the others do.
	healthy.Beat()
	if got := m.hears(300 * time.Millisecond); got != nil {
		t.Errorf("the service manager hears %q while a loop is stuck, want nothing", got)
	}
	stuck.End()
	if got, want := m.hears(patience), []string{"WATCHDOG=1"}; !slices.Equal(got, want) {
		t.Errorf("the service manager hears %q once no loop is stuck, want %q", got, want)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}

// heard is what was logged. The clock of a bubble does not order memory.
type heard struct {
	mu   sync.Mutex
	text strings.Builder
}

func (h *heard) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.Write(b)
}

func (h *heard) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.String()
}

// In virtual time no socket can be heard, so that what Run says is judged by
// what it logs of the loops.
func TestPulseIsBoundedInTime(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "@muster-nobody-"+strconv.Itoa(os.Getpid()))
	t.Setenv("WATCHDOG_USEC", "10000000")
	t.Setenv("WATCHDOG_PID", "")
	synctest.Test(t, func(t *testing.T) {
		var log heard
		n, err := sdnotify.FromEnvironment(slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		p := n.Pulse("turns", 15*time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- n.Run(ctx) }()
		for range 10 {
			time.Sleep(14 * time.Second)
			p.Beat()
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if strings.Contains(log.String(), "does not go on") {
			t.Errorf("a loop that comes round in time is said to be stuck: %s", log.String())
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if !strings.Contains(log.String(), "does not go on") || !strings.Contains(log.String(), "loop=turns") {
			t.Errorf("a loop that does not come round is not named: %s", log.String())
		}
		p.Beat()
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if !strings.Contains(log.String(), "the loop goes on") {
			t.Errorf("that the loop goes on is not said: %s", log.String())
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
}

func TestWatchBeatsForWhatAnswers(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "@muster-nobody-"+strconv.Itoa(os.Getpid()))
	t.Setenv("WATCHDOG_USEC", "2000000")
	t.Setenv("WATCHDOG_PID", "")
	synctest.Test(t, func(t *testing.T) {
		var log heard
		n, err := sdnotify.FromEnvironment(slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		var answers atomic.Bool
		answers.Store(true)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		p := n.Pulse("listener", 10*time.Second)
		go func() { _ = n.Run(ctx) }()
		go func() { _ = p.Watch(ctx, 3*time.Second, func(context.Context) bool { return answers.Load() }) }()
		time.Sleep(time.Minute)
		synctest.Wait()
		if strings.Contains(log.String(), "loop=listener") {
			t.Errorf("what answers is said to be stuck: %s", log.String())
		}
		answers.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if !strings.Contains(log.String(), "loop=listener") {
			t.Errorf("what does not answer is not named: %s", log.String())
		}
	})
}

func TestNobodyListens(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	n := notifier(t)
	for _, n := range []*sdnotify.Notifier{n, nil} {
		if n.Listens() {
			t.Error("Listens() = true without a socket")
		}
		n.Ready("")
		n.Reloading()
		n.Pulse("loop", time.Nanosecond).Beat()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := n.Run(ctx); err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	}
	// One that went away stops nothing.
	listen(t, filepath.Join(t.TempDir(), "notify"), 0).conn.Close()
	notifier(t).Ready("")
}

func TestBadEnvironment(t *testing.T) {
	for _, c := range []struct{ name, socket, usec, want string }{
		{"a relative path", "notify", "", "NOTIFY_SOCKET"},
		{"no number", "/run/notify", "soon", "WATCHDOG_USEC"},
		{"no time", "/run/notify", "0", "WATCHDOG_USEC"},
		{"longer than a duration", "/run/notify", "9223372036854775807", "WATCHDOG_USEC"},
	} {
		t.Setenv("NOTIFY_SOCKET", c.socket)
		t.Setenv("WATCHDOG_USEC", c.usec)
		t.Setenv("WATCHDOG_PID", "")
		if _, err := sdnotify.FromEnvironment(nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("FromEnvironment with %s = %v, want an error that names %s", c.name, err, c.want)
		}
	}
	// Those of another process are not for this one.
	t.Setenv("NOTIFY_SOCKET", "/run/notify")
	t.Setenv("WATCHDOG_USEC", "not ours")
	t.Setenv("WATCHDOG_PID", "1")
	if _, err := sdnotify.FromEnvironment(nil); err != nil {
		t.Errorf("FromEnvironment with a watchdog of another process = %v, want none", err)
	}
}
