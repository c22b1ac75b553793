package plugin

import (
	"errors"
	"log/slog"
	"runtime/debug"
	"sync"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/metrics/vars"
	clog "github.com/coredns/coredns/plugin/pkg/log"
	"github.com/coredns/coredns/plugin/transfer"
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/musterhq/muster/zone"
)

var transferred = promauto.NewCounterVec(prometheus.CounterOpts{
	Namespace: plugin.Namespace, Subsystem: name, Name: "transfers_total",
	Help: "Counter of zone transfers by what was sent: the whole zone, what changed, or that there is nothing newer.",
}, []string{"extent"})

var extents = map[zone.Extent]string{zone.Entire: "zone", zone.Changed: "changes", zone.Current: "current"}

// errNotReady refuses a transfer before there is anything to transfer.
var errNotReady = errors.New("the roll is not known yet")

// transfers are the transfers under way.
type transfers struct {
	journal *zone.Journal

	mu       sync.Mutex
	ended    bool          // no transfer may start any more; guarded by mu
	stopped  chan struct{} // closed when none may go on
	underWay sync.WaitGroup
}

// Transfer is what the plugin transfer asks for a zone; who may have it is decided there. All of a transfer comes from one state: what is sent as
// changes leads from a state that somebody was told or sent.
func (m *Muster) Transfer(name string, serial uint32) (<-chan []dns.RR, error) {
	z := m.zones.Match(name)
	if z == nil || z.Name != name {
		return nil, transfer.ErrNotAuthoritative
	}
	st, ready := m.state()
	if !ready {
		return nil, errNotReady
	}
	m.journal.Keep(st)
	parts, extent := m.zones.Whole(st, z), zone.Entire
	if serial != 0 { // 0 is what AXFR comes with
		parts, extent = m.zones.Since(m.journal, serial, st, z)
	}
	records := make(chan []dns.RR)
	// Whoever asks reads to the end, even when nobody takes what is read any more.
	started := m.start(func() {
		defer close(records)
		for part := range parts {
			select {
			case records <- part:
			case <-m.stopped: // without the last SOA the other side takes it for broken, and it is
				return
			}
		}
	})
	if !started {
		return nil, errNotReady
	}
	transferred.WithLabelValues(extents[extent]).Inc()
	return records, nil
}

// start runs a transfer, and reports false when none may start any more. One that panics ends without its last SOA.
func (t *transfers) start(run func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ended {
		t.underWay.Go(func() {
			defer func() {
				if v := recover(); v != nil {
					vars.Panic.Inc() // nobody above recovers: this is a goroutine of ours
					slog.New(logger{clog.NewWithPlugin(name), ""}).Error("a transfer panicked", "panic", v, "stack", string(debug.Stack()))
				}
			}()
			run()
		})
	}
	return !t.ended
}

// stop ends the transfers under way and waits for them.
func (t *transfers) stop() error {
	t.mu.Lock()
	if !t.ended {
		t.ended = true
		close(t.stopped)
	}
	t.mu.Unlock()
	t.underWay.Wait()
	return nil
}
