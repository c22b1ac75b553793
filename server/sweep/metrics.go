package sweep

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what an operator can watch of the judge.
type metrics struct {
	verdicts *prometheus.CounterVec
	failures prometheus.Counter
	refused  prometheus.Counter
	late     prometheus.Counter
	stale    prometheus.Counter
	rows     prometheus.Gauge
	active   prometheus.Gauge
	held     prometheus.Gauge
	freezes  prometheus.Counter
}

func newMetrics(to prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		verdicts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_sweep_verdicts_total",
			Help: "Verdicts written, by what they say: silent, removed, buried (a tombstone), forgotten (an override), cleared (an empty service), freed (a DNS name), dropped (a verdict on a connection that holds nothing).",
		}, []string{"verdict"}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "muster_sweep_failures_total",
			Help: "Attempts to write a verdict that failed; each is tried again.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "muster_sweep_refused_total",
			Help: "Those of the failures whose reason was that another server judges by now.",
		}),
		late: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "muster_sweep_late_seconds_total",
			Help: "How much later than planned scans came, in seconds; added to every deadline.",
		}),
		stale: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "muster_sweep_stale_seconds_total",
			Help: "How long nobody was judged as the store was away or checks were switched off, in seconds.",
		}),
		active: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "muster_sweep_protection_active",
			Help: "1 while removals are held back or slowed down after a mass silence.",
		}),
		held: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "muster_sweep_held_rows",
			Help: "Deadlines that are over and whose removal waits after a mass silence.",
		}),
		freezes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "muster_sweep_freezes_total",
			Help: "How often a mass silence made removals wait.",
		}),
		rows: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "muster_sweep_rows",
			Help: "Deadlines kept: one for each witness and pair of timeouts, 0 on a server that does not judge.",
		}),
	}
	for _, verdict := range []string{"silent", "removed", "buried", "forgotten", "cleared", "freed", "dropped"} {
		m.verdicts.WithLabelValues(verdict)
	}
	if to == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{
		m.verdicts, m.failures, m.refused, m.late, m.stale, m.rows, m.active, m.held, m.freezes,
	} {
		if err := to.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// protect shows the state of a freeze.
func (m *metrics) protect(p Protection) {
	active := 0.0
	if p.Active {
		active = 1
	}
	m.active.Set(active)
	m.held.Set(float64(p.Held))
}
