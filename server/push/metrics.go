package push

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// tally counts pushes. A push is one content for one subscriber, however often
// it is sent.
type tally struct {
	sent, repeated, acked, failed, overtaken, empty, tooLong uint64

	cost time.Duration // of all that were acknowledged
	most time.Duration // of one
}

func (t *tally) ack(cost time.Duration) {
	t.acked++
	t.cost += cost
	t.most = max(t.most, cost)
}

// Stats is what became of the pushes since the statistics were reset.
type Stats struct {
	Total     uint64 // sent at least once
	Succeeded uint64 // acknowledged
	Failed    uint64 // not acknowledged though sent twice, or until the subscriber lapsed
	Overtaken uint64 // not acknowledged when there was newer content
	Empty     uint64 // sent with no hosts
	Pending   int    // to be acknowledged now

	Average, Max time.Duration // from sending to acknowledgement; 0 if there was none
}

// Stats returns the statistics.
func (p *Pusher) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	t, since := p.tally, p.since
	s := Stats{
		Total: t.sent - since.sent, Succeeded: t.acked - since.acked, Failed: t.failed - since.failed,
		Overtaken: t.overtaken - since.overtaken, Empty: t.empty - since.empty, Pending: len(p.awaited), Max: t.most,
	}
	if s.Succeeded > 0 {
		s.Average = (t.cost - since.cost) / time.Duration(s.Succeeded)
	}
	return s
}

// ResetStats begins the statistics anew; metrics go on.
func (p *Pusher) ResetStats() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tally.most = 0
	p.since = p.tally
}

// metrics are what an operator can watch of pushes, beside the tally.
type metrics struct {
	refused *prometheus.CounterVec
	cost    prometheus.Histogram
	strays  prometheus.Counter
	unsent  prometheus.Counter
}

func newMetrics(to prometheus.Registerer, p *Pusher) (*metrics, error) {
	m := &metrics{
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_push_refused_total",
			Help: "Clients that were not enrolled, by reason: agent (or pushes are off), address, long (a text), full.",
		}, []string{"reason"}),
		cost: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "muster_push_ack_seconds",
			Help:    "Time from a push to its acknowledgement, in seconds.",
			Buckets: []float64{.001, .005, .025, .1, .5, 2.5, 10, 20},
		}),
		strays: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "muster_push_strays_total",
			Help: "Datagrams that acknowledged no push that waited for it.",
		}),
		unsent: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "muster_push_unsent_total",
			Help: "Datagrams that the system did not take.",
		}),
	}
	for _, reason := range []string{refusedAgent, refusedAddress, refusedLong, refusedFull} {
		m.refused.WithLabelValues(reason)
	}
	if to == nil {
		return m, nil
	}
	for _, c := range append(p.counted(), m.refused, m.cost, m.strays, m.unsent) {
		if err := to.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// counted returns the collectors of the tally and of who is enrolled.
func (p *Pusher) counted() []prometheus.Collector {
	counter := func(name, help string, of func(tally) uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 {
			p.mu.Lock()
			defer p.mu.Unlock()
			return float64(of(p.tally))
		})
	}
	return []prometheus.Collector{
		counter("muster_push_sent_total", "Pushes sent, each counted once.", func(t tally) uint64 { return t.sent }),
		counter("muster_push_repeated_total", "Those that were sent a second time.", func(t tally) uint64 { return t.repeated }),
		counter("muster_push_acked_total", "Those that were acknowledged.", func(t tally) uint64 { return t.acked }),
		counter("muster_push_failed_total", "Those that were given up.", func(t tally) uint64 { return t.failed }),
		counter("muster_push_overtaken_total", "Those that had newer content follow before they were acknowledged.",
			func(t tally) uint64 { return t.overtaken }),
		counter("muster_push_empty_total", "Those that had no hosts.", func(t tally) uint64 { return t.empty }),
		counter("muster_push_too_long_total", "Pushes that no datagram could hold.", func(t tally) uint64 { return t.tooLong }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "muster_push_subscribers",
			Help: "Subscribers that are told of changes, one for each service and client.",
		}, func() float64 { return float64(p.SubscriberCount()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "muster_push_pending",
			Help: "Pushes that are to be acknowledged.",
		}, func() float64 { return float64(p.Stats().Pending) }),
	}
}
