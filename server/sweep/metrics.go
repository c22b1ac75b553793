package sweep

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what an operator can watch of the judge.
type metrics struct {
	verdicts *prometheus.CounterVec
	failures prometheus.Counter
	late     prometheus.Counter
	rows     prometheus.Gauge
}

func newMetrics(to prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		verdicts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_sweep_verdicts_total",
			Help: "Verdicts written, by what they say: silent, removed, buried (a tombstone), forgotten (an override).",
		}, []string{"verdict"}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "muster_sweep_failures_total",
			Help: "Attempts to write a verdict that failed; each is tried again.",
		}),
		late: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "muster_sweep_late_seconds_total",
			Help: "How much later than planned scans came, in seconds; added to every deadline.",
		}),
		rows: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "muster_sweep_rows",
			Help: "Deadlines kept: one for each witness and pair of timeouts, 0 on a server that does not judge.",
		}),
	}
	for _, verdict := range []string{"silent", "removed", "buried", "forgotten"} {
		m.verdicts.WithLabelValues(verdict)
	}
	if to == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.verdicts, m.failures, m.late, m.rows} {
		if err := to.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
