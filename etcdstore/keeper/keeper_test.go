package keeper_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/etcdstore/embedded"
	"github.com/musterhq/muster/etcdstore/keeper"
	"github.com/musterhq/muster/test/binary"
)

// First arguments with which the test binary is something else.
const (
	asEtcd   = "etcd-process"   // the process that is kept
	asKeeper = "keeper-process" // a keeper of an etcd in the directory that follows
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case asEtcd:
			os.Exit(keeper.Main(os.Stdin, os.Stdout, os.Stderr))
		case asKeeper:
			os.Exit(keepHere(os.Args[2]))
		}
	}
	os.Exit(m.Run())
}

// keepHere keeps an etcd in dir until it is killed, and writes its number.
func keepHere(dir string) int {
	k, err := keeper.New(config(dir))
	if err == nil {
		go func() {
			<-k.Ready()
			fmt.Println(k.Pid())
		}()
		err = k.Run(context.Background())
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func config(dir string) keeper.Config {
	return keeper.Config{
		Command: []string{os.Args[0], asEtcd},
		Etcd:    embedded.Config{Dir: dir, NoSync: true},
	}
}

// running returns a keeper whose etcd is ready, and a function that ends its Run
// and returns what that returned.
func running(t *testing.T, cfg keeper.Config) (*keeper.Keeper, func() error) {
	t.Helper()
	k, stop := starting(t, cfg)
	select {
	case <-k.Ready():
	case <-time.After(time.Minute):
		t.Fatalf("not ready after a minute; Run() = %v", stop())
	}
	return k, stop
}

func starting(t *testing.T, cfg keeper.Config) (*keeper.Keeper, func() error) {
	t.Helper()
	cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	k, err := keeper.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	stopped := false
	stop := func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-ended
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Run() = %v", err)
		}
		k.Close()
	})
	return k, stop
}

func put(t *testing.T, c *clientv3.Client, key, value string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := c.Put(ctx, key, value)
	return err
}

// eventually waits until ok returns true.
func eventually(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(within)
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("not within %s: %s", within, what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// alive reports whether a process is there and no zombie.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}

func TestServesUntilItIsStopped(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 40))
	for _, want := range []int{0, 1} {
		k, stop := running(t, config(dir))
		got, err := k.Client().Get(t.Context(), "key")
		if err != nil || len(got.Kvs) != want {
			t.Fatalf("Get = %v, %v, want %d keys", got, err, want)
		}
		if err := put(t, k.Client(), "key", "value"); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(dir, "client.sock"))
		if err != nil || info.Mode() != fs.ModeSocket|0o600 {
			t.Errorf("the socket is %v, %v, want one for this user alone", info, err)
		}
		// An open watch must not hold up the end.
		watch := k.Client().Watch(t.Context(), "key", clientv3.WithCreatedNotify())
		<-watch
		pid, began := k.Pid(), time.Now()
		if err := stop(); err != nil {
			t.Errorf("Run() = %v", err)
		}
		if took, most := time.Since(began), binary.Promptly(3*time.Second); took > most {
			t.Errorf("stopped after %s, want %s at the most", took, most)
		}
		if _, err := os.Stat(filepath.Join(dir, "client.sock")); err == nil {
			t.Error("the socket is there after Run returned")
		}
		if alive(pid) || k.Pid() != 0 {
			t.Errorf("process %d is there after Run returned; Pid() = %d, want 0", pid, k.Pid())
		}
	}
}

func TestKilledEtcdComesBackWithAllItAcknowledged(t *testing.T) {
	t.Parallel()
	metrics := prometheus.NewRegistry()
	cfg := config(t.TempDir())
	cfg.Etcd.NoSync = false
	cfg.Registerer = metrics
	k, _ := running(t, cfg)
	var acknowledged []string
	for round := range 3 {
		pid := k.Pid()
		var killed time.Time
		for i := range 50 {
			if i == 40 {
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				killed = time.Now()
			}
			if key := fmt.Sprintf("%d-%d", round, i); put(t, k.Client(), key, "value") == nil {
				acknowledged = append(acknowledged, key)
			}
		}
		eventually(t, time.Minute, "the etcd takes writes again", func() bool { return k.Pid() != pid && put(t, k.Client(), "again", "") == nil })
		t.Logf("taking writes again %s after it was killed", time.Since(killed).Round(time.Millisecond))
	}
	for _, key := range acknowledged {
		if got, err := k.Client().Get(t.Context(), key); err != nil || len(got.Kvs) != 1 {
			t.Errorf("Get(%s) = %v, %v, want what was acknowledged", key, got, err)
		}
	}
	want := "# HELP muster_etcd_process_restarts_total Times the process of the embedded etcd was started again.\n" +
		"# TYPE muster_etcd_process_restarts_total counter\nmuster_etcd_process_restarts_total 3\n"
	if err := testutil.GatherAndCompare(metrics, strings.NewReader(want), "muster_etcd_process_restarts_total"); err != nil {
		t.Error(err)
	}
}

func TestEtcdEndsWithItsKeeper(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0], asKeeper, dir)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscan(bufio.NewReader(out), &pid); err != nil {
		t.Fatal(err)
	}
	// What a terminal and a service manager do first changes nothing.
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if err := syscall.Kill(pid, s); err != nil {
			t.Fatal(err)
		}
	}
	client, err := embedded.Dial(filepath.Join(dir, "client.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := put(t, client, "key", "value"); err != nil {
		t.Errorf("put after signals that are for the keeper = %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // says that it was killed
	// The next keeper starts at once and waits for what is left of the last one.
	k, _ := running(t, config(dir))
	eventually(t, time.Minute, "the etcd ended with its keeper", func() bool { return !alive(pid) })
	if got, err := k.Client().Get(t.Context(), "key"); err != nil || len(got.Kvs) != 1 {
		t.Errorf("Get = %v, %v, want what was put under the last keeper", got, err)
	}
}

func TestRunSaysWhyItCannotStart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	broken := t.TempDir()
	snap := filepath.Join(broken, "member", "snap")
	if err := os.MkdirAll(snap, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(snap, "db"), []byte(strings.Repeat("no database", 9999)), 0o600); err != nil {
		t.Fatal(err)
	}
	taken := t.TempDir()
	other, err := embedded.Start(t.Context(), embedded.Config{Dir: taken, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	inTheWay := config(t.TempDir())
	inTheWay.Etcd.Socket = file
	with := func(command ...string) keeper.Config {
		cfg := config(t.TempDir())
		cfg.Command = command
		return cfg
	}
	for name, test := range map[string]struct {
		cfg  keeper.Config
		want []string
	}{
		"a directory below a file":      {config(filepath.Join(file, "below")), []string{filepath.Join(file, "below")}},
		"a broken database":             {config(broken), []string{broken, "invalid database"}},
		"a directory in use":            {config(taken), []string{taken, fmt.Sprintf("in use by process %d (", os.Getpid())}},
		"a file in place of the socket": {inTheWay, []string{file, "no socket"}},
		"no such program":               {with(file + "x"), []string{file + "x"}},
		"a program that is no keeper's": {with("false"), []string{"exit status 1"}},
		"a program that crashes":        {with("sh", "-c", "echo 'panic: out of luck' >&2; exit 2"), []string{"out of luck"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k, err := keeper.New(test.cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer k.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			err = k.Run(ctx)
			if err == nil {
				t.Fatal("Run() = nil, want an error")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("Run() = %v, want %q in it", err, want)
				}
			}
		})
	}
}

func TestLogOfTheProcessIsPassedOn(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	cfg := config(t.TempDir())
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	cfg.Command = []string{"sh", "-c", `
		echo '{"time":"2026-01-02T03:04:05Z","level":"WARN","msg":"slow disk","took":"1s"}' >&2
		echo '{"time":"2026-01-02T03:04:05Z","level":"DEBUG","msg":"chatter"}' >&2
		echo '{"level":"ERROR","msg":"has no time"}' >&2
		echo '{"time":"2026-01-02T03:04:05Z","level":"ERROR","msg":"no disk","error":"it is gone"}' >&2
		echo 'panic: it is gone' >&2
		exit 7`}
	k, err := keeper.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	if err := k.Run(t.Context()); err == nil || !strings.HasSuffix(err.Error(), cfg.Etcd.Dir+": it is gone") {
		t.Errorf("Run() = %v, want the last error in the log", err)
	}
	want := "time=2026-01-02T03:04:05.000Z level=WARN msg=\"slow disk\" took=1s\n" +
		"time=2026-01-02T03:04:05.000Z level=ERROR msg=\"no disk\" error=\"it is gone\"\n"
	if got := log.String(); got != want {
		t.Errorf("log = %q, want %q", got, want)
	}
}

func TestNewChecksSettings(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*keeper.Config)
		want   string
	}{
		"no command":        {func(c *keeper.Config) { c.Command = nil }, "command"},
		"no directory":      {func(c *keeper.Config) { c.Etcd.Dir = "" }, "dir"},
		"half a cluster":    {func(c *keeper.Config) { c.Etcd.Cluster = &embedded.Cluster{Name: "a"} }, "cluster: listen"},
		"a negative amount": {func(c *keeper.Config) { c.Etcd.QuotaBytes = -1 }, "quota_bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(filepath.Join(t.TempDir(), "made by Run"))
			test.change(&cfg)
			if k, err := keeper.New(cfg); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("New = %v, %v, want an error with %q", k, err, test.want)
			}
		})
	}
	dir := filepath.Join(t.TempDir(), "not yet")
	k, err := keeper.New(config(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("New has made %s (%v): it starts nothing", dir, err)
	}
}

func TestMainRefusesWhatIsNoSettings(t *testing.T) {
	for name, test := range map[string]struct{ in, want string }{
		"nothing":         {"", "EOF"},
		"no JSON":         {"dir: /tmp\n", "invalid character"},
		"unknown setting": {`{"dir": "x", "port": 1}` + "\n", "port"},
		"no directory":    {"{}\n", "dir is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], asEtcd)
			cmd.Stdin = strings.NewReader(test.in)
			out, err := cmd.Output()
			if err == nil {
				t.Error("ended with success, want a failure")
			}
			if got, code := string(out), cmd.ProcessState.ExitCode(); code != 1 || !strings.HasPrefix(got, "failed: ") || !strings.Contains(got, test.want) ||
				strings.Count(got, "\n") != 1 {
				t.Errorf("Main(%q) = %d, %q, want 1 and one line of failure with %q", test.in, code, got, test.want)
			}
		})
	}
}
