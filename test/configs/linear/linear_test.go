// Package linear_test kills a real server while clients write and read documents, and
// asks whether what they were told can have happened in one order.
package linear_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/musterhq/muster/internal/freeport"
	"github.com/musterhq/muster/test/binary"
)

func TestMain(m *testing.M) { os.Exit(binary.Main(m, "../../..")) }

const (
	clients   = 8
	documents = 4 // of each round
)

// rounds returns how often the server is killed.
func rounds() int {
	if binary.Long() {
		return 500
	}
	return 20
}

// Each round has documents of its own, and with each a history that begins where there
// is no document: whether it is legal can be told of itself, and soon. All of it is
// read once more at the end, so that a history goes over its own restart and all that
// come after.
func TestHistoriesOverRestartsAreLinearizable(t *testing.T) {
	w := newWorld(t, newTransport())
	for round := range rounds() {
		w.round(round, true)
	}
	w.readAll()
	w.Kill()
	w.RestartServer()
	w.readAll()

	operations, illegal := 0, 0
	for id, history := range w.histories {
		operations += len(history)
		if !legal(history) {
			if illegal++; illegal == 1 {
				t.Errorf("no order explains what was told of %s:\n%s", id, written(history))
			}
		}
	}
	t.Logf("%d histories of %d operations, %d writes of unknown outcome; %d are illegal", len(w.histories), operations, w.unknown, illegal)
	if want := rounds() * documents; len(w.histories) != want || illegal > 0 {
		t.Errorf("%d histories, %d of them illegal; want %d and none", len(w.histories), illegal, want)
	}
	if w.unknown == 0 {
		t.Error("no write was cut off by a kill: the histories prove little")
	}
}

// world is a server, its clients and what they were told.
type world struct {
	*binary.Server
	*recorder

	t       *testing.T
	clients []*client
}

// newTransport returns the connections of all clients.
func newTransport() *http.Transport { return &http.Transport{MaxIdleConnsPerHost: clients} }

func newWorld(t *testing.T, transport http.RoundTripper) *world {
	t.Helper()
	// A port of the system's choice would be one that connections of clients take too.
	dns, err := freeport.Keep("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, Server: binary.StartServer(t, binary.Muster(), "--dns", fmt.Sprintf("127.0.0.1:%d", dns), "--min-free", "0"),
		recorder: &recorder{began: time.Now(), histories: make(map[string][]porcupine.Operation)}}
	for i := range clients {
		w.clients = append(w.clients, newClient(i, w.HTTP, transport))
	}
	t.Cleanup(w.clients[0].http.CloseIdleConnections) // of all: the server waits for those that are open and new
	return w
}

// round has all clients call for the documents of a round, and perhaps kills the
// server meanwhile.
func (w *world) round(number int, kill bool) {
	w.t.Helper()
	var ids []string
	for i := range documents {
		ids = append(ids, fmt.Sprintf("document-%d-%d", number, i))
	}
	ctx, stop := context.WithCancel(w.t.Context())
	defer stop()
	var running sync.WaitGroup
	for _, c := range w.clients {
		running.Go(func() { c.run(ctx, w.recorder, ids) })
	}
	rest(ctx, 50*time.Millisecond+time.Duration(rand.Int64N(int64(100*time.Millisecond))))
	if kill {
		w.Kill()
		w.RestartServer()
		rest(ctx, 100*time.Millisecond)
	}
	stop()
	running.Wait()
	if w.failed != nil {
		w.t.Fatal(w.failed)
	}
}

// readAll has one client read every document.
func (w *world) readAll() {
	w.t.Helper()
	for id := range w.histories {
		if _, learned := w.do(w.clients[0], id, input{kind: get}); !learned {
			w.t.Fatalf("%s is not answered (%v)", id, w.failed)
		}
	}
}
