package server

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/audit"
)

// Where calls of our own API name what they touch.
const (
	inPath  = "path"  // namespace and, where there is one, group
	inQuery = "query" // likewise; what is not named is all
	ofAgent = "agent" // the path names an agent, which speaks for itself
	each    = "each"  // the call names several, and the operation checks each of them
)

// needKey is where an operation keeps what it asks of callers.
const needKey = "need"

// register is huma.Register of an operation that asks something of those who call it.
func register[In, Out any](a huma.API, need access.Need, o huma.Operation, do func(context.Context, *In) (*Out, error)) {
	o.Metadata = map[string]any{needKey: need}
	if o.Extensions == nil {
		o.Extensions = map[string]any{}
	}
	o.Extensions[extensionNeeds] = need.String()
	if need.Where == each {
		do = checked(do)
	}
	if need.Level != access.Open {
		o.Security = []map[string][]string{{bearer: {}}}
	}
	huma.Register(a, o, explained(do))
}

// explained has the audit log say why an operation itself refuses a call, as a login does.
func explained[In, Out any](do func(context.Context, *In) (*Out, error)) func(context.Context, *In) (*Out, error) {
	return func(ctx context.Context, in *In) (*Out, error) {
		out, err := do(ctx, in)
		if status, ok := errors.AsType[huma.StatusError](err); ok && refuses(status.GetStatus()) {
			audit.From(ctx).Because(err.Error())
		}
		return out, err
	}
}

// refuses reports whether a status says that somebody may not do something, or not now.
func refuses(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusTooManyRequests
}

// checked keeps back what an operation answers that has checked no right: a mistake of ours
// must not show what nobody may see.
func checked[In, Out any](do func(context.Context, *In) (*Out, error)) func(context.Context, *In) (*Out, error) {
	return func(ctx context.Context, in *In) (*Out, error) {
		out, err := do(ctx, in)
		if caller := access.From(ctx); err == nil && !caller.Checked() {
			return nil, huma.Error403Forbidden(caller.Refuse("nothing says who may").Error())
		}
		return out, err
	}
}

// bearer is the security scheme of our own API.
const bearer = "bearer"

// extensionNeeds is where the document of the API says what an operation asks of callers.
const extensionNeeds = "x-needs"

func needOf(o *huma.Operation) access.Need {
	need, _ := o.Metadata[needKey].(access.Need) // the zero one lets nobody in
	return need
}

// peerOf returns the address that a call came from, invalid when it is not known.
func peerOf(ctx context.Context) netip.Addr { return access.From(ctx).From }

// atGate keeps callers from operations of our own API that they may not call.
func (s *Server) atGate(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	need := needOf(ctx.Operation())
	caller := access.From(r.Context())
	caller.Operation = ctx.Operation().OperationID
	err := s.gate.Enter(r.Context(), caller, need, func() (access.Credentials, error) { return credentials(r) })
	if err == nil {
		err = checkNeed(ctx, caller, need)
	}
	if err == nil {
		err = s.limited(caller, need.Where)
	}
	if err != nil {
		shutOut(w, r, err)
		return
	}
	next(ctx)
}

// limited counts a call by who makes it, and by the namespace that it was checked for.
func (s *Server) limited(c *access.Caller, where string) error {
	if err := s.limits.caller(c); err != nil {
		return err
	}
	if where != inPath && where != inQuery {
		return nil
	}
	return s.limits.namespace(c, c.On.Namespace)
}

// checkNeed checks the right that a call needs, where it is known what it touches.
func checkNeed(ctx huma.Context, caller *access.Caller, need access.Need) error {
	switch need.Where {
	case inPath:
		return caller.CheckNeed(need, ctx.Param("namespace"), ctx.Param("group"))
	case inQuery:
		group := ctx.Query("group")
		if strings.Contains(group, "*") { // of documents it stands for any text
			group = ""
		}
		return caller.CheckNeed(need, ctx.Query("namespace"), group)
	case ofAgent:
		return caller.CheckAgent(need.Verb, ctx.Param("id")+ctx.Param("agent")) // no path has both
	case each:
		return nil
	}
	return caller.CheckNeed(need, "", "")
}

// recheck is how long a call that goes on is taken for allowed where nothing has changed of
// users and roles: its token may expire.
const recheck = time.Second

// goesOn returns what reports whether a call that was let in, and does not end by itself,
// would be let in now.
func (s *Server) goesOn(ctx huma.Context) func() bool {
	again := s.again(ctx)
	var by *access.Policy
	var at time.Time
	return func() bool {
		if !s.gate.Shut() || s.gate.Who.Policy() == by && time.Since(at) < recheck {
			return true
		}
		by, at = s.gate.Who.Policy(), time.Now()
		_, err := again()
		return err == nil
	}
}

// again returns what lets in anew who makes a call. The error is a *access.Refused or a
// *access.Denied; who cannot be told at present is whom it was.
func (s *Server) again(ctx huma.Context) func() (*access.Caller, error) {
	r, _ := humago.Unwrap(ctx)
	need, was := needOf(ctx.Operation()), access.From(ctx.Context())
	return func() (*access.Caller, error) {
		caller := &access.Caller{From: was.From}
		err := s.gate.Enter(r.Context(), caller, need, func() (access.Credentials, error) { return credentials(r) })
		if err == nil {
			err = checkNeed(ctx, caller, need)
		}
		_, refused := errors.AsType[*access.Refused](err)
		_, denied := errors.AsType[*access.Denied](err)
		switch {
		case refused || denied:
			return nil, err
		case err != nil:
			return was, nil
		}
		return caller, nil
	}
}

type againKey struct{}

// held lets an operation that holds calls find again in their context.
func (f *face) held(ctx huma.Context, next func(huma.Context)) {
	next(huma.WithValue(ctx, againKey{}, f.server.again(ctx)))
}

// againOf returns the current caller of a call that was held.
func againOf(ctx context.Context) (*access.Caller, error) {
	again, ok := ctx.Value(againKey{}).(func() (*access.Caller, error))
	if !ok {
		return access.From(ctx), nil
	}
	return again()
}

// behind returns a handler that is no operation of an API, with what it asks of callers.
func (s *Server) behind(need access.Need, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller := access.From(r.Context())
		caller.Operation = r.Pattern
		err := s.gate.Enter(r.Context(), caller, need, func() (access.Credentials, error) { return credentials(r) })
		if err == nil {
			err = caller.CheckNeed(need, "", "")
		}
		if err != nil {
			shutOut(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// credentials returns what a call of ours shows: a token in its header, or the
// certificate of its connection.
func credentials(r *http.Request) (access.Credentials, error) {
	token, err := access.Bearer(r.Header)
	return access.Credentials{Token: token, Certificate: access.Certificate(r.TLS), From: peerOf(r.Context())}, err
}

// shutOut answers a caller that was not let in.
func shutOut(w http.ResponseWriter, r *http.Request, err error) {
	audit.From(r.Context()).Because(err.Error())
	refused, ok := errors.AsType[*access.Refused](err)
	_, denied := errors.AsType[*access.Denied](err)
	_, limited := errors.AsType[*LimitedError](err)
	switch {
	case denied:
		turnAway(w, r, http.StatusForbidden, err.Error())
		return
	case limited:
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
		turnAway(w, r, http.StatusTooManyRequests, err.Error())
		return
	case !ok: // nobody can tell now
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
		turnAway(w, r, http.StatusServiceUnavailable, err.Error())
		return
	case refused.Reason == access.ReasonBusy:
		w.Header().Set("Retry-After", strconv.Itoa(max(1, int(refused.Retry.Seconds()))))
		turnAway(w, r, http.StatusTooManyRequests, err.Error())
		return
	case refused.Reason == access.ReasonNone:
		w.Header().Set("WWW-Authenticate", `Bearer realm="muster"`)
	default:
		w.Header().Set("WWW-Authenticate", `Bearer realm="muster", error="invalid_token"`)
	}
	if access.Certificate(r.TLS) != nil {
		// Another certificate is shown by another connection alone, and the client would
		// keep this one.
		w.Header().Set("Connection", "close")
	}
	turnAway(w, r, http.StatusUnauthorized, err.Error())
}

// operatorOnly refuses what takes a cluster apart, or shows all of it, to calls from
// other hosts while nobody has to log in: only this host may then, and, where it says so,
// a server of the list.
func (f *face) operatorOnly(ctx context.Context, orServer bool) error {
	if f.server.gate.Shut() {
		return nil // the gate asked for an administrator
	}
	host := peerOf(ctx)
	if !host.IsValid() {
		return huma.Error403Forbidden("it is not known where this call comes from")
	}
	if local, ok := ctx.Value(http.LocalAddrContextKey).(*net.TCPAddr); host.IsLoopback() || ok && local.AddrPort().Addr().Unmap() == host {
		return nil
	}
	for _, v := range f.server.store.Servers().Live {
		if at, err := netip.ParseAddrPort(withoutScheme(v.HTTP)); orServer && err == nil && at.Addr().Unmap() == host {
			return nil
		}
	}
	return huma.Error403Forbidden("only from the server's own host, as nobody has to log in")
}
