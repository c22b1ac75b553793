package audit

import "github.com/prometheus/client_golang/prometheus"

// metrics are those of a log and its sinks.
type metrics struct {
	log     *Log
	records *prometheus.CounterVec
	lost    prometheus.Counter
}

var (
	descHead    = prometheus.NewDesc("muster_audit_head", "Number of the last record of the audit log that was written: a log that ends before it was cut.", nil, nil)
	descFailing = prometheus.NewDesc("muster_audit_failing", "Whether records of the audit log cannot be written and wait in memory.", nil, nil)
	descSent    = prometheus.NewDesc("muster_audit_sink_sent_total", "Records of the audit log that a sink has taken.", []string{"sink"}, nil)
	descDropped = prometheus.NewDesc("muster_audit_sink_dropped_total", "Records that a sink did not get, as it took others too slowly; the files have them.", []string{"sink"}, nil)
	descWaiting = prometheus.NewDesc("muster_audit_sink_waiting", "Records that wait for a sink.", []string{"sink"}, nil)
)

func newMetrics(l *Log) *metrics {
	m := &metrics{log: l,
		records: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "muster_audit_records_total", Help: "Records of the audit log, by result."}, []string{"result"}),
		lost:    prometheus.NewCounter(prometheus.CounterOpts{Name: "muster_audit_lost_total", Help: "Records of the audit log that were lost, as they could not be written and too many waited."}),
	}
	for _, r := range []Result{Done, Refused, Failed} {
		m.records.WithLabelValues(string(r))
	}
	return m
}

func (m *metrics) count(r Result) { m.records.WithLabelValues(string(r)).Inc() }

// Describe implements prometheus.Collector.
func (m *metrics) Describe(to chan<- *prometheus.Desc) {
	m.records.Describe(to)
	m.lost.Describe(to)
	for _, d := range []*prometheus.Desc{descHead, descFailing, descSent, descDropped, descWaiting} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(to chan<- prometheus.Metric) {
	m.records.Collect(to)
	m.lost.Collect(to)
	failing := 0.0
	if m.log.Failing() != nil {
		failing = 1
	}
	to <- prometheus.MustNewConstMetric(descHead, prometheus.GaugeValue, float64(m.log.Head().Seq))
	to <- prometheus.MustNewConstMetric(descFailing, prometheus.GaugeValue, failing)
	for _, s := range m.log.cfg.Sinks {
		is := s.stats()
		to <- prometheus.MustNewConstMetric(descSent, prometheus.CounterValue, float64(is.sent), s.name)
		to <- prometheus.MustNewConstMetric(descDropped, prometheus.CounterValue, float64(is.dropped), s.name)
		to <- prometheus.MustNewConstMetric(descWaiting, prometheus.GaugeValue, float64(is.waiting), s.name)
	}
}
