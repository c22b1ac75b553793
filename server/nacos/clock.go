package nacos

import (
	"sync"

	"github.com/musterhq/muster/registry"
)

// clock stamps lists of instances in milliseconds of the wall clock. Clients
// drop a list whose stamp is older than that of the one they have, so a stamp
// never goes back, even when the wall clock does, and a list of a later
// snapshot always has a later stamp.
type clock struct {
	mu       sync.Mutex
	last     int64 // guarded by mu
	revision int64 // of the snapshot last stamped; guarded by mu
}

// read returns the current snapshot and the stamp of what is read from it.
func (h *Handler) read() (*registry.Snapshot, int64) {
	h.clock.mu.Lock()
	defer h.clock.mu.Unlock()
	snap, now := h.cfg.Registry.Snapshot(), h.cfg.Now().UnixMilli()
	if snap.Revision() > h.clock.revision {
		h.clock.revision = snap.Revision()
		h.clock.last++
	}
	h.clock.last = max(h.clock.last, now)
	return snap, h.clock.last
}
