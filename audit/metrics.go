package audit

import "github.com/prometheus/client_golang/prometheus"

// metrics are those of a log.
type metrics struct {
	log     *Log
	records *prometheus.CounterVec
	lost    prometheus.Counter
}

var (
	descHead    = prometheus.NewDesc("muster_audit_head", "Number of the last record of the audit log that was written: a log that ends before it was cut.", nil, nil)
	descFailing = prometheus.NewDesc("muster_audit_failing", "Whether records of the audit log cannot be written and wait in memory.", nil, nil)
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
	for _, d := range []*prometheus.Desc{descHead, descFailing} {
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
}
