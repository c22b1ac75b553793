package agent

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
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/netutil"

	"github.com/musterhq/muster/agent/definition"
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

// listen opens the local API's address, says which it is, and writes it down.
func (a *Agent) listen(ctx context.Context) (net.Listener, error) {
	// A reader must not take an earlier run's address for this one's.
	if err := os.Remove(addressesPath(a.cfg.DataDir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", a.cfg.HTTP)
	if err != nil {
		return nil, err
	}
	if err := writeAddresses(a.cfg.DataDir, l.Addr().String()); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	a.mu.Lock()
	a.http = l.Addr().String()
	a.mu.Unlock()
	a.cfg.Logger.Info("local API listens", "http", l.Addr().String())
	return netutil.LimitListener(l, maxLocalConns), nil
}

// serve serves the local API on l until ctx ends, and returns nil then.
func (a *Agent) serve(ctx context.Context, l net.Listener) error {
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
func (a *Agent) handler() http.Handler {
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
		write(w, http.StatusOK, a.Status())
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
func (a *Agent) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := hostOf(r.Host)
		_, err := netip.ParseAddr(host)
		if allowed := isLoopback(host) || a.cfg.Insecure && err == nil; !allowed {
			fail(w, http.StatusForbidden, "host "+strconv.Quote(r.Host)+" is not this host's loopback address")
			return
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		r.Body = http.MaxBytesReader(w, r.Body, maxLocalBody)
		next.ServeHTTP(w, r)
	})
}

// hostOf returns the host of host:port, or of host alone.
func hostOf(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
}

func (a *Agent) ready(w http.ResponseWriter, _ *http.Request) {
	if a.isDraining() {
		fail(w, http.StatusServiceUnavailable, "the agent is stopping")
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}

func (a *Agent) listServices(w http.ResponseWriter, _ *http.Request) {
	write(w, http.StatusOK, LocalServices{Services: a.instances()})
}

// LocalServices answers GET /v1/services of the local API: every instance the
// agent declares, of files and of registrations.
type LocalServices struct {
	Services []InstanceStatus `json:"services"`
}

// putService registers what the body defines under the name in the path.
func (a *Agent) putService(w http.ResponseWriter, r *http.Request) {
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
	if a.isDraining() {
		fail(w, http.StatusServiceUnavailable, "the agent is stopping")
		return
	}
	created, k, err := a.sources.putApp(name, service)
	switch {
	case errors.Is(err, fs.ErrInvalid):
		fail(w, http.StatusBadRequest, err.Error(), api.ProblemField{Message: "yields no address", Location: "body.address"})
	case errors.Is(err, errTaken):
		fail(w, http.StatusConflict, err.Error())
	case errors.Is(err, errTooMany):
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
func (a *Agent) writeInstance(w http.ResponseWriter, status int, k key) {
	for _, i := range a.instances() {
		if k == (key{i.Namespace, i.Group, i.Service, i.Address, i.Port}) {
			write(w, status, i)
			return
		}
	}
	fail(w, http.StatusConflict, "it was withdrawn at once by another call")
}

func (a *Agent) deleteService(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	existed, err := a.sources.removeApp(name)
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
func (a *Agent) getConfig(w http.ResponseWriter, r *http.Request) {
	n := client.Name{Namespace: r.PathValue("namespace"), Group: r.PathValue("group"), Name: r.PathValue("dataId")}
	d, ok := a.keeper.Document(n)
	if !ok {
		detail := "this agent keeps no config " + n.String() + ", its settings name those it does"
		if a.keeper.Keeps(n) {
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
