package etcdstore

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of the way to etcd and back.
type metrics struct {
	seconds    prometheus.Histogram
	writes     prometheus.Histogram
	failures   prometheus.Counter
	relists    prometheus.Counter
	unreadable prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "muster_etcd_commit_seconds",
			Help: "Time of one transaction to etcd.", Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16)}),
		writes: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "muster_etcd_commit_writes",
			Help: "Writes that travelled in one transaction.", Buckets: []float64{1, 2, 4, 8, 16, 32, maxGroup}}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{Name: "muster_etcd_commit_failures_total",
			Help: "Transactions that etcd did not answer or refused."}),
		relists: prometheus.NewCounter(prometheus.CounterOpts{Name: "muster_etcd_relists_total",
			Help: "Full lists after the first, because a watch could not go on."}),
		unreadable: prometheus.NewCounter(prometheus.CounterOpts{Name: "muster_etcd_unreadable_records_total",
			Help: "Records in etcd that could not be read and were left out."}),
	}
	if r != nil {
		r.MustRegister(m.seconds, m.writes, m.failures, m.relists, m.unreadable)
	}
	return m
}

func (m *metrics) commit(writes int, took time.Duration, err error) {
	if err != nil {
		m.failures.Inc()
		return
	}
	m.seconds.Observe(took.Seconds())
	m.writes.Observe(float64(writes))
}
