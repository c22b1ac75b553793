package sweep_test

import (
	"testing"
	"time"

	"github.com/musterhq/muster/registry"
)

// Who is handed an instance has not been heard of by that: two hosts that die
// together do not keep what they share alive one after the other.
func TestHandOverIsNoBeat(t *testing.T) {
	quick := map[string]string{registry.MetaBeatInterval: "1000", registry.MetaBeatTimeout: "6000", registry.MetaDeleteAfter: "20000"}
	for _, c := range []struct {
		name     string
		metadata map[string]string
		alone    bool // the second agent has nothing of its own
		within   time.Duration
	}{
		{"with the same timeouts", nil, false, 15 * time.Second},
		{"with others", quick, false, 6 * time.Second},
		{"with nothing of its own", nil, true, 15 * time.Second},
		{"with nothing of its own, and quick", quick, true, 6 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(h *house) {
				shared, own := beating(endpoint("shared", "192.0.2.1"), c.metadata), beating(endpoint("own", "192.0.2.2"), nil)
				h.declare("a", "1", shared)
				set := []registry.Declaration{{Registration: shared}}
				if !c.alone {
					set = append(set, registry.Declaration{Registration: own})
				}
				if _, refused, err := h.DeclareAgent(h.t.Context(), registry.AgentRecord{ID: "b", Incarnation: "1"}, set); err != nil || len(refused) != 1 {
					h.t.Fatalf("DeclareAgent(b) = %v, %v, want it to stand by", refused, err)
				}
				step(time.Second)
				h.beatAgent("a", "1")
				step(2 * time.Second)
				h.beatAgent("b", "1")
				step(c.within + slack)
				h.want(shared.Key, silent, "both agents are dead")
			})
		})
	}
	inBubble(t, func(h *house) {
		t.Log("who is alive keeps it")
		shared := beating(endpoint("shared", "192.0.2.1"), quick)
		h.declare("a", "1", shared)
		_, _, _ = h.DeclareAgent(h.t.Context(), registry.AgentRecord{ID: "b", Incarnation: "1"}, []registry.Declaration{{Registration: shared}})
		for range 30 {
			step(time.Second)
			h.beatAgent("b", "1")
			h.want(shared.Key, healthy, "the second is alive")
		}
		if i := h.Snapshot().Instance(shared.Key); i.Witness != registry.WitnessAgent("b") {
			t.Errorf("the instance is of %s, want agent b", i.Witness)
		}
	})
}
