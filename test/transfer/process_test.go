package transfer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/musterhq/muster/client"
)

// process is a program as users start it: another process.
type process struct {
	t    *testing.T
	args []string
	cmd  *exec.Cmd
	log  *buffer
	done chan struct{} // closed when it has ended
}

// buffer is what a process has written so far.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (p *process) start() {
	p.t.Helper()
	p.log, p.done = &buffer{}, make(chan struct{})
	// It outlives the test's context, so that the clean-up can stop it well.
	p.cmd = exec.CommandContext(context.Background(), p.args[0], p.args[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		p.t.Fatalf("start %v: %v", p.args, err)
	}
	go func(cmd *exec.Cmd, done chan struct{}) {
		_ = cmd.Wait() // its state says how it ended
		close(done)
	}(p.cmd, p.done)
}

// kill ends the process as a crash does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// stop asks the process to end, and kills it when it does not.
func (p *process) stop() {
	p.t.Helper()
	if p.t.Failed() {
		p.t.Logf("%v wrote:\n%s", p.args, tail(p.log.String()))
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		p.kill()
		p.t.Errorf("%v did not end within 30 s of SIGTERM:\n%s", p.args, p.log)
	}
}

// await waits for a condition that a process brings about.
func (p *process) await(patience time.Duration, what string, ok func() bool) {
	p.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-p.done:
			p.t.Fatalf("%v ended before %s:\n%s", p.args, what, tail(p.log.String()))
		case <-deadline:
			p.t.Fatalf("%v: not within %v: %s\n%s", p.args, patience, what, tail(p.log.String()))
		}
	}
}

// tail returns the last lines of a log.
func tail(log string) string { return log[max(0, len(log)-20_000):] }

// muster is a running server, the only one on its addresses.
type muster struct {
	process
	*client.Client

	data, dns, http string
}

// binary builds muster, once for all tests.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "muster-transfer")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "muster")
	cmd := exec.CommandContext(context.Background(), "go", "build", "-buildvcs=false", "-trimpath", "-o", path, "./cmd/muster")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%v: %w\n%s", cmd, err, out)
	}
	return path, nil
})

// root is the folder of the module.
const root = "../.."

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// startMuster starts a server with a Corefile, at port of 127.0.0.1.
func startMuster(t *testing.T, corefile string, port int) *muster {
	t.Helper()
	program, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	m := &muster{data: t.TempDir(), dns: address(1, port), http: "127.0.0.1:0"}
	file := write(t, t.TempDir(), "Corefile", corefile)
	m.process = process{t: t, args: []string{
		program, "server", "--http", m.http, "--dns", m.dns, "--data-dir", m.data, "--corefile", file, "--min-free", "0",
	}}
	m.run()
	t.Cleanup(m.stop)
	return m
}

// run starts the server, at the same addresses each time, and waits for it.
func (m *muster) run() {
	m.t.Helper()
	file := filepath.Join(m.data, "addresses.json")
	_ = os.Remove(file) // of an earlier run
	m.args[3] = m.http
	m.start()
	var at struct{ HTTP string }
	m.await(30*time.Second, "addresses.json", func() bool {
		b, err := os.ReadFile(file)
		return err == nil && json.Unmarshal(b, &at) == nil
	})
	m.http = at.HTTP
	var err error
	if m.Client, err = client.New([]string{m.http}, client.Config{}); err != nil {
		m.t.Fatal(err)
	}
	m.await(30*time.Second, "readiness", func() bool {
		s, err := m.Status(m.t.Context())
		return err == nil && s.Ready
	})
}

func address(host, port int) string { return fmt.Sprintf("127.0.0.%d:%d", host, port) }

// freePort returns a port that is free at several addresses of loopback, over
// UDP and TCP: the secondaries and we have the same, as in the documents.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 0
		var open []interface{ Close() error }
		ok := true
		for host := 1; host <= 5 && ok; host++ {
			l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address(host, port))
			if ok = err == nil; !ok {
				break
			}
			open, port = append(open, l), l.Addr().(*net.TCPAddr).Port
			u, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", address(host, port))
			if ok = err == nil; ok {
				open = append(open, u)
			}
		}
		for _, c := range open {
			_ = c.Close()
		}
		if ok {
			return port
		}
	}
	t.Fatal("no port is free at five addresses")
	return 0
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// documented returns the example of a language in a document, with what is there
// in place of example addresses, the port and folders.
func documented(t *testing.T, document, language string, port int, dir string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, "docs", document))
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(b), "\n```"+language+"\n")
	if !ok {
		t.Fatalf("%s has no example in %s", document, language)
	}
	text, _, _ = strings.Cut(text, "\n```")
	text = examplePort.ReplaceAllString(text+"\n", "${1}"+strconv.Itoa(port))
	text = strings.ReplaceAll(text, "192.0.2.", "127.0.0.")
	return folder.ReplaceAllString(text, dir)
}

var (
	examplePort = regexp.MustCompile(`(192\.0\.2\.\d[@:]|\bport |(?:internal|arpa):)53\b`)
	folder      = regexp.MustCompile(`/(var/lib|var/cache|run)(/(nsd|knot|bind)\b)?`)
)
