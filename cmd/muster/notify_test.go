package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// overseer is the service manager of the tests.
type overseer struct {
	t    *testing.T
	conn *net.UnixConn
	name string
}

var overseers atomic.Int64

func newOverseer(t *testing.T) *overseer {
	t.Helper()
	// An abstract one: the folders of tests may have longer names than fit.
	name := fmt.Sprintf("@muster-test-%d-%d", os.Getpid(), overseers.Add(1))
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &overseer{t, conn, name}
}

// env is what a process gets that it starts.
func (o *overseer) env() []string {
	return []string{"NOTIFY_SOCKET=" + o.name, "WATCHDOG_USEC=400000"}
}

// hears waits for a message with an assignment that begins so, and returns the
// message.
func (o *overseer) hears(begin string) []string {
	o.t.Helper()
	if err := o.conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		o.t.Fatal(err)
	}
	var all []string
	for b := make([]byte, 4096); ; {
		n, err := o.conn.Read(b)
		if err != nil {
			o.t.Fatalf("no %s was heard: %v; but %q", begin, err, all)
		}
		all = strings.Split(strings.TrimSpace(string(b[:n])), "\n")
		if slices.ContainsFunc(all, func(a string) bool { return strings.HasPrefix(a, begin) }) {
			return all
		}
	}
}

// saw fails the test unless the message has an assignment that begins so.
func (o *overseer) saw(message []string, begin string) {
	o.t.Helper()
	if !slices.ContainsFunc(message, func(a string) bool { return strings.HasPrefix(a, begin) }) {
		o.t.Errorf("message %q, want %s in it", message, begin)
	}
}

// An agent is ready without a server, says that it is alive, and that it leaves.
func TestAgentTellsItsServiceManager(t *testing.T) {
	t.Parallel()
	o := newOverseer(t)
	a := newAgent(t, t.TempDir(), "http://"+freeAddress(t), "--drain-wait", "1s")
	a.env = o.env()
	a.define("a.yaml", "services:\n  - {name: a, address: 127.0.0.1, port: 9}\n")
	a.start()
	t.Cleanup(a.stop)
	o.saw(o.hears("READY=1"), "STATUS=1 of 1 instances pass")
	for range 3 {
		o.hears("WATCHDOG=1") // although no server answers
	}
	a.define("b.yaml", "services:\n  - {name: b, address: 127.0.0.1, prot: 9}\n")
	a.signal(syscall.SIGHUP)
	o.saw(o.hears("RELOADING=1"), "MONOTONIC_USEC=")
	o.saw(o.hears("READY=1"), "STATUS=1 of 1 instances pass; file b.yaml is wrong")
	a.signal(syscall.SIGTERM)
	o.saw(o.hears("STOPPING=1"), "EXTEND_TIMEOUT_USEC=")
}

// A server is ready when it should get traffic, and its etcd is not told of the
// service manager.
func TestServerTellsItsServiceManager(t *testing.T) {
	t.Parallel()
	o := newOverseer(t)
	s := newServer(t, t.TempDir())
	s.env = o.env()
	s.start()
	t.Cleanup(s.stop)
	o.saw(o.hears("READY=1"), "STATUS=serving HTTP at "+s.http)
	for range 3 {
		o.hears("WATCHDOG=1")
	}
	for _, pid := range children(t, s.cmd.Process.Pid) {
		env, err := os.ReadFile(fmt.Sprintf("/proc/%s/environ", pid))
		if err == nil && strings.Contains(string(env), "NOTIFY_SOCKET") {
			t.Errorf("process %s, a child, has NOTIFY_SOCKET in its environment", pid)
		}
	}
	s.signal(syscall.SIGHUP)
	o.hears("RELOADING=1")
	o.saw(o.hears("READY=1"), "STATUS=the Corefile is reloaded")
	s.signal(syscall.SIGTERM)
	o.saw(o.hears("STOPPING=1"), "EXTEND_TIMEOUT_USEC=")
}

// signal sends a signal and does not wait.
func (p *process) signal(signal os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		p.t.Fatalf("%v: %v", p.args, err)
	}
}

// children returns the ids of the processes that pid started.
func children(t *testing.T, pid int) []string {
	t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, list := range lists {
		b, err := os.ReadFile(list)
		if err == nil {
			all = append(all, strings.Fields(string(b))...)
		}
	}
	if len(all) == 0 {
		t.Errorf("process %d has no child, want its etcd", pid)
	}
	return all
}
