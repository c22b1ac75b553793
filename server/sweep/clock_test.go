package sweep_test

import (
	"context"
	"testing"
	"time"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/sweep"
)

// The one test against the real clock. It depends on what follows what, and on how
// fast this machine is for the seconds alone in which the silence is seen.
func TestRealClock(t *testing.T) {
	h := newHouse(t, sweep.Config{Tick: 10 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- h.sweeper.Run(ctx, h.store.View(), h) }()
	k := endpoint("order-api", "192.0.2.1")
	start := time.Now()
	h.register(k, map[string]string{
		registry.MetaBeatInterval: "100", registry.MetaBeatTimeout: "300", registry.MetaDeleteAfter: "3000",
	})
	until := func(state string) time.Duration {
		t.Helper()
		deadline, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		for {
			changed := h.store.View().Changed()
			if h.state(k) == state {
				return time.Since(start)
			}
			select {
			case <-changed:
			case <-deadline.Done():
				t.Fatalf("%s is %s after a minute, want %s", k, h.state(k), state)
			}
		}
	}
	if after := until(silent); after < 300*time.Millisecond {
		t.Errorf("silent after %v, want at least 300ms", after)
	}
	if after := until(gone); after < 3*time.Second {
		t.Errorf("gone after %v, want at least 3s", after)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}
