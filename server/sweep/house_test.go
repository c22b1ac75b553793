package sweep_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/registry/registrytest"
	"github.com/musterhq/muster/server/sweep"
)

// house is a registry over a store in memory, with the sweeper that judges it.
type house struct {
	*registry.Registry

	t       *testing.T
	store   *registrytest.Store
	sweeper *sweep.Sweeper
	stop    func() // ends the Run and waits for it
}

func newHouse(t *testing.T, c sweep.Config) *house {
	t.Helper()
	s, err := sweep.New(c)
	if err != nil {
		t.Fatal(err)
	}
	store := registrytest.NewStore()
	return &house{registry.New(store, s), t, store, s, func() {}}
}

// judge starts a Run and returns once it judges.
func (h *house) judge() {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := h.sweeper.Run(ctx, h.store.View(), h); err != nil {
			h.t.Errorf("Run = %v, want nil", err)
		}
	})
	h.stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	synctest.Wait()
}

// inBubble runs a test in virtual time, against a house whose sweeper judges.
func inBubble(t *testing.T, test func(h *house)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, sweep.Config{})
		h.judge()
		test(h)
		h.stop()
	})
}

// step lets time pass and returns when all that follows from it has happened.
func step(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

const slack = 600 * time.Millisecond // two ticks, and what comes between

func endpoint(service, host string) registry.InstanceKey {
	return registry.InstanceKey{
		Service:  registry.ServiceKey{Namespace: "public", Group: "DEFAULT_GROUP", Name: service},
		Endpoint: registry.Endpoint{Host: host, Port: 8080},
	}
}

func beating(k registry.InstanceKey, metadata map[string]string) registry.Registration {
	return registry.Registration{Key: k, Weight: 1, Enabled: true, Healthy: true, Witness: registry.WitnessHTTP, Metadata: registry.MetadataOf(metadata)}
}

func (h *house) register(k registry.InstanceKey, metadata map[string]string) {
	h.t.Helper()
	if _, err := h.Register(h.t.Context(), beating(k, metadata)); err != nil {
		h.t.Fatalf("Register(%s) = %v", k, err)
	}
}

func (h *house) declare(id, incarnation string, set ...registry.Registration) {
	h.t.Helper()
	var declared []registry.Declaration
	for _, r := range set {
		declared = append(declared, registry.Declaration{Registration: r})
	}
	_, refused, err := h.DeclareAgent(h.t.Context(), registry.AgentRecord{ID: id, Incarnation: incarnation}, declared)
	if err != nil || len(refused) > 0 {
		h.t.Fatalf("DeclareAgent(%s) = %v, %v", id, refused, err)
	}
}

func (h *house) beat(k registry.InstanceKey) {
	h.t.Helper()
	if _, err := h.Beat(h.t.Context(), k, nil); err != nil {
		h.t.Fatalf("Beat(%s) = %v", k, err)
	}
}

func (h *house) beatAgent(id, incarnation string) {
	h.t.Helper()
	if known, err := h.BeatAgent(h.t.Context(), id, incarnation); err != nil || !known {
		h.t.Fatalf("BeatAgent(%s) = %v, %v, want true", id, known, err)
	}
}

// State of an instance as an onlooker sees it.
const (
	healthy = "healthy"
	silent  = "silent"
	gone    = "gone"
)

func (h *house) state(k registry.InstanceKey) string {
	switch i := h.Snapshot().Instance(k); {
	case i == nil:
		return gone
	case i.Silent && !i.Healthy:
		return silent
	case i.Healthy && !i.Silent:
		return healthy
	}
	return "silent and healthy at once"
}

func (h *house) want(k registry.InstanceKey, state, when string) {
	h.t.Helper()
	if got := h.state(k); got != state {
		h.t.Fatalf("%s: %s is %s, want %s", when, k, got, state)
	}
}

// fail makes the store fail, nil to have it work again.
func (h *house) fail(err error) {
	h.store.Lock()
	defer h.store.Unlock()
	h.store.Fail = err
}

var errAway = errors.New("store is away")
