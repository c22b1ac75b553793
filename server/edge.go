package server

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/server/nacos"
)

// handler returns everything this server answers over HTTP.
func (s *Server) handler() (http.Handler, error) {
	mux := http.NewServeMux()
	face := &face{log: s.log, server: s, registry: s.registry, configs: s.center, told: heardOf{s.track}, beats: s.beats, waiters: s.waiters,
		seats: int64(s.room.watches), stopping: s.stopping}
	document := face.mount(mux, s.cfg.Version)
	exemplify(document.OpenAPI())
	if err := s.nacos(); err != nil {
		return nil, err
	}
	for _, root := range append(nacos.Roots(), "/nacos/") {
		mux.Handle(root, s.nacosAPI)
	}
	describe(document.OpenAPI(), s.nacosAPI.Operations())
	for _, r := range s.routes(mux) {
		mux.Handle(r.pattern, s.behind(r.need, r.Handler))
	}
	if err := s.openGRPC(); err != nil {
		return nil, err
	}
	return s.withGRPC(s.safe(paced(s.audited(s.guard(s.withAge(s.doors.guard(mux)))), answerTime))), nil
}

// route is a handler that is no operation of an API.
type route struct {
	pattern string
	need    access.Need
	http.Handler
}

// routes returns what is answered beside the APIs.
func (s *Server) routes(mux *http.ServeMux) []route {
	return []route{
		{"GET /livez", access.Need{Level: access.Open}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok") })},
		{"GET /readyz", access.Need{Level: access.Open}, http.HandlerFunc(s.readyz)},
		{"GET /metrics", access.Reads(access.Naming, ""), s.scrape()},
		{ours, access.Need{Level: access.Open}, strayOf(mux)},
	}
}

func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	if why := s.notReady(); why != "" {
		plain(w, http.StatusServiceUnavailable, why)
		return
	}
	plain(w, http.StatusOK, "ok")
}

// scrape answers the metrics of this process, and those of an etcd that is its child.
func (s *Server) scrape() http.Handler {
	all := prometheus.Gatherers{s.metrics, prometheus.GathererFunc(s.libraries)}
	if s.etcd.metrics != nil {
		all = append(all, s.etcd.metrics)
	}
	return promhttp.HandlerFor(all, promhttp.HandlerOpts{})
}

// libraries gathers the metrics that libraries register by themselves, without
// those of an etcd that does not run in this process: all zero, they would mislead.
func (s *Server) libraries() ([]*dto.MetricFamily, error) {
	all, err := prometheus.DefaultGatherer.Gather()
	if len(s.cfg.EtcdCommand) == 0 && len(s.cfg.Etcd.URLs) == 0 {
		return all, err
	}
	return slices.DeleteFunc(all, func(m *dto.MetricFamily) bool { return strings.HasPrefix(m.GetName(), "etcd_") }), err
}

// guard keeps web pages out while nobody has to log in: a page of another origin
// must not write, and one whose name was made to resolve to this host (DNS
// rebinding) names itself in Host. Beyond loopback, and behind a proxy, any Host may be
// right.
func (s *Server) guard(next http.Handler) http.Handler {
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		turnAway(w, r, http.StatusForbidden, "a page of another origin must not write")
	}))
	return s.onlyThisHost(origin.Handler(next))
}

// onlyThisHost is the part of guard that looks at whom a call says it is for.
func (s *Server) onlyThisHost(next http.Handler) http.Handler {
	listen, _, _ := net.SplitHostPort(s.cfg.HTTP) // as the listener says it
	if !loopback(listen) || len(s.cfg.TrustedProxies) > 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = strings.Trim(r.Host, "[]")
		}
		if host != "" && !loopback(host) {
			turnAway(w, r, http.StatusForbidden, "host "+strconv.Quote(r.Host)+" is not this host's loopback address")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n")) // a client that went away is no news
}

// withAge publishes how old what is read here may be.
func (s *Server) withAge(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		age, _ := s.store.Stale()
		next.ServeHTTP(&aging{ResponseWriter: w, came: time.Now(), age: age}, r)
	})
}

// aging sets the age when an answer begins. It counts from when the call came: a
// snapshot that was read before a long wait is older than the newest proof.
type aging struct {
	http.ResponseWriter

	came  time.Time
	age   time.Duration
	began bool
}

// WriteHeader implements http.ResponseWriter.
func (a *aging) WriteHeader(status int) {
	if !a.began {
		a.began = true
		a.Header().Set(api.HeaderAge, strconv.FormatFloat((a.age+time.Since(a.came)).Seconds(), 'f', 3, 64))
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *aging) Write(b []byte) (int, error) {
	if !a.began {
		a.WriteHeader(http.StatusOK)
	}
	return a.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController find what it needs.
func (a *aging) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// author is who changes a document, as far as is known.
func author(ctx context.Context) config.Author {
	caller := access.From(ctx)
	by := config.Author{User: caller.Who.Name}
	if caller.From.IsValid() {
		by.IP = caller.From.String()
	}
	return by
}
