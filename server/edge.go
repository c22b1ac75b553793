package server

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/config"
)

// handler returns everything this server answers over HTTP.
func (s *Server) handler() (http.Handler, error) {
	mux := http.NewServeMux()
	face := &face{log: s.log, server: s, registry: s.registry, configs: s.center, stopping: s.stopping}
	document := face.mount(mux, s.cfg.Version)
	var err error
	if s.nacosAPI, err = s.nacos(); err != nil {
		return nil, err
	}
	mux.Handle("/nacos/", s.nacosAPI)
	describe(document.OpenAPI(), s.nacosAPI.Operations())
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if why := s.notReady(); why != "" {
			plain(w, http.StatusServiceUnavailable, why)
			return
		}
		plain(w, http.StatusOK, "ok")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(prometheus.Gatherers{s.metrics, prometheus.GathererFunc(s.libraries)},
		promhttp.HandlerOpts{}))
	return s.guard(s.withAge(withPeer(mux))), nil
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
// rebinding) names itself in Host. Beyond loopback any Host may be right.
func (s *Server) guard(next http.Handler) http.Handler {
	origin := http.NewCrossOriginProtection()
	next = origin.Handler(next)
	listen, _, _ := net.SplitHostPort(s.cfg.HTTP) // as the listener says it
	if !loopback(listen) {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = strings.Trim(r.Host, "[]")
		}
		if host != "" && !loopback(host) {
			plain(w, http.StatusForbidden, "host "+strconv.Quote(r.Host)+" is not this host's loopback address")
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
		w.Header().Set(api.HeaderAge, strconv.FormatFloat(age.Seconds(), 'f', 3, 64))
		next.ServeHTTP(w, r)
	})
}

type peerKey struct{}

// withPeer lets handlers know where a call came from.
func withPeer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), peerKey{}, r.RemoteAddr)))
	})
}

// author is who changes a document, as far as is known.
func author(ctx context.Context) config.Author {
	addr, _ := ctx.Value(peerKey{}).(string)
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return config.Author{}
	}
	return config.Author{IP: strings.Trim(host, "[]")}
}
