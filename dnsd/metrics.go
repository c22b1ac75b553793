package dnsd

import (
	"log/slog"
	"sync"
	"time"

	"github.com/coredns/coredns/plugin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// dropped stands beside CoreDNS's own metrics, which see only what reaches it.
var dropped = promauto.NewCounterVec(prometheus.CounterOpts{
	Namespace: plugin.Namespace, Subsystem: "transport", Name: "dropped_total",
	Help: "Counter of UDP queries (proto udp) and connections (proto tcp) turned away since too many were under way, or too many answers unread.",
}, []string{"server", "proto"})

// overload counts what one address turns away, and tells the operator, once a
// minute at most.
type overload struct {
	counter prometheus.Counter
	log     *slog.Logger

	mu    sync.Mutex
	told  time.Time
	since int // told
}

func newOverload(addr, proto string, log *slog.Logger) *overload {
	return &overload{counter: dropped.WithLabelValues("dns://"+addr, proto), log: log.With("address", addr, "network", proto)}
}

func (o *overload) count() {
	o.counter.Inc()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.since++
	if time.Since(o.told) < time.Minute {
		return
	}
	o.log.Warn("dns overload", "turned_away", o.since)
	o.told, o.since = time.Now(), 0
}
