package relay

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what an operator can watch of the ways to the judge.
type metrics struct {
	beats   *prometheus.CounterVec
	batches *prometheus.CounterVec
}

func newMetrics(to prometheus.Registerer, r *Relay) (*metrics, error) {
	m := &metrics{
		beats: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_relay_beats_total",
			Help: "Witnesses whose word was delivered, by way: local, judge, relay (another server), mailbox (in etcd).",
		}, []string{"way"}),
		batches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_relay_batches_total",
			Help: "Batches of witnesses by way and outcome; ask is an empty one to a server that took none.",
		}, []string{"way", "outcome"}),
	}
	for _, way := range []string{"local", "judge", "relay", "mailbox"} {
		m.beats.WithLabelValues(way)
	}
	if to == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.beats, m.batches,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "muster_relay_pending_witnesses",
			Help: "Witnesses that wait to be delivered to the server that judges.",
		}, func() float64 { return float64(r.own.len() + r.passed.len()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "muster_relay_failing_seconds",
			Help: "Time since which nothing could be delivered, in seconds; 0 while delivery works.",
		}, r.failingSeconds),
	} {
		if err := to.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (r *Relay) failingSeconds() float64 {
	since := r.failing.Load()
	if since == 0 {
		return 0
	}
	return time.Duration(r.now() - since).Seconds()
}

// count takes in the outcome of one batch.
func (r *Relay) count(way, outcome string, delivered []string) {
	r.metrics.batches.WithLabelValues(way, outcome).Inc()
	if len(delivered) > 0 {
		r.metrics.beats.WithLabelValues(way).Add(float64(len(delivered)))
	}
}
