// Package local is the agent's HTTP API for programs on its own host.
package local

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/netutil"

	"github.com/musterhq/muster/agent/configfile"
	"github.com/musterhq/muster/agent/definition"
	"github.com/musterhq/muster/agent/roll"
	"github.com/musterhq/muster/agent/source"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

// Bounds of the local API.
const (
	maxLocalBody  = 1 << 20
	maxLocalConns = 256
	// shutdownPatience is how long a stop waits for calls under way.
	shutdownPatience = 2 * time.Second
)

// Paths of the local API besides those it shares with the servers'.
const (
	PathLocalServices = "/v1/services"
	PathLocalService  = "/v1/services/{name}"
)

// Host is the agent whose API it is.
type Host interface {
	// Status returns what the agent says of itself, as JSON has it.
	Status() any
	// Instances returns what the agent declares, in a fixed order.
	Instances() []roll.InstanceStatus
	// Draining reports whether the agent is stopping.
	Draining() bool
}

// Config is what an API stands on. All but Insecure is required.
type Config struct {
	Host    Host
	Sources *source.Sources
	Keeper  *configfile.Keeper
	// Insecure lets requests through that name any address of the host.
	Insecure bool
	Logger   *slog.Logger
}

// API is the local API of one agent.
type API struct{ cfg Config }

// New returns the API that cfg describes.
func New(cfg Config) *API { return &API{cfg} }

// Listen opens the address of an API.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return netutil.LimitListener(l, maxLocalConns), nil
}

// Serve serves the API on l until ctx ends, and returns nil then. It closes l.
func (a *API) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler:           a.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(a.cfg.Logger.Handler(), slog.LevelDebug),
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		patience, cancel := context.WithTimeout(context.Background(), shutdownPatience)
		defer cancel()
		if err := server.Shutdown(patience); err != nil {
			server.Close() // who is still there has had time
		}
	})
	err := server.Serve(l)
	if stop() {
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
	handle(PathLocalServices, map[string]http.HandlerFunc{http.MethodGet: a.listServices})
	handle(PathLocalService, map[string]http.HandlerFunc{http.MethodPut: a.putService, http.MethodDelete: a.deleteService})
	handle(api.PathConfig, map[string]http.HandlerFunc{http.MethodGet: a.getConfig})
	handle(api.PathStatus, map[string]http.HandlerFunc{http.MethodGet: func(w http.ResponseWriter, _ *http.Request) {
		write(w, http.StatusOK, a.cfg.Host.Status())
	}})
	handle("/livez", map[string]http.HandlerFunc{http.MethodGet: func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok\n")
	}})
	handle("/readyz", map[string]http.HandlerFunc{http.MethodGet: a.ready})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, http.StatusNotFound, "nothing is at "+r.URL.Path)
	})

	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fail(w, http.StatusForbidden, "a page of another origin may not write here")
	}))
	return a.guard(origin.Handler(mux))
}

// guard lets only requests through that name this host by a loopback name or
// address: a web page whose name was made to resolve to 127.0.0.1 names
// itself. Where the API listens elsewhere on purpose, any address will do.
func (a *API) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := HostOf(r.Host)
		_, err := netip.ParseAddr(host)
		if allowed := IsLoopback(host) || a.cfg.Insecure && err == nil; !allowed {
			fail(w, http.StatusForbidden, "host "+strconv.Quote(r.Host)+" is not this host's loopback address")
			return
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		r.Body = http.MaxBytesReader(w, r.Body, maxLocalBody)
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

func (a *API) listServices(w http.ResponseWriter, _ *http.Request) {
	write(w, http.StatusOK, LocalServices{Services: a.cfg.Host.Instances()})
}

// LocalServices answers GET /v1/services of the local API: every instance the
// agent declares, of files and of registrations.
type LocalServices struct {
	Services []roll.InstanceStatus `json:"services"`
}

// putService registers what the body defines under the name in the path.
func (a *API) putService(w http.ResponseWriter, r *http.Request) {
	if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media != "application/json" {
		fail(w, http.StatusUnsupportedMediaType, "the body must be application/json")
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			fail(w, http.StatusRequestEntityTooLarge, "the body is longer than "+strconv.Itoa(maxLocalBody)+" bytes")
		} else {
			fail(w, http.StatusBadRequest, "the body cannot be read")
		}
		return
	}
	name := r.PathValue("name")
	if !definition.ValidName(name) {
		fail(w, http.StatusBadRequest, strconv.Quote(name)+" is no name", api.ProblemField{Message: "is no service name", Location: "path.name"})
		return
	}
	service, err := definition.DecodeService(name, body)
	if e, ok := errors.AsType[*definition.Error](err); ok {
		fail(w, http.StatusBadRequest, "the body defines no service", api.ProblemField{
			Message: e.Message, Location: strings.TrimSuffix("body."+e.Field, "."),
		})
		return
	}
	if a.cfg.Host.Draining() {
		fail(w, http.StatusServiceUnavailable, "the agent is stopping")
		return
	}
	created, k, err := a.cfg.Sources.Put(name, service, source.Caller{UID: source.Nobody})
	switch {
	case errors.Is(err, fs.ErrInvalid):
		fail(w, http.StatusBadRequest, err.Error(), api.ProblemField{Message: "yields no address", Location: "body.address"})
	case errors.Is(err, source.ErrTaken):
		fail(w, http.StatusConflict, err.Error())
	case errors.Is(err, source.ErrTooMany):
		fail(w, http.StatusTooManyRequests, err.Error())
	case err != nil:
		a.cfg.Logger.Error("registration not kept", "name", name, "err", err)
		fail(w, http.StatusInternalServerError, "the registration could not be kept on disk")
	default:
		status := http.StatusOK
		if created {
			status = http.StatusCreated
		}
		a.writeInstance(w, status, k)
	}
}

// writeInstance answers the instance k.
func (a *API) writeInstance(w http.ResponseWriter, status int, k roll.Key) {
	for _, i := range a.cfg.Host.Instances() {
		if k == i.Key() {
			write(w, status, i)
			return
		}
	}
	fail(w, http.StatusConflict, "it was withdrawn at once by another call")
}

func (a *API) deleteService(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	existed, err := a.cfg.Sources.Remove(name, source.Caller{UID: source.Nobody})
	switch {
	case err != nil:
		a.cfg.Logger.Error("registration not removed", "name", name, "err", err)
		fail(w, http.StatusInternalServerError, "the registration could not be removed from disk")
	case !existed:
		fail(w, http.StatusNotFound, "nothing is registered here as "+strconv.Quote(name))
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// getConfig serves a document that the agent keeps, as the server would.
func (a *API) getConfig(w http.ResponseWriter, r *http.Request) {
	n := client.Name{Namespace: r.PathValue("namespace"), Group: r.PathValue("group"), Name: r.PathValue("dataId")}
	d, ok := a.cfg.Keeper.Document(n)
	if !ok {
		detail := "this agent keeps no config " + n.String() + ", its settings name those it does"
		if a.cfg.Keeper.Keeps(n) {
			detail = "config " + n.String() + " does not exist, as far as is known"
		}
		fail(w, http.StatusNotFound, detail)
		return
	}
	tag := `"` + d.MD5 + `"`
	w.Header().Set("ETag", tag)
	w.Header().Set(api.HeaderRevision, strconv.FormatInt(d.Revision, 10))
	if d.Type != "" {
		w.Header().Set("Config-Type", d.Type)
	}
	if d.Release != "" {
		w.Header().Set(api.HeaderRelease, d.Release)
	}
	if matches(r.Header.Get("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", cmp.Or(d.ContentType, "application/octet-stream"))
	w.Header().Set("Content-Length", strconv.Itoa(len(d.Content)))
	_, _ = w.Write(d.Content) // a client that is gone needs no answer
}

// matches reports whether an If-None-Match header names tag (RFC 9110, 13.1.2).
func matches(header, tag string) bool {
	for t := range strings.SplitSeq(header, ",") {
		if t = strings.TrimSpace(t); t == "*" || strings.TrimPrefix(t, "W/") == tag {
			return true
		}
	}
	return false
}

// write answers v as JSON.
func write(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		fail(w, http.StatusInternalServerError, "the answer cannot be written")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a client that is gone needs no answer
}

// fail answers a Problem.
func fail(w http.ResponseWriter, status int, detail string, fields ...api.ProblemField) {
	body, err := json.Marshal(api.Problem{Title: http.StatusText(status), Status: status, Detail: detail, Errors: fields})
	if err != nil {
		body = nil // text and numbers: it cannot fail
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}
