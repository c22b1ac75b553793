package nacos

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// requests are the metrics of calls that dashboards of Nacos know, by the names
// and labels that its web framework gives them.
type requests struct {
	took   *prometheus.SummaryVec
	failed *prometheus.CounterVec
}

func newRequests() *requests {
	return &requests{
		took: prometheus.NewSummaryVec(prometheus.SummaryOpts{
			Name: "http_server_requests_seconds",
			Help: "Calls of the API of Nacos and how long they took, long polls with their wait, in seconds.",
		}, []string{"exception", "method", "outcome", "status", "uri"}),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nacos_exception_total",
			Help: "Calls that were refused as illegal, failed as the store could not do them (db), or for a reason nobody knew (nacos).",
		}, []string{"module", "name"}),
	}
}

// Describe implements prometheus.Collector.
func (r *requests) Describe(to chan<- *prometheus.Desc) {
	r.took.Describe(to)
	r.failed.Describe(to)
}

// Collect implements prometheus.Collector.
func (r *requests) Collect(to chan<- prometheus.Metric) {
	r.took.Collect(to)
	r.failed.Collect(to)
}

// done counts a call that was answered.
func (r *requests) done(c *call, began time.Time) {
	status := c.status
	if status == 0 { // it was answered past answer, and has not failed
		status = http.StatusOK
	}
	uri, method := "UNKNOWN", "OTHER" // else who calls could make series without end
	if c.op != nil {
		uri, method = c.h.cfg.ContextPath+c.on.prefix+c.path, c.r.Method
		if c.method == every && !common[method] {
			method = "OTHER"
		}
	}
	r.took.WithLabelValues("None", method, outcomes[status/100], strconv.Itoa(status), uri).Observe(time.Since(began).Seconds())
	if name := exceptions[status]; name != "" {
		module := "naming"
		if c.op != nil && strings.HasSuffix(c.on.prefix, "/cs") {
			module = "config"
		}
		r.failed.WithLabelValues(module, name).Inc()
	}
}

var common = map[string]bool{get: true, post: true, put: true, patch: true, remove: true, http.MethodHead: true}

var outcomes = [...]string{1: "INFORMATIONAL", 2: "SUCCESS", 3: "REDIRECTION", 4: "CLIENT_ERROR", 5: "SERVER_ERROR", 9: "UNKNOWN"}

var exceptions = map[int]string{
	http.StatusBadRequest:          "illegalArgument",
	http.StatusInternalServerError: "nacos",
	http.StatusServiceUnavailable:  "db",
}

// register has the metrics of the handler gathered.
func (h *Handler) register(to prometheus.Registerer) error {
	if to == nil {
		return nil
	}
	for _, c := range append(append(h.tells.metrics(), h.behind.metrics()...), monitor{h}, h.requests) {
		if err := to.Register(c); err != nil {
			return fmt.Errorf("nacos: %w", err)
		}
	}
	return nil
}
