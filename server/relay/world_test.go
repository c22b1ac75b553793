package relay_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/relay"
)

// world is servers a, b and c, the network between them and the etcd they share.
// Whatever does not come through hangs until the caller gives up, but for a
// process that is gone, which refuses at once.
type world struct {
	t     *testing.T
	nodes map[string]*node

	mu       sync.Mutex
	judge    string          // as etcd says
	listed   map[string]bool // servers that etcd lists
	gone     map[string]bool
	stopped  map[string]bool    // by SIGSTOP: takes no call
	cut      map[[2]string]bool // from, to: what the first sends does not reach the second
	etcdGone map[string]bool    // servers that etcd does not answer
	letters  []string           // in the mailbox, unread
	heard    map[string]time.Time
	posts    []post
	busy     map[[2]string]int // posts under way
}

// post is one call between servers.
type post struct {
	from, to string
	relayed  bool
	n        int
}

// node is one server: a relay, and a judge that judges while etcd says so.
type node struct {
	relay *relay.Relay
	id    string
	world *world
	stop  func()

	mu   sync.Mutex
	knew relay.Cluster
}

// newWorld returns a world without servers in which c judges.
func newWorld(t *testing.T) *world {
	return &world{
		t: t, nodes: map[string]*node{}, judge: "c", listed: map[string]bool{}, gone: map[string]bool{}, stopped: map[string]bool{},
		cut: map[[2]string]bool{}, etcdGone: map[string]bool{}, heard: map[string]time.Time{}, busy: map[[2]string]int{},
	}
}

// inWorld runs a test in virtual time; the server c judges at first.
func inWorld(t *testing.T, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for _, id := range []string{"a", "b", "c"} {
			w.start(id)
		}
		test(w)
		for _, n := range w.nodes {
			n.stop()
		}
	})
}

func (w *world) start(id string) {
	n := &node{id: id, world: w}
	r, err := relay.New(relay.Config{Local: n, Cluster: n.cluster, Post: n.post, Mail: n.mail, Away: n.away})
	if err != nil {
		w.t.Fatal(err)
	}
	n.relay = r
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	n.stop = func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("Run of %s = %v, want nil", id, err)
		}
	}
	w.set(func() { w.nodes[id], w.listed[id] = n, true })
	synctest.Wait()
}

// set changes the world.
func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// isolate cuts one server off from the others, both ways.
func (w *world) isolate(id string) {
	for other := range w.nodes {
		w.cut[[2]string{id, other}], w.cut[[2]string{other, id}] = true, true
	}
}

func (n *node) Heard(witness string) error { return n.HearAll([]string{witness}) }

func (n *node) HearAll(witnesses []string) error {
	w := n.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.judge != n.id {
		return registry.ErrUnavailable
	}
	w.hear(witnesses)
	return nil
}

// hear is the judge's; w.mu is held.
func (w *world) hear(witnesses []string) {
	for _, v := range witnesses {
		w.heard[v] = time.Now()
	}
}

func (n *node) away() bool {
	n.world.mu.Lock()
	defer n.world.mu.Unlock()
	return n.world.etcdGone[n.id]
}

func (n *node) cluster() relay.Cluster {
	away := n.away()
	n.mu.Lock()
	defer n.mu.Unlock()
	if away && n.knew.Self != "" {
		return n.knew
	}
	w := n.world
	w.mu.Lock()
	defer w.mu.Unlock()
	n.knew = relay.Cluster{Self: n.id, Judge: w.judge}
	for _, id := range slices.Sorted(maps.Keys(w.listed)) {
		if id != n.id && w.listed[id] {
			n.knew.Others = append(n.knew.Others, relay.Server{ID: id, HTTP: "http://" + id})
		}
	}
	return n.knew
}

var errLost = errors.New("connection refused")

func (n *node) post(ctx context.Context, to relay.Server, b relay.Batch) (relay.Answer, error) {
	w := n.world
	there, back := [2]string{n.id, to.ID}, [2]string{to.ID, n.id}
	w.mu.Lock()
	if len(b.Witnesses) > 0 {
		w.posts = append(w.posts, post{n.id, to.ID, b.Relayed, len(b.Witnesses)})
		if w.busy[there]++; w.busy[there] > 1 {
			w.t.Errorf("%d batches under way from %s to %s, want one at most", w.busy[there], n.id, to.ID)
		}
		defer w.set(func() { w.busy[there]-- })
	}
	gone, hangs, target := w.gone[to.ID], w.cut[there] || w.stopped[to.ID], w.nodes[to.ID]
	w.mu.Unlock()
	switch {
	case gone:
		return relay.Answer{}, errLost
	case hangs:
		<-ctx.Done()
		return relay.Answer{}, ctx.Err()
	}
	time.Sleep(time.Millisecond)
	a := target.relay.Take(ctx, b)
	w.mu.Lock()
	hangs = w.cut[back] || w.stopped[to.ID]
	w.mu.Unlock()
	if hangs {
		<-ctx.Done()
	}
	return a, ctx.Err()
}

func (n *node) mail(ctx context.Context, witnesses []string) error {
	if n.away() {
		<-ctx.Done()
		return ctx.Err()
	}
	time.Sleep(5 * time.Millisecond)
	w := n.world
	w.mu.Lock()
	defer w.mu.Unlock()
	w.letters = append(w.letters, witnesses...)
	w.read()
	return nil
}

// read has the judge read its mail, if it can; w.mu is held.
func (w *world) read() {
	if w.judge != "" && !w.stopped[w.judge] && !w.gone[w.judge] && !w.etcdGone[w.judge] {
		w.hear(w.letters)
		w.letters = nil
	}
}

// reached reports whether word of a witness got to the judge or its mailbox
// since the moment given.
func (w *world) reached(witness string, since time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.heard[witness].Before(since) && !w.heard[witness].IsZero() || slices.Contains(w.letters, witness)
}

func step(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// beat has an instance beat at a server twice a second for a while. It returns
// how long at the most word of it took to reach the judge, and the last result.
func (w *world) beat(at, witness string, d time.Duration) (slowest time.Duration, last error) {
	w.t.Helper()
	waits := time.Time{} // the oldest beat that did not arrive yet
	for end := time.Now().Add(d); time.Now().Before(end); {
		last = w.nodes[at].relay.Heard(witness)
		if waits.IsZero() {
			waits = time.Now()
		}
		for range 10 {
			step(50 * time.Millisecond)
			if !waits.IsZero() && w.reached(witness, waits) {
				slowest, waits = max(slowest, time.Since(waits)), time.Time{}
				w.set(func() { w.letters = slices.DeleteFunc(w.letters, func(l string) bool { return l == witness }) })
			}
		}
	}
	if !waits.IsZero() {
		slowest = max(slowest, time.Since(waits))
	}
	return slowest, last
}
