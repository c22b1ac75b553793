package sweep_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/musterhq/muster/registry"
)

func (h *house) hold(id string, keys ...registry.InstanceKey) {
	h.t.Helper()
	var set []registry.Registration
	for _, k := range keys {
		set = append(set, beating(k, nil))
	}
	if _, err := h.Hold(h.t.Context(), id, keys[0].Service, set); err != nil {
		h.t.Fatalf("Hold(%s) = %v", id, err)
	}
}

func (h *house) hear(id string) {
	h.t.Helper()
	if err := h.HearConnection(h.t.Context(), id); err != nil {
		h.t.Fatalf("HearConnection(%s) = %v", id, err)
	}
}

func TestAConnectionVouchesForAllItHolds(t *testing.T) {
	inBubble(t, func(h *house) {
		a, b := endpoint("order-api", "192.0.2.1"), endpoint("order-api", "192.0.2.2")
		h.hold("1", a, b)
		for range 12 {
			step(5 * time.Second)
			h.hear("1")
		}
		h.want(a, healthy, "while it is heard of")
		h.want(b, healthy, "while it is heard of")
		step(15*time.Second - slack)
		h.want(a, healthy, "before its time is over")
		step(2 * slack)
		h.want(a, silent, "after 15 s without a word")
		h.want(b, silent, "after 15 s without a word")
		h.hear("1")
		h.want(a, healthy, "after it was heard of again")
		step(30*time.Second + slack)
		h.want(a, gone, "after 30 s without a word")
		h.want(b, gone, "after 30 s without a word")
	})
}

func TestAClientComesBackOnAnotherConnection(t *testing.T) {
	inBubble(t, func(h *house) {
		soon, late := endpoint("order-api", "192.0.2.1"), endpoint("billing", "192.0.2.2")
		h.hold("1", soon)
		h.hold("2", late)
		step(10 * time.Second)
		h.hold("3", soon)
		step(15*time.Second - slack)
		h.want(soon, healthy, "with timers that began anew")
		h.want(late, silent, "25 s after the last word of its connection")
		h.hold("4", late)
		h.want(late, healthy, "once another connection declared it")
		step(2 * slack)
		h.want(soon, silent, "15 s after the last word of its new connection")
		step(12 * time.Second) // the time of the first two is long over
		h.want(late, healthy, "before the time of its new connection is over")
		h.hear("3")
		h.hear("4")
		step(11 * time.Second)
		for v := range h.Snapshot().Idle() {
			t.Errorf("the verdict on %s stands, which holds nothing", v.Key.Witness)
		}
		h.want(soon, healthy, "while it is heard of")
		h.want(late, healthy, "while it is heard of")
	})
}

func TestManyConnectionsAreRatherCutOffThanDead(t *testing.T) {
	inBubble(t, func(h *house) {
		var all []registry.InstanceKey
		for n := range 40 {
			k := endpoint("order-api", fmt.Sprint("192.0.2.", n))
			h.hold(fmt.Sprint(n), k)
			all = append(all, k)
		}
		step(2 * time.Minute)
		if p := h.sweeper.Protection(); !p.Active || p.Witnesses != 40 || p.Held != 40 {
			t.Errorf("protection is %+v, want 40 removals of 40 witnesses held back", p)
		}
		for _, k := range all {
			h.want(k, silent, "while removals are held back")
		}
	})
}
