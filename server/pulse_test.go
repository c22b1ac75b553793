package server_test

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/musterhq/muster/server"
)

// pulse has a server called whose calls wait until it is not busy any more.
func pulse(t *testing.T, most time.Duration, busy <-chan struct{}) (behind func() bool) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // nothing is waited for
	if err != nil {
		t.Fatal(err)
	}
	host := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { //nolint:gosec // nobody else calls
		select {
		case <-busy:
		case <-r.Context().Done():
		}
	})}
	var running sync.WaitGroup
	running.Go(func() { _ = host.Serve(listener) })
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	behind, run := server.Pulse(most)
	running.Go(func() { _ = run(ctx, listener.Addr().String()) })
	t.Cleanup(func() {
		cancel()
		host.Close()
		running.Wait()
	})
	return behind
}

// A server whose calls are not read is behind, until they are.
func TestPulseFindsUnreadCalls(t *testing.T) {
	busy := make(chan struct{})
	behind := pulse(t, time.Minute, busy)
	if behind() {
		t.Error("behind at the start")
	}
	eventually(t, "the server is behind", behind)
	close(busy)
	eventually(t, "the server is not behind any more", func() bool { return !behind() })
}

// One that answers nothing at all is behind for a while, and not again and again.
func TestPulseEnds(t *testing.T) {
	behind := pulse(t, 1500*time.Millisecond, nil)
	eventually(t, "the server is behind", behind)
	eventually(t, "the server is not behind any more", func() bool { return !behind() })
	over := time.After(2 * time.Second)
	for {
		select {
		case <-over:
			return
		case <-time.After(10 * time.Millisecond):
			if behind() {
				t.Fatal("behind again, though no call was answered since")
			}
		}
	}
}
