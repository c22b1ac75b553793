// Package events streams what changes on the roll to readers that may come back for more.
//
// A [Hub] follows the snapshots of a View and keeps a bounded log of which
// service changed at which revision. A reader is told what its services are or
// became, always as the newest snapshot has them: states in between are left out
// when many changes come at once, the last one never is. It gets ids to go on
// from, with this server or another one over the same store. A reader that does
// not keep up costs one old snapshot, for a bounded time.
package events

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/musterhq/muster/internal/seats"
	"github.com/musterhq/muster/internal/view"
	"github.com/musterhq/muster/registry"
)

// Config is what a Hub needs.
type Config struct {
	// View is what is followed.
	View *registry.View
	// Show returns the data of a service that is new or changed, to be sent as
	// JSON: what differs from was, everything where was is nil.
	Show func(at *registry.Snapshot, was, is *registry.Service) any
	// Store names the store that revisions are of; nil, or an answer that is empty:
	// revisions are all there is to go on from.
	Store func() string

	// Log is how many changes are remembered, for readers that come back; 0 means
	// 65536.
	Log int
	// Behind is how many changes may come while a reader takes in what is sent; 0
	// means 16384.
	Behind int
	// Streams and PerClient bound the readers, in all and of one client; 0 means
	// 4096 and 256.
	Streams, PerClient int
	// Heartbeat is how often a stream without news shows that it lives; 0 means 15 s.
	Heartbeat time.Duration
	// Within is how long a reader may take to let a piece of at most 64 KiB through;
	// 0 means 10 s.
	Within time.Duration
	// Registerer gets the metrics; nil means none.
	Registerer prometheus.Registerer
}

func (c Config) withDefaults() Config {
	c.Log = cmp.Or(c.Log, 1<<16)
	c.Behind = cmp.Or(c.Behind, 1<<14)
	c.Streams = cmp.Or(c.Streams, 4096)
	c.PerClient = cmp.Or(c.PerClient, 256)
	c.Heartbeat = cmp.Or(c.Heartbeat, 15*time.Second)
	c.Within = cmp.Or(c.Within, 10*time.Second)
	if c.Store == nil {
		c.Store = func() string { return "" }
	}
	return c
}

// Hub follows a View for any number of readers.
type Hub struct {
	cfg     Config
	seats   *seats.Seats
	metrics *metrics
	steps   view.View[step, *step]

	mu  sync.Mutex
	log *log // guarded by mu

	stopping chan struct{}
	stop     sync.Once
}

// New returns a Hub; Run has it follow.
func New(cfg Config) (*Hub, error) {
	if cfg.View == nil || cfg.Show == nil {
		return nil, errors.New("events: a view and a way to show its services are needed")
	}
	cfg = cfg.withDefaults()
	h := &Hub{cfg: cfg, seats: seats.New(cfg.Streams, cfg.PerClient), stopping: make(chan struct{})}
	h.metrics = newMetrics(cfg.Registerer, h)
	return h, nil
}

// step leads from one snapshot that was followed to the next.
type step struct {
	from, to *registry.Snapshot // from is nil for the first one
	changes  []*change
	count    uint64 // of all changes so far
}

// Revision makes a step one of a succession.
func (s *step) Revision() int64 { return s.to.Revision() }

// Run follows until ctx ends.
func (h *Hub) Run(ctx context.Context) error {
	for {
		changed := h.cfg.View.Changed()
		if snap := h.cfg.View.Snapshot(); snap != nil {
			h.follow(snap)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// follow makes the step to a snapshot. It is Run's alone.
func (h *Hub) follow(snap *registry.Snapshot) {
	last := h.steps.Snapshot()
	if last == nil {
		h.mu.Lock()
		h.log = newLog(h.cfg.Log, snap.Revision())
		h.mu.Unlock()
		h.steps.Publish(&step{to: snap})
		return
	}
	if last.to == snap {
		return
	}
	next := &step{from: last.to, to: snap, count: last.count}
	for was, is := range registry.Diff(last.to, snap) {
		next.changes = append(next.changes, &change{at: snap, was: was, is: is})
	}
	next.count += uint64(len(next.changes))
	h.remember(last.Revision(), next)
	h.steps.Publish(next)
}

// remember writes the changes of a step down. One that repairs a snapshot, or
// leads to another history, changes what revisions up to it were said to hold:
// nobody can go on from these.
func (h *Hub) remember(last int64, next *step) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if next.Revision() < last || next.Revision() == last && len(next.changes) > 0 {
		h.log = newLog(h.cfg.Log, max(last, h.log.base)+1)
		return
	}
	for _, c := range next.changes {
		h.log.add(next.Revision(), c.key())
	}
}

// Drain ends all streams, each with word of it, and refuses new ones.
func (h *Hub) Drain() { h.stop.Do(func() { close(h.stopping) }) }

// Ready reports whether there is anything to tell yet.
func (h *Hub) Ready() bool { return h.steps.Snapshot() != nil }

// Enter reports whether a client may have one more stream; who may gives it back
// with Leave.
func (h *Hub) Enter(client string) bool {
	if !h.seats.Take(client) {
		h.metrics.refused.Inc()
		return false
	}
	return true
}

// Leave gives back what a client got by Enter.
func (h *Hub) Leave(client string) { h.seats.Leave(client) }
