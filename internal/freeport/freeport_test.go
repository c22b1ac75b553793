package freeport_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"github.com/musterhq/muster/internal/freeport"
)

func TestFind(t *testing.T) {
	seen := map[uint16]bool{}
	for range 200 {
		port, err := freeport.Find("127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		if port >= 32768 || port < 1024 || seen[port] {
			t.Fatalf("Find = %d, want a new one from 1024 to 32767", port)
		}
		seen[port] = true
	}
	port, err := freeport.Find("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port)))
	var l net.ListenConfig
	tcp, err := l.Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := l.ListenPacket(t.Context(), "udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
}

// The other processes are this test again.
func TestKeepAcrossProcesses(t *testing.T) {
	const asked = "FREEPORT_TEST_KEEP"
	if os.Getenv(asked) != "" {
		for range 300 {
			port, err := freeport.Keep("127.0.0.1")
			if err != nil {
				t.Fatal(err)
			}
			fmt.Println("kept", port)
		}
		_, _ = io.Copy(io.Discard, os.Stdin) // until the other end is done
		return
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for range 3 { // they all live until the end
		cmd := exec.CommandContext(context.WithoutCancel(t.Context()), exe, "-test.run", "^TestKeepAcrossProcesses$")
		cmd.Env = append(os.Environ(), asked+"=1")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			in.Close()
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
		lines := bufio.NewScanner(out)
		for range 300 {
			if !lines.Scan() || seen[lines.Text()] {
				t.Fatalf("a process wrote %q, want a port that no other one keeps", lines.Text())
			}
			seen[lines.Text()] = true
			var port int
			if _, err := fmt.Sscanf(lines.Text(), "kept %d", &port); err != nil || port < 20000 || port > 30999 || port/1000%2 != 0 {
				t.Fatalf("kept %q, want a port from 20000 to 30999 with an even thousand", lines.Text())
			}
		}
	}
}

func TestBind(t *testing.T) {
	first, second, fixed, none := "127.0.0.1:0", "[::1]:0", "127.0.0.1:53", ""
	var was []string
	err := freeport.Bind(func() error {
		if was = append(was, first+" "+second); len(was) < 3 {
			return fmt.Errorf("bind: %w", syscall.EADDRINUSE)
		}
		return nil
	}, &first, &second, &fixed, &none)
	if err != nil || len(was) != 3 || was[0] == was[1] || was[1] == was[2] {
		t.Errorf("Bind() = %v with %q, want other ports at each of three calls", err, was)
	}
	for _, got := range []string{first, second} {
		if _, port, err := net.SplitHostPort(got); err != nil || port == "0" {
			t.Errorf("an address with port 0 is %q, want it with another port", got)
		}
	}
	if fixed != "127.0.0.1:53" || none != "" {
		t.Errorf("addresses without port 0 are %q and %q, want them as they were", fixed, none)
	}

	for _, tr := range []struct {
		name    string
		address string
		err     error
		calls   int
	}{
		{"a port that is taken", "127.0.0.1:53", syscall.EADDRINUSE, 1},
		{"all are taken", "127.0.0.1:0", syscall.EADDRINUSE, 8},
		{"another fault", "127.0.0.1:0", syscall.EACCES, 1},
	} {
		calls := 0
		if err := freeport.Bind(func() error { calls++; return tr.err }, &tr.address); !errors.Is(err, tr.err) || calls != tr.calls {
			t.Errorf("%s: Bind() = %v after %d calls, want %v after %d", tr.name, err, calls, tr.err, tr.calls)
		}
	}
}

func TestFindElsewhere(t *testing.T) {
	for _, host := range []string{"192.0.2.1", "no such host"} {
		if port, err := freeport.Find(host); err == nil {
			t.Errorf("Find at %s, which is not here, = %d, want an error", host, port)
		}
	}
}
