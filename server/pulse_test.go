package server_test

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/musterhq/muster/server"
)

// A server whose calls are not read is behind, until they are.
func TestPulseFindsUnreadCalls(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // nothing is waited for
	if err != nil {
		t.Fatal(err)
	}
	busy := make(chan struct{})
	host := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-busy })} //nolint:gosec // nobody else calls
	var running sync.WaitGroup
	running.Go(func() { _ = host.Serve(listener) })
	ctx, cancel := context.WithCancel(t.Context())
	behind, run := server.Pulse()
	running.Go(func() { _ = run(ctx, listener.Addr().String()) })
	if behind() {
		t.Error("behind at the start")
	}
	eventually(t, "the server is behind", behind)
	close(busy)
	eventually(t, "the server is not behind any more", func() bool { return !behind() })
	cancel()
	host.Close()
	running.Wait()
}
