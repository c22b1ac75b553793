package dnsd

import (
	"log/slog"
	"sync"
	"time"

	"github.com/coredns/coredns/plugin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/musterhq/muster/internal/tally"
)

// dropped stands beside CoreDNS's own metrics, which see only what reaches it.
var dropped = promauto.NewCounterVec(prometheus.CounterOpts{
	Namespace: plugin.Namespace, Subsystem: "transport", Name: "dropped_total",
	Help: "Counter of UDP queries (proto udp) and connections (proto tcp) turned away since too many were under way, or had waited too long, or too many answers were unread.",
}, []string{"server", "proto"})

// hotAnswers say how much is spared CoreDNS.
var hotAnswers = tally.MustJoinCounters(prometheus.DefaultRegisterer, prometheus.NewCounterVec(prometheus.CounterOpts{
	Namespace: plugin.Namespace, Subsystem: "transport", Name: "hot_answers_total",
	Help: "Counter of UDP queries that a plugin's hot path has answered, without CoreDNS; other metrics count them as ever.",
}, []string{"server"}))

// hotOn says where there are hot paths.
var hotOn = promauto.NewGaugeVec(prometheus.GaugeOpts{
	Namespace: plugin.Namespace, Subsystem: "transport", Name: "hot_path",
	Help: "Whether a plugin answers UDP queries by a hot path; the log says at each load why not.",
}, []string{"server"})

// unsent are lost like any packet may be, and seldom: where the system has no room.
var unsent = promauto.NewCounterVec(prometheus.CounterOpts{
	Namespace: plugin.Namespace, Subsystem: "transport", Name: "unsent_total",
	Help: "Counter of UDP answers that the system did not take.",
}, []string{"server"})

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
