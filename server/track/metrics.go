package track

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Why something that was heard is not kept.
const (
	refusedKind   = "kind"
	refusedState  = "state"
	refusedDigest = "digest"
	refusedID     = "id"
	refusedKey    = "key"
	refusedClient = "client" // it has too many documents
	refusedFull   = "full"   // there are too many entries
)

type metrics struct {
	refused   *prometheus.CounterVec
	written   prometheus.Counter
	failed    prometheus.Counter
	cost      prometheus.Histogram
	forgotten prometheus.Counter
	unread    prometheus.Counter
	damaged   prometheus.Counter
}

func newMetrics() *metrics {
	m := &metrics{
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_config_track_refused_total",
			Help: "Reports of clients that were not kept, by reason: kind, state, digest, id, key (not valid), client (too many documents), full.",
		}, []string{"reason"}),
		written: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "muster_config_track_written_total",
			Help: "Records that were written to the file of the push track.",
		}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "muster_config_track_failures_total",
			Help: "Transactions of the push track that failed; each is tried again.",
		}),
		cost: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "muster_config_track_write_seconds",
			Help:    "Time that one transaction of the push track took, in seconds.",
			Buckets: []float64{.001, .005, .025, .1, .5, 2.5, 10},
		}),
		forgotten: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "muster_config_track_forgotten_total",
			Help: "Records that were removed because their client was not heard of for too long.",
		}),
		unread: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "muster_config_track_unread_total",
			Help: "Times that the file of the push track, or a record in it, could not be read.",
		}),
		damaged: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "muster_config_track_damaged_total",
			Help: "Files of the push track that were set aside because they were damaged.",
		}),
	}
	for _, reason := range []string{refusedKind, refusedState, refusedDigest, refusedID, refusedKey, refusedClient, refusedFull} {
		m.refused.WithLabelValues(reason)
	}
	return m
}

func (t *Track) register(to prometheus.Registerer) error {
	if to == nil {
		return nil
	}
	m := t.metrics
	for _, c := range append(t.counted(), m.refused, m.written, m.failed, m.cost, m.forgotten, m.unread, m.damaged) {
		if err := to.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// counted returns the collectors of what is kept.
func (t *Track) counted() []prometheus.Collector {
	gauge := func(name, help string, of func() int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			t.mu.Lock()
			defer t.mu.Unlock()
			return float64(of())
		})
	}
	return []prometheus.Collector{
		gauge("muster_config_track_entries", "Entries of the push track, one for each client and document.", func() int { return t.count }),
		gauge("muster_config_track_recent", "Those in memory: of clients that were heard of lately.", func() int { return t.recent }),
		gauge("muster_config_track_pending", "Those that are to be written.", func() int { return len(t.changed) }),
	}
}

func (m *metrics) refuse(reason string) { m.refused.WithLabelValues(reason).Inc() }

// wrote notes a transaction.
func (m *metrics) wrote(records int, cost time.Duration, err error) {
	m.cost.Observe(cost.Seconds())
	if err != nil {
		m.failed.Inc()
		return
	}
	m.written.Add(float64(records))
}
