package rpc

import (
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those of a Server. A type of request is a label once it is known, so that
// nobody makes labels up.
type metrics struct {
	server   *Server
	requests *prometheus.CounterVec
	took     prometheus.Histogram
	pushes   *prometheus.CounterVec
	lag      prometheus.Histogram
	ended    *prometheus.CounterVec
	resets   prometheus.Counter
	panics   prometheus.Counter
	strange  prometheus.Counter
	unread   prometheus.Counter
}

func newMetrics(s *Server) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	seconds := []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5}
	return &metrics{
		server:   s,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "muster_grpc_requests_total", Help: "Requests over gRPC, by type and by the error code of their response, 0 for fine."}, []string{"type", "code"}),
		took:     prometheus.NewHistogram(prometheus.HistogramOpts{Name: "muster_grpc_request_seconds", Help: "How long requests over gRPC took.", Buckets: seconds}),
		pushes:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "muster_grpc_pushes_total", Help: "Pushes to clients over gRPC, by type and by what became of them."}, []string{"type", "outcome"}),
		lag:      prometheus.NewHistogram(prometheus.HistogramOpts{Name: "muster_grpc_push_ack_seconds", Help: "How long clients took to acknowledge a push.", Buckets: seconds}),
		ended:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "muster_grpc_connections_closed_total", Help: "Connections of gRPC that this server closed, by why."}, []string{"why"}),
		resets:   counter("muster_grpc_resets_total", "Connections of gRPC that were asked to move to another server."),
		panics:   counter("muster_grpc_panics_total", "Requests over gRPC that ended in a panic."),
		strange:  counter("muster_grpc_strange_messages_total", "Messages on streams that answer nothing."),
		unread:   counter("muster_grpc_unread_total", "Calls of gRPC whose message was not read, as it was too long, cut off, compressed, or no Payload, or for which there was no room."),
	}
}

func (m *metrics) answered(typ string, known bool, r Response, took time.Duration) {
	if !known {
		typ = "other"
	}
	code := 0
	if failed, ok := r.Body.(interface{ failure() int }); ok {
		code = failed.failure()
	}
	m.requests.WithLabelValues(typ, strconv.Itoa(code)).Inc()
	m.took.Observe(took.Seconds())
}

// failure returns the error code. Responses have it by embedding Result.
func (r Result) failure() int { return r.ErrorCode }

func (m *metrics) pushed(typ string, err error, lag time.Duration) {
	outcome := "acknowledged"
	switch {
	case errors.Is(err, ErrRefused):
		outcome = "refused"
	case errors.Is(err, ErrUnacknowledged):
		outcome = "unacknowledged"
	case errors.Is(err, ErrSlow):
		outcome = "slow"
	case errors.Is(err, ErrGone):
		outcome = "gone"
	}
	m.pushes.WithLabelValues(typ, outcome).Inc()
	if lag > 0 {
		m.lag.Observe(lag.Seconds())
	}
}

func (m *metrics) closed(why error) {
	label := "other"
	for text, is := range map[string]error{"silent": errSilent, "stuck": errStuck, "no setup": errNoSetup, "no seat": errNoSeat, "moved": errMoved, "server ends": errEnds} {
		if errors.Is(why, is) {
			label = text
		}
	}
	m.ended.WithLabelValues(label).Inc()
}

func (m *metrics) parts() []prometheus.Collector {
	return []prometheus.Collector{m.requests, m.took, m.pushes, m.lag, m.ended, m.resets, m.panics, m.strange, m.unread}
}

var descConns = prometheus.NewDesc("muster_grpc_connections", "Connections of gRPC, by whether they have set up.", []string{"state"}, nil)

// Describe implements prometheus.Collector.
func (m *metrics) Describe(to chan<- *prometheus.Desc) {
	for _, p := range m.parts() {
		p.Describe(to)
	}
	to <- descConns
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(to chan<- prometheus.Metric) {
	for _, p := range m.parts() {
		p.Collect(to)
	}
	s := m.server
	s.mu.Lock()
	waiting := 0
	for _, w := range s.wires {
		w.mu.Lock()
		if w.calls && w.conn == nil {
			waiting++
		}
		w.mu.Unlock()
	}
	up := len(s.conns)
	s.mu.Unlock()
	to <- prometheus.MustNewConstMetric(descConns, prometheus.GaugeValue, float64(up), "set up")
	to <- prometheus.MustNewConstMetric(descConns, prometheus.GaugeValue, float64(waiting), "waiting")
}
