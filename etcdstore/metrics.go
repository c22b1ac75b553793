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
	stuck      prometheus.Counter
	histories  prometheus.Counter
	epochs     prometheus.Counter
	divergence *prometheus.CounterVec
	defrag     prometheus.Histogram

	trimmed, removed, removedBytes prometheus.Counter
}

func newMetrics(r prometheus.Registerer, s *Store) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &metrics{
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "muster_etcd_commit_seconds",
			Help: "Time of one transaction to etcd.", Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16)}),
		writes: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "muster_etcd_commit_writes",
			Help: "Writes that travelled in one transaction.", Buckets: []float64{1, 2, 4, 8, 16, 32, maxGroup}}),
		failures:   counter("muster_etcd_commit_failures_total", "Transactions that etcd did not answer or refused."),
		relists:    counter("muster_etcd_relists_total", "Full lists after the first, because a watch could not go on."),
		unreadable: counter("muster_etcd_unreadable_records_total", "Records in etcd that could not be read and were left out."),
		stuck:      counter("muster_etcd_stuck_watches_total", "Watches that were ended because they did not bring what etcd had."),
		histories:  counter("muster_etcd_histories_total", "Times that etcd was found to have another history, as after a restore."),
		epochs:     counter("muster_etcd_epochs_raised_total", "Times that the epoch was raised to keep the SOA serial from going back."),
		divergence: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "muster_etcd_divergence_total",
			Help: "Times that a snapshot was found to differ from what etcd had."}, []string{"domain"}),
		defrag: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "muster_etcd_defragment_seconds",
			Help: "Time of a defragmentation, while which its member of etcd does not answer.", Buckets: prometheus.ExponentialBuckets(0.01, 4, 8)}),
	}
	m.trimmed = counter("muster_config_history_trimmed_total", "History records that were removed as their policies have it.")
	m.removed = counter("muster_config_contents_removed_total", "Contents that were removed because nothing referred to them.")
	m.removedBytes = counter("muster_config_contents_removed_bytes_total", "Bytes of the contents that were removed.")
	for _, f := range s.feeds {
		m.divergence.WithLabelValues(f.name) // a first one that comes out of nothing is no growth
	}
	if r != nil {
		r.MustRegister(m.seconds, m.writes, m.failures, m.relists, m.unreadable, m.stuck, m.histories, m.epochs, m.divergence, m.defrag,
			m.trimmed, m.removed, m.removedBytes)
		s.registerGauges(r)
	}
	return m
}

// registerGauges registers what is asked of the store when somebody looks.
func (s *Store) registerGauges(r prometheus.Registerer) {
	for name, gauge := range map[string]struct {
		help  string
		value func() float64
	}{
		"muster_etcd_age_seconds": {"How old the snapshots may be, at the most.", func() float64 {
			age, _ := s.Stale()
			return age.Seconds()
		}},
		"muster_etcd_up": {"Whether etcd answers.", func() float64 { return truth(s.health.err(s.now()) == nil) }},
		"muster_etcd_file_bytes": {"Size of etcd's file, of the member nearest to its quota.", func() float64 {
			return float64(s.Usage().Size)
		}},
		"muster_etcd_in_use_bytes": {"Bytes of etcd's file that defragmentation cannot win back.", func() float64 {
			return float64(s.Usage().InUse)
		}},
		"muster_etcd_quota_bytes": {"Bytes that etcd's file may grow to, 0 while that is not known.", func() float64 {
			return float64(s.Usage().Quota)
		}},
		"muster_etcd_filling_up": {"Whether etcd has used more than 60 % of its quota.", func() float64 {
			u := s.Usage()
			return truth(u.part(u.InUse, warnPart))
		}},
		"muster_etcd_full": {"Whether new keys are refused for want of room.", func() float64 { return truth(s.Usage().Full != "") }},
	} {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: gauge.help}, gauge.value))
	}
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func (m *metrics) commit(writes int, took time.Duration, err error) {
	if err != nil {
		m.failures.Inc()
		return
	}
	m.seconds.Observe(took.Seconds())
	m.writes.Observe(float64(writes))
}
