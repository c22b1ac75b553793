package dnsd_test

import (
	"bytes"
	"net/http"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/dnsd"
)

// leavesNothing fails the test when its end finds more goroutines than now.
func leavesNothing(t *testing.T) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; {
			if time.Now().After(deadline) {
				var stacks bytes.Buffer
				_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
				t.Fatalf("goroutines = %d, want %d:\n%s", runtime.NumGoroutine(), before, &stacks)
			}
			<-time.After(5 * time.Millisecond)
		}
	})
}

func TestCloseLeavesNothing(t *testing.T) {
	leavesNothing(t)
	port, health, ready, metrics := freePort(t), freePort(t), freePort(t), freePort(t)
	corefile := []byte(".:" + port + ` {
	health 127.0.0.1:` + health + `
	ready 127.0.0.1:` + ready + `
	prometheus 127.0.0.1:` + metrics + `
	errors
	cache
	hosts {
		192.0.2.1 a.example.org
		fallthrough
	}
	muster
	whoami
}`)
	for range 3 { // each opens the same ports again
		s, err := dnsd.Open(dnsd.Config{Corefile: corefile})
		if err != nil {
			t.Fatalf("Open() = %v", err)
		}
		if err := s.Reload(corefile); err != nil {
			t.Errorf("Reload() = %v", err)
		}
		if err := s.Reload(bytes.TrimSuffix(corefile, []byte("}"))); err == nil {
			t.Error("Reload() of a broken Corefile = nil")
		}
		if err := s.Reload(bytes.ReplaceAll(corefile, []byte("muster\n"), []byte("muster wrong\n"))); err == nil {
			t.Error("Reload() of a bad argument = nil")
		}
		exchange(t, "udp", "127.0.0.1:"+port, question("a.example.org.", dns.TypeA))
		exchange(t, "tcp", "127.0.0.1:"+port, question("a.example.org.", dns.TypeA))
		for _, page := range []string{health + "/health", ready + "/ready", metrics + "/metrics"} {
			// A connection that came to the listener before the reload is reset.
			eventually(t, page+" answers 200", func() bool {
				code, err := get(t, "http://127.0.0.1:"+page)
				return err == nil && code == http.StatusOK
			})
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("second Close() = %v, want nil", err)
		}
	}
}

func TestFailedOpenLeavesNothing(t *testing.T) {
	leavesNothing(t)
	port := freePort(t)
	for _, tail := range []string{"muster wrong", "muster unstartable", "muster panic"} {
		_, err := dnsd.Open(dnsd.Config{Corefile: []byte(".:" + port + " {\n health 127.0.0.1:" + freePort(t) + "\n hosts {\n 192.0.2.1 a\n }\n " + tail + "\n}")})
		if err == nil {
			t.Errorf("Open() with %s = nil, want an error", tail)
		}
	}
	s, err := dnsd.Open(dnsd.Config{Corefile: []byte(".:" + port + " {\n whoami\n}")})
	if err != nil {
		t.Fatalf("Open() after the failed ones = %v", err)
	}
	s.Close()
}

func TestCloseCutsConnectionsAfterTheBound(t *testing.T) {
	leavesNothing(t)
	h := &hold{arrived: make(chan struct{}), release: make(chan struct{})}
	s, addr := open(t, ".:PORT {\n bind 127.0.0.1\n muster\n}", dnsd.Config{
		Drain: 50 * time.Millisecond, Storage: map[any]any{holdKey{}: h},
	})
	conn, err := dial(t, "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := (&dns.Conn{Conn: conn}).WriteMsg(question("held.", dns.TypeTXT)); err != nil {
		t.Fatal(err)
	}
	<-h.arrived
	if err := s.Close(); err != nil {
		t.Errorf("Close() = %v", err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("read after Close() = %v, want the end of the connection", err)
	}
	close(h.release)
}
