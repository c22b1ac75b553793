package server

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"path/filepath"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/audit"
	"github.com/musterhq/muster/internal/masked"
	"github.com/musterhq/muster/internal/origin"
	"github.com/musterhq/muster/probe"
)

// Audit says how it is kept who changed what.
type Audit struct {
	// MaxSize is how large a file may grow before another one is begun, such as 64MiB,
	// which is what empty is; one is begun every day, too.
	MaxSize string `yaml:"max_size"`
	// KeepDays is for how many days records are kept; 0 is 90.
	KeepDays int `yaml:"keep_days"`
	// Required refuses calls that change something while they cannot be recorded.
	Required bool `yaml:"required"`
	// Syslog is a syslog that takes every record, too: unix:///PATH, udp://HOST:PORT or
	// tcp://HOST:PORT; empty is none.
	Syslog string `yaml:"syslog"`
	// Webhook is an HTTP endpoint that does; without a URL there is none.
	Webhook Webhook `yaml:"webhook"`
}

// Webhook says where records of the audit log are posted.
type Webhook struct {
	// URL is an http or https URL.
	URL string `yaml:"url"`
	// Headers are sent with each call.
	Headers map[string]string `yaml:"headers"`
}

// DefaultAuditSize is how large a file of the audit log may grow.
const DefaultAuditSize = "64MiB"

// leastAuditSize keeps a log from falling into a file for each few records.
const leastAuditSize = 64 << 10

func (a Audit) withDefaults() (Audit, error) {
	a.MaxSize, a.KeepDays = cmp.Or(a.MaxSize, DefaultAuditSize), cmp.Or(a.KeepDays, audit.DefaultKeepDays)
	if n, err := parseSize(a.MaxSize); err != nil || n < leastAuditSize {
		return a, fmt.Errorf("audit: max_size: %q is not a size of at least 64KiB", a.MaxSize)
	}
	if a.KeepDays < 1 || a.KeepDays > 36500 {
		return a, fmt.Errorf("audit: keep_days: %d is not 1 to 36500", a.KeepDays)
	}
	if _, err := a.sinks(nil); err != nil {
		return a, fmt.Errorf("audit: %w", err)
	}
	return a, nil
}

// sinks returns what takes every record beside the files. The webhook calls no address
// that the guard refuses.
func (a Audit) sinks(guard *probe.Guard) ([]*audit.Sink, error) {
	var all []*audit.Sink
	if a.Syslog != "" {
		s, err := audit.Syslog(a.Syslog)
		if err != nil {
			return nil, fmt.Errorf("syslog: %w", err)
		}
		all = append(all, s)
	}
	if a.Webhook.URL == "" {
		if len(a.Webhook.Headers) > 0 {
			return nil, errors.New("webhook: headers are given, and no url")
		}
		return all, nil
	}
	s, err := audit.Webhook(audit.WebhookConfig{URL: a.Webhook.URL, Headers: a.Webhook.Headers, Refusal: guard.Refusal})
	if err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	return append(all, s), nil
}

func (s *Server) openAudit() (*audit.Log, error) {
	size, err := parseSize(s.cfg.Audit.MaxSize)
	if err != nil {
		return nil, fmt.Errorf("audit: max_size: %w", err)
	}
	own, err := netip.ParseAddrPort(s.cfg.HTTP)
	if err != nil {
		return nil, fmt.Errorf("http: %w", err)
	}
	guard, err := probe.NewGuard(probe.GuardConfig{DenyEndpoints: []netip.AddrPort{own}})
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	sinks, err := s.cfg.Audit.sinks(guard)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return audit.Open(audit.Config{Sinks: sinks, Dir: filepath.Join(s.cfg.DataDir, audit.Dir), Server: s.id, MaxSize: int64(size), KeepDays: s.cfg.Audit.KeepDays,
		Logger: s.log, Registerer: s.metrics})
}

// auditHead says where the log ends, for whoever keeps that to see later that its
// tail was cut off.
func (s *Server) auditHead() api.AuditHead {
	head := s.audit.Head()
	out := api.AuditHead{Seq: head.Seq, Hash: head.Hash}
	if err := s.audit.Failing(); err != nil {
		out.Failing = err.Error()
	}
	return out
}

// unrecorded returns why calls that change something are refused: they cannot be
// recorded, and the settings say that they have to be.
func (s *Server) unrecorded() error {
	if !s.cfg.Audit.Required {
		return nil
	}
	if err := s.audit.Failing(); err != nil {
		return errors.New("what changes something is refused: the audit log cannot be written: " + err.Error())
	}
	return nil
}

// audited records calls, and lets handlers know where one came from and later who
// makes it. It is the outermost handler, so that what is refused anywhere is recorded, too.
func (s *Server) audited(next http.Handler) http.Handler {
	proxies, _ := origin.Parse(s.cfg.TrustedProxies) // WithDefaults has read them
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told := &recorder{ResponseWriter: w, log: s.audit, r: r}
		told.caller.From = proxies.Settle(r)
		ctx := audit.With(access.With(r.Context(), &told.caller), &told.trail)
		answered := false
		defer func() {
			if answered {
				told.record(http.StatusOK) // unless it has said another one
				return
			}
			told.record(http.StatusInternalServerError) // the handler panics
		}()
		next.ServeHTTP(told, r.WithContext(ctx))
		answered = true
	})
}

// recorder records a call when its answer begins: nobody is told of a change that
// was not recorded.
type recorder struct {
	http.ResponseWriter

	log    *audit.Log
	trail  audit.Trail
	caller access.Caller
	r      *http.Request
	done   bool
}

func (w *recorder) record(status int) {
	if w.done || status < http.StatusOK { // another one follows
		return
	}
	w.done = true
	h := w.Header()
	revision, _ := strconv.ParseInt(h.Get("Muster-Revision"), 10, 64) // 0: nothing was written
	e, worth := w.trail.Event(audit.Outcome{Status: status, Revision: revision, DryRun: h.Get("Muster-Dry-Run") == "true"})
	if !worth {
		return
	}
	if e.Op = cmp.Or(e.Op, w.caller.Operation); e.Op == "" { // it reached none
		e.Op, e.Name = w.r.Method, w.r.URL.Path
	}
	if e = ofCaller(e, &w.caller); e.DryRun {
		w.log.Append(e)
		return
	}
	w.log.Append(e, w.trail.Parts()...)
}

// recordGRPC records a call of gRPC, before it is answered likewise.
func (s *Server) recordGRPC(c *access.Caller, e audit.Event, parts []audit.Part) {
	s.audit.Append(ofCaller(e, c), parts...)
}

// ofCaller adds to what happened who called, from where and, if the call was
// refused, to what. A token that somebody named in place of its id is left out, which comes to
// nothing.
func ofCaller(e audit.Event, c *access.Caller) audit.Event {
	if e.Result != audit.Done {
		e.Name, e.Item = masked.Tokens(e.Name), masked.Tokens(e.Item)
	}
	if c.From.IsValid() {
		e.From = c.From.String()
	}
	if e.Who == "" { // else a login says who wants to
		e.Kind, e.Who = cmp.Or(string(c.Who.Type), "anonymous"), c.Who.Name
	}
	if d := c.Denied; d != nil && e.Result == audit.Refused {
		e.Namespace, e.Group, e.Why = cmp.Or(e.Namespace, d.On.Namespace), cmp.Or(e.Group, d.On.Group), d.Error()
	}
	return e
}

// WriteHeader implements http.ResponseWriter.
func (w *recorder) WriteHeader(status int) {
	w.record(status)
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *recorder) Write(b []byte) (int, error) {
	w.record(http.StatusOK)
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController find what it needs.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// unchanging are operations that change nothing though they need a right to write:
// beats, which are many, and what servers and agents tell of themselves.
var unchanging = map[string]bool{"beat-agent": true, "beat-instance": true, "heard": true, "put-config-reports": true}

// changes reports whether an operation of our own API changes something, or lets
// somebody in.
func changes(o *huma.Operation) bool {
	return o.Method != http.MethodGet && needOf(o).Verb != access.Read && !unchanging[o.OperationID]
}

// What a path calls the thing that an operation is about, and a part of it.
var (
	thingParams = []string{"service", "dataId", "id", "member", "agent", "name", "user", "role", "token", "key", "certificate"}
	partParams  = []string{"endpoint", "release", "datumId", "cluster"}
)

// noted tells the trail of a call of our own API which operation it is of, and what it
// changes.
func noted(ctx huma.Context, next func(huma.Context)) {
	trail, o := audit.From(ctx.Context()), ctx.Operation()
	trail.Operation(o.OperationID)
	if changes(o) {
		trail.Changes()
		trail.About(cmp.Or(ctx.Param("namespace"), ctx.Query("namespace")), cmp.Or(ctx.Param("group"), ctx.Query("group")), oneOf(ctx, thingParams), oneOf(ctx, partParams))
	}
	next(ctx)
}

// recordable turns away what would change something that cannot be recorded.
func (f *face) recordable(a huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		if changes(ctx.Operation()) {
			if err := f.server.unrecorded(); err != nil {
				// A client that went away is no news.
				_ = huma.WriteErr(a, ctx, http.StatusServiceUnavailable, err.Error())
				return
			}
		}
		next(ctx)
	}
}

// oneOf returns the first parameter of a path that is there.
func oneOf(ctx huma.Context, names []string) string {
	for _, name := range names {
		if v := ctx.Param(name); v != "" {
			return v
		}
	}
	return ""
}
