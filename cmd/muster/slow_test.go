package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/musterhq/muster/internal/latency"
	"github.com/musterhq/muster/test/binary"
)

// slowCaller is somebody who opens connections and does as little as possible.
type slowCaller struct {
	name   string
	begins string        // what is said at the begin of each connection
	every  time.Duration // another byte follows so often; 0: nothing does
	within time.Duration // of the begin it is closed at the latest
	greets bool          // over TLS the handshake is done before
}

// slowCrowd returns how many files the server may have open, of which seven in eight
// are for connections, and how many slow callers of a kind there are: more than there is
// room for.
func (k slowCaller) slowCrowd() (files, callers int) {
	switch {
	case !binary.Long():
		return 512, 600
	case k.begins == "":
		return 8192, 10_000
	}
	return 8192, 2000
}

// slowMemory returns what the server may take more than before: 64 KiB for each
// connection that there is room for, and what has been taken of huge bodies, up to
// 10 MiB of each, until it is collected.
func slowMemory() int64 {
	files, _ := slowCaller{}.slowCrowd()
	return 200<<20 + int64(files)*7/8*64<<10
}

var slowly = []slowCaller{
	{"says nothing", "", 0, 10 * time.Second, false},
	{"half a handshake", "\x16\x03\x01\x02\x00\x01", 0, 10 * time.Second, false},
	{"half a header", "GET /livez HTTP/1.1\r\nHost: localhost\r\nX-A: ", 2 * time.Second, 10 * time.Second, true},
	{"half a body", "POST /nacos/v1/ns/instance HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\n", 2 * time.Second, 12 * time.Second, true},
	{"half a large body", "POST /nacos/v1/cs/configs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1073741824\r\n\r\na", 10 * time.Second, 2*time.Minute + 10*time.Second, true},
}

// Who is slow, says nothing, or never comes to an end holds a connection for some
// seconds and nobody else up, in the clear and over TLS, and costs little memory.
func TestSlowCallers(t *testing.T) {
	t.Parallel()
	program, err := binary.Build(t.Context(), "../..", t.TempDir()) // as it is used: its memory is judged
	if err != nil {
		t.Fatal(err)
	}
	a := newAuthority(t)
	cert, key := a.issue(t, "server")
	for _, tt := range []struct {
		name string
		args []string
	}{
		{"in the clear", nil},
		{"over TLS", []string{"--tls-cert", cert, "--tls-key", key}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !binary.Long() { // then neither disturbs the other's calm
				t.Parallel()
			}
			s := limited(newServer(t, t.TempDir(), tt.args...), program)
			s.start()
			t.Cleanup(s.stop)
			before := s.resident()
			secure := len(tt.args) > 0
			h := s.askOften(t)
			_, calm := h.next(t)
			var callers []*slowProcess
			for _, kind := range slowly {
				if kind.begins == slowly[1].begins && !secure {
					continue
				}
				callers = append(callers, kind.call(t, s.http, secure))
				s.servesAnew(t, kind.name)
			}
			s.refusesHugeBodies(t, secure)
			h.judge(t, calm)
			if took, most := s.resident()-before, slowMemory(); took > most {
				t.Errorf("the server took %d MiB more for them, want at most %d", took>>20, most>>20)
			}
			for _, c := range callers {
				if c.kind.within < time.Minute || binary.Long() {
					c.ended(t)
				}
			}
			s.servesAnew(t, "the end of all of them")
		})
	}
}

// limited has a server run a program with few files.
func limited(s *serverProcess, program string) *serverProcess {
	files, _ := slowCaller{}.slowCrowd()
	s.args = append([]string{"-c", fmt.Sprintf(`ulimit -n %d; exec "$0" "$@"`, files), program}, s.args...)
	s.program = "sh"
	return s
}

// servesAnew asks over new connections, as honest clients that come now do.
func (s *serverProcess) servesAnew(t *testing.T, beside string) {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // the caller is tested, not the server
	c := &http.Client{Transport: transport, Timeout: time.Minute}
	for range 5 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url()+"/v1/services", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Do(r)
		if err != nil {
			t.Errorf("an honest client beside %s: %v", beside, err)
			return
		}
		_, _ = io.Copy(io.Discard, resp.Body) // the status says it
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("an honest client beside %s: %s", beside, resp.Status)
		}
	}
}

// honest is a client that asks often over one connection.
type honest struct {
	took   atomic.Pointer[latency.Histogram]
	failed atomic.Pointer[error] // the first failure
}

// askOften has a client ask until the test ends.
func (s *serverProcess) askOften(t *testing.T) *honest {
	t.Helper()
	h := &honest{}
	h.took.Store(&latency.Histogram{})
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // the caller is tested, not the server
	c := &http.Client{Transport: transport, Timeout: time.Minute}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait(); transport.CloseIdleConnections() })
	url := s.url() + "/v1/services"
	running.Go(func() {
		for tick := time.NewTicker(5 * time.Millisecond); ctx.Err() == nil; <-tick.C {
			began := time.Now()
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
			var resp *http.Response
			if err == nil {
				resp, err = c.Do(r)
			}
			if err == nil {
				_, err = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			if err != nil && ctx.Err() == nil {
				h.failed.CompareAndSwap(nil, &err)
			}
			h.took.Load().Add(time.Since(began))
		}
	})
	return h
}

// next counts anew for some seconds in long runs, and for one in others, and returns
// what was counted before and what in that time.
func (h *honest) next(t *testing.T) (before, now latency.Summary) {
	t.Helper()
	want := uint64(200)
	if binary.Long() {
		want = 2000
	}
	count := &latency.Histogram{}
	before = h.took.Swap(count).Summary()
	binary.Eventually(t, time.Minute, "an honest client asks", func() bool { return count.Summary().Count >= want })
	return before, h.took.Swap(&latency.Histogram{}).Summary()
}

// judge demands that every call was answered, and where the machine is this test's alone
// that slow callers who are there cost an honest one less than its time again.
func (h *honest) judge(t *testing.T, calm latency.Summary) {
	t.Helper()
	coming, there := h.next(t)
	t.Logf("an honest client, median and p99: %v, %v; while slow callers come %v, %v; while they are there %v, %v",
		calm.P50, calm.P99, coming.P50, coming.P99, there.P50, there.P99)
	if err := h.failed.Load(); err != nil {
		t.Errorf("a call of an honest client: %v", *err)
	}
	if binary.Long() && there.P99 > 2*calm.P99 {
		t.Errorf("p99 of an honest client beside slow callers = %v, want at most twice %v", there.P99, calm.P99)
	}
}

// refusesHugeBodies sends bodies of 1 GiB, and demands that they are refused before much
// of them was taken.
func (s *serverProcess) refusesHugeBodies(t *testing.T, secure bool) {
	t.Helper()
	const size, most = 1 << 30, 64 << 20
	for name, header := range map[string]string{
		"of a length":  "POST /nacos/v1/cs/configs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1073741824\r\n\r\n",
		"of no length": "POST /nacos/v1/cs/configs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n",
		"of our own":   "PUT /v1/configs/public/g/huge HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n",
	} {
		c, err := slowCaller{begins: header, greets: true}.dial(t.Context(), s.http, secure)
		if err != nil {
			t.Errorf("a huge body %s: %v", name, err)
			continue
		}
		_ = c.SetDeadline(time.Now().Add(time.Minute)) // a fresh connection takes one
		status := make(chan string, 1)
		go func() {
			line, _ := bufio.NewReader(c).ReadString('\n') // empty: closed without a word
			status <- line
		}()
		chunk, sent := append([]byte("10000\r\n"), append(bytes.Repeat([]byte("a"), 0x10000), "\r\n"...)...), 0
		for ; sent < size && err == nil; sent += 0x10000 {
			_, err = c.Write(chunk)
		}
		line := <-status
		c.Close()
		if err == nil || sent > most || line != "" && !strings.Contains(line, " 413 ") {
			t.Errorf("a huge body %s: %d MiB were taken, and answered %q, want that it is refused before %d MiB", name, sent>>20, line, most>>20)
		}
	}
}

// slowProcess is a process with the slow callers of one kind.
type slowProcess struct {
	kind  slowCaller
	began time.Time
	cmd   *exec.Cmd
	said  *bufio.Scanner
}

// call starts a process that opens the connections, and returns once they are there.
func (k slowCaller) call(t *testing.T, address string, secure bool) *slowProcess {
	t.Helper()
	p := &slowProcess{kind: k, began: time.Now()}
	p.cmd = exec.CommandContext(t.Context(), slowCommand, k.name, address, strconv.FormatBool(secure))
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if p.said = bufio.NewScanner(out); !p.said.Scan() {
		t.Fatalf("the process of who %s: %v", k.name, p.cmd.Wait())
	}
	t.Cleanup(func() { _ = p.cmd.Wait() }) // what ended() has not waited for is killed with the test
	return p
}

// slowCommand is the name of the command that runs slowMain.
const slowCommand = "slow-callers"

// slowMain opens the connections of slow callers of a kind, says that they are there,
// keeps them going until they are closed, and says how many were not closed in time. It
// takes the processors that nobody else wants: who is slow to a server computes elsewhere.
func slowMain() {
	i := slices.IndexFunc(slowly, func(k slowCaller) bool { return k.name == os.Args[1] })
	address, secure := os.Args[2], os.Args[3] == "true"
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, 0, 19); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	k := slowly[i]
	_, callers := k.slowCrowd()
	var all sync.WaitGroup
	var stay atomic.Int64
	for range callers {
		c, err := k.dial(context.Background(), address, secure)
		if err != nil {
			continue // it was displaced at once
		}
		all.Go(func() {
			defer c.Close()
			if k.stays(c) {
				stay.Add(1)
			}
		})
	}
	fmt.Println("there")
	all.Wait()
	fmt.Println(stay.Load())
}

func (k slowCaller) dial(ctx context.Context, address string, secure bool) (net.Conn, error) {
	d := &net.Dialer{Timeout: 10 * time.Second}
	c, err := d.DialContext(ctx, "tcp", address)
	if err == nil && secure && k.greets {
		over := tls.Client(c, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the caller is tested, not the server
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))          // a fresh connection takes one
		err = over.HandshakeContext(ctx)
		_ = c.SetDeadline(time.Time{})
		c = over
	}
	if err == nil {
		_, err = io.WriteString(c, k.begins)
	}
	return c, err
}

// patience is what a busy machine is given on top of every bound.
const slowPatience = 30 * time.Second

// stays reports whether the connection is open when it has had its time.
func (k slowCaller) stays(c net.Conn) bool {
	end := time.Now().Add(k.within + slowPatience)
	step := k.every
	if step == 0 {
		step = k.within + slowPatience
	}
	b := make([]byte, 512)
	for time.Now().Before(end) {
		_ = c.SetReadDeadline(time.Now().Add(step)) // an open connection takes one
		_, err := c.Read(b)
		switch {
		case err == nil:
			continue // it is told why, and then closed
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return false
		case k.every == 0:
			continue
		}
		if _, err := io.WriteString(c, "a"); err != nil {
			return false
		}
	}
	return true
}

// ended waits until the connections are closed, and demands that all are in time.
func (p *slowProcess) ended(t *testing.T) {
	t.Helper()
	if !p.said.Scan() || p.said.Text() != "0" {
		t.Errorf("%s connections of who %s stay open, want none", p.said.Text(), p.kind.name)
	}
	t.Logf("%s: over after %v", p.kind.name, time.Since(p.began).Round(time.Second))
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the process of who %s: %v", p.kind.name, err)
	}
}
