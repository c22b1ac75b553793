// Package local is the agent's HTTP API for programs on its own host, over TCP on
// loopback and over a unix socket.
//
// Over the socket the kernel says which user calls: what a user registered,
// another one may not change. Over TCP nothing is known of the caller. Nothing
// that comes in names a command to run.
package local

import (
	"context"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/musterhq/muster/agent/calls"
	"github.com/musterhq/muster/agent/configfile"
	"github.com/musterhq/muster/agent/roll"
	"github.com/musterhq/muster/agent/source"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/internal/browsers"
	"github.com/musterhq/muster/internal/certs"
	"github.com/musterhq/muster/internal/panics"
	"github.com/musterhq/muster/internal/seats"
)

// Bounds of the local API.
const (
	maxLocalBody = 1 << 20
	// maxConns bounds the connections of one listener: who crowds TCP does not
	// keep others off the socket.
	maxConns = 1024
	// maxPolls and maxStreams bound what is held open, so that there is room for
	// other calls beside.
	maxPolls   = 512
	maxStreams = 64
	// ShutdownPatience is how long a stop waits for calls under way.
	ShutdownPatience = 2 * time.Second
)

// Paths of the local API besides those it shares with the servers'.
const (
	PathLocalServices = "/v1/services"
	PathLocalService  = "/v1/services/{name}"
	PathServiceHealth = "/v1/services/{name}/health"
	PathHealth        = "/v1/health"
	PathLocalEvents   = "/v1/events"
	PathCheckPass     = "/v1/services/{name}/checks/{check}/pass"
	PathCheckFail     = "/v1/services/{name}/checks/{check}/fail"
)

// Host is the agent whose API it is.
type Host interface {
	// Status returns what the agent says of itself, as JSON has it.
	Status() any
	// Instances returns what the agent declares, in a fixed order.
	Instances() []roll.InstanceStatus
	// Changes returns a channel that is closed when what is declared changes.
	Changes() <-chan struct{}
	// Draining reports whether the agent is stopping.
	Draining() bool
}

// Config is what an API stands on. What is not said to be optional is required.
type Config struct {
	Host    Host
	Sources *source.Sources
	Keeper  *configfile.Keeper
	// Operator does what is asked of the agent as a whole; nil means that it is 404.
	Operator Operator
	// Insecure lets requests through that name any address of the host.
	Insecure bool
	// Nacos answers what begins with /nacos/, behind the same guards; nil means that
	// it is 404.
	Nacos http.Handler
	// Extra are handlers of further paths, behind the same guards as all others:
	// patterns of an http.ServeMux. It may be nil.
	Extra  map[string]http.Handler
	Logger *slog.Logger
}

// API is the local API of one agent. It collects its own metrics.
type API struct {
	cfg        Config
	polls      *seats.Seats
	streams    *seats.Seats
	panics     prometheus.Counter
	handshakes certs.Handshakes
	stopped    chan struct{} // closed when it stops: what is held is let go
	stop       sync.Once
}

// New returns the API that cfg describes.
func New(cfg Config) *API {
	return &API{cfg: cfg, polls: seats.New(maxPolls, maxPolls), streams: seats.New(maxStreams, maxStreams), stopped: make(chan struct{}),
		panics:     prometheus.NewCounter(prometheus.CounterOpts{Name: "muster_agent_http_panics_total", Help: "calls of the local API whose handler panicked: each is a mistake in the agent, and in its log"}),
		handshakes: certs.Handshakes{Logger: cfg.Logger}}
}

var descHandshakes = prometheus.NewDesc("muster_agent_tls_handshake_failures_total", "connections to the local API whose TLS handshake failed", nil, nil)

// Describe implements prometheus.Collector.
func (a *API) Describe(to chan<- *prometheus.Desc) {
	a.panics.Describe(to)
	to <- descHandshakes
}

// Collect implements prometheus.Collector.
func (a *API) Collect(to chan<- prometheus.Metric) {
	a.panics.Collect(to)
	to <- prometheus.MustNewConstMetric(descHandshakes, prometheus.CounterValue, float64(a.handshakes.Failed()))
}

// Serve serves the API on all listeners until ctx ends, and returns nil then.
// It closes them.
func (a *API) Serve(ctx context.Context, listeners ...net.Listener) error {
	crowds := newCrowds(maxConns)
	server := &http.Server{
		Handler:           a.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ConnContext:       callerOf,
		ConnState:         crowds.note,
		ErrorLog:          log.New(&a.handshakes, "", 0),
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		a.stop.Do(func() { close(a.stopped) })
		patience, cancel := context.WithTimeout(context.Background(), ShutdownPatience)
		defer cancel()
		if err := server.Shutdown(patience); err != nil {
			server.Close() // who is still there has had time
		}
	})
	ended := make(chan error, len(listeners))
	for _, l := range listeners {
		wg.Go(func() { ended <- server.Serve(l) })
	}
	err := <-ended
	if stop() {
		server.Close()
		return err // it ended by itself
	}
	<-stopped
	return nil
}

// handler returns the local API.
func (a *API) handler() http.Handler {
	mux := http.NewServeMux()
	handle := func(path string, methods map[string]http.HandlerFunc) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			h := methods[r.Method]
			if h == nil && r.Method == http.MethodHead {
				h = methods[http.MethodGet]
			}
			if h == nil {
				fail(w, http.StatusMethodNotAllowed, r.Method+" is not among the methods of "+path)
				return
			}
			h(w, r)
		})
	}
	get := func(h http.HandlerFunc) map[string]http.HandlerFunc {
		return map[string]http.HandlerFunc{http.MethodGet: h}
	}
	handle(PathLocalServices, get(a.listServices))
	handle(PathLocalService, map[string]http.HandlerFunc{
		http.MethodGet: a.getService, http.MethodPut: a.putService, http.MethodDelete: a.deleteService,
	})
	handle(PathServiceHealth, get(a.serviceHealth))
	handle(PathHealth, get(a.serviceHealth))
	handle(PathLocalEvents, get(a.events))
	handle(api.PathConfig, get(a.getConfig))
	handle(api.PathStatus, get(func(w http.ResponseWriter, _ *http.Request) { write(w, http.StatusOK, a.cfg.Host.Status()) }))
	handle("/livez", get(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") }))
	handle("/readyz", get(a.ready))
	if a.cfg.Operator != nil {
		put := func(h http.HandlerFunc) map[string]http.HandlerFunc {
			return map[string]http.HandlerFunc{http.MethodPut: h}
		}
		handle(calls.PathReload, map[string]http.HandlerFunc{http.MethodPost: a.reload})
		handle(calls.PathDrain, map[string]http.HandlerFunc{http.MethodGet: a.draining, http.MethodPost: a.drain, http.MethodDelete: a.undrain})
		handle(calls.PathLeave, map[string]http.HandlerFunc{http.MethodPost: a.leave})
		handle(calls.PathMaintenance, map[string]http.HandlerFunc{http.MethodPut: a.maintain, http.MethodDelete: a.maintain})
		handle(PathCheckPass, put(a.word(true)))
		handle(PathCheckFail, put(a.word(false)))
	}
	for pattern, h := range a.cfg.Extra {
		mux.Handle(pattern, h)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, http.StatusNotFound, "nothing is at "+r.URL.Path)
	})

	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fail(w, http.StatusForbidden, "a page of another origin may not write here")
	}))
	return a.safe(a.guard(origin.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.cfg.Nacos != nil && strings.HasPrefix(r.URL.Path, "/nacos/") {
			a.cfg.Nacos.ServeHTTP(w, r) // it has bounds of its own
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxLocalBody)
		mux.ServeHTTP(w, r)
	}))))
}

// safe answers calls whose handler panics: nobody else notices.
func (a *API) safe(next http.Handler) http.Handler {
	return panics.Handler(panics.Config{Logger: a.cfg.Logger, Count: a.panics.Inc, Answer: func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/nacos/") {
			http.Error(w, "unexpected failure, see the log of the agent", http.StatusInternalServerError)
			return
		}
		fail(w, http.StatusInternalServerError, "unexpected failure, see the log of the agent")
	}}, next)
}

// guard lets only requests through that name this host by a loopback name or
// address: a web page whose name was made to resolve to 127.0.0.1 names
// itself. Where the API listens elsewhere on purpose, any address will do, and over
// TLS any name, which the certificate was seen to have. No page reaches a unix socket,
// whose callers name what they like.
func (a *API) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		browsers.Tell(w.Header())
		host := HostOf(r.Host)
		_, err := netip.ParseAddr(host)
		if allowed := overSocket(r) || r.TLS != nil || IsLoopback(host) || a.cfg.Insecure && err == nil; !allowed {
			fail(w, http.StatusForbidden, "host "+strconv.Quote(r.Host)+" is not this host's loopback address")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// HostOf returns the host of host:port, or of host alone.
func HostOf(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
}

// IsLoopback reports whether host is a loopback address or localhost.
func IsLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback() || err != nil && strings.EqualFold(strings.TrimSuffix(host, "."), "localhost")
}

func (a *API) ready(w http.ResponseWriter, _ *http.Request) {
	if a.cfg.Host.Draining() {
		fail(w, http.StatusServiceUnavailable, "the agent is stopping")
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}
