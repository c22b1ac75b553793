package sweep_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/musterhq/muster/registry"
)

// Rows in several blocks whose owners stop to beat one after another: each is called
// silent when it is its time, however long its block has not been looked at.
func TestScanMissesNobody(t *testing.T) {
	inBubble(t, func(h *house) {
		random := rand.New(rand.NewPCG(1, 2))
		const n = 2500
		keys := make([]registry.InstanceKey, n)
		last := make([]time.Duration, n) // beat of each, since the begin
		until := make([]time.Duration, n)
		began := time.Now()
		for i := range keys {
			keys[i] = endpoint("order-api", fmt.Sprintf("10.0.%d.%d", i>>8, i&255))
			h.register(keys[i], nil)
			until[i] = time.Duration(random.IntN(40)) * time.Second
		}
		for at := time.Duration(0); at < 60*time.Second; at += time.Second {
			for i, k := range keys {
				if at <= until[i] && (int(at/time.Second)+i)%5 == 0 {
					h.beat(k)
					last[i] = time.Since(began)
				}
			}
			step(time.Second)
			now := time.Since(began)
			for i, k := range keys {
				switch state, quiet := h.state(k), now-last[i]; {
				case quiet < 15*time.Second && state != healthy:
					t.Fatalf("%s is %s %v after its last beat, want healthy", k, state, quiet)
				case quiet > 15*time.Second+slack && state == healthy:
					t.Fatalf("%s is healthy %v after its last beat, want silent", k, quiet)
				}
			}
		}
	})
}
