package events

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	refused prometheus.Counter
	begun   *prometheus.CounterVec
	ended   *prometheus.CounterVec
	sent    prometheus.Counter
}

// How a stream begins, and why it ends: the values of the metrics' labels.
const (
	whole   = "whole"
	resumed = "resumed"

	stopping = "stopping"
	behind   = "behind"
	refused  = "refused" // its reader may not read it any more
	left     = "left"    // its reader did, or did not take what was sent
)

func newMetrics(r prometheus.Registerer, h *Hub) *metrics {
	m := &metrics{
		refused: prometheus.NewCounter(prometheus.CounterOpts{Name: "muster_event_streams_refused_total",
			Help: "Event streams that were refused because there are too many."}),
		begun: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "muster_event_streams_total",
			Help: "Event streams that began, with the whole state, where their reader had left, or with what comes."}, []string{"start"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "muster_event_streams_ended_total",
			Help: "Event streams that ended: the server stopped, the reader fell behind, may not read it any more, or left."}, []string{"reason"}),
		sent: prometheus.NewCounter(prometheus.CounterOpts{Name: "muster_events_total",
			Help: "Events that were sent."}),
	}
	for _, start := range []string{whole, resumed, Now} {
		m.begun.WithLabelValues(start)
	}
	for _, reason := range []string{stopping, behind, refused, left} {
		m.ended.WithLabelValues(reason)
	}
	streams := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "muster_event_streams",
		Help: "Event streams that are open."}, func() float64 { return float64(h.seats.Taken()) })
	if r != nil {
		r.MustRegister(m.refused, m.begun, m.ended, m.sent, streams)
	}
	return m
}
