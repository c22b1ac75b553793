package server

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/musterhq/muster/internal/browsers"
	"github.com/musterhq/muster/internal/panics"
)

func newPanics() prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: "muster_http_panics_total", Help: "Calls whose handler panicked: each is a mistake in the server, and in its log."})
}

// safe tells browsers how to take what is answered, which is never a page, and answers
// calls whose handler panics: nobody else notices.
func (s *Server) safe(next http.Handler) http.Handler {
	next = panics.Handler(panics.Config{Logger: s.log, Count: s.panics.Inc, Answer: func(w http.ResponseWriter, r *http.Request) {
		turnAway(w, r, http.StatusInternalServerError, "internal error")
	}}, next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		browsers.Tell(w.Header())
		next.ServeHTTP(w, r)
	})
}
