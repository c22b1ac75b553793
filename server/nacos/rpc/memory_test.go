package rpc_test

import (
	"os"
	"runtime"
	"testing"

	"github.com/musterhq/muster/server/nacos/rpc"
)

// TestMemoryOfAConnection says what a connection costs that has set up and says nothing.
func TestMemoryOfAConnection(t *testing.T) {
	few := 200
	if os.Getenv("MUSTER_LONG") != "" {
		few = 5000
	}
	e := newEcho()
	_, at := serve(t, rpc.Config{Handler: e})
	taken := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	before := taken()
	clients := quietClients(t, at, few)
	for range few {
		next(t, e.joined, "the connection")
	}
	each := (taken() - before) / uint64(few)
	t.Logf("%d connections take %d bytes each, those of the test among them", few, each)
	if each > 96<<10 { // with the race detector it takes 72 KiB
		t.Errorf("a quiet connection takes %d bytes, want 96 KiB at most", each)
	}
	runtime.KeepAlive(clients)
}
