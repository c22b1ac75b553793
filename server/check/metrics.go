package check

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what an operator can watch of the checks.
type metrics struct {
	checks   prometheus.Gauge
	tries    *prometheus.CounterVec
	late     prometheus.Histogram
	verdicts *prometheus.CounterVec
	failures prometheus.Counter
}

func newMetrics(to prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		checks: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "muster_check_instances", Help: "Persistent instances that are checked, 0 on a server that does not judge."}),
		tries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_check_tries_total", Help: "Tries of server-side checks, by kind and outcome."}, []string{"kind", "outcome"}),
		late: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "muster_check_late_seconds", Help: "How much later than planned a try began.",
			Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}),
		verdicts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_check_verdicts_total", Help: "Verdicts of checks written, by what they say."}, []string{"verdict"}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "muster_check_failures_total", Help: "Attempts to write a verdict of a check that failed; the next try repeats it."}),
	}
	if to == nil {
		return m, nil
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.checks, m.tries, m.late, m.verdicts, m.failures} {
		errs = append(errs, to.Register(c))
	}
	return m, errors.Join(errs...)
}
