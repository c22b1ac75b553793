package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/waiters"
)

// face is our own HTTP API over the domain.
type face struct {
	log      *slog.Logger
	server   *Server
	registry *registry.Registry
	configs  *config.Center
	told     heardOf
	beats    *beats
	last     atomic.Pointer[lastAnswer] // to a beat
	waiters  *waiters.Waiters
	stopping <-chan struct{} // closed when calls that wait must answer
	seats    int64           // for those
}

// mount registers every operation of the API and returns the document of it.
func (f *face) mount(mux *http.ServeMux, version string) huma.API {
	c := huma.DefaultConfig("Muster", version)
	c.Info.Description = "Naming and configuration: Muster's own API under /v1, Nacos's under /nacos."
	c.Info.License = &huma.License{Name: "Apache-2.0", URL: "https://www.apache.org/licenses/LICENSE-2.0"}
	c.Servers = []*huma.Server{{URL: "/"}}
	c.DocsPath, c.SchemasPath = "", ""    // the pages load scripts from elsewhere
	c.CreateHooks = nil                   // no $schema field in every answer
	c.RejectUnknownQueryParameters = true // a dryRun that nobody understands would write
	c.Transformers = append(c.Transformers, discreet)
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{bearer: {Type: "http", Scheme: "bearer",
		Description: "Asked for once a server has to be logged in to"}}
	a := humago.New(mux, c)
	a.UseMiddleware(noted, f.server.atGate, onceEach(a), f.recordable(a))
	f.mountServices(a)
	f.mountInstances(a)
	f.mountNamespaces(a)
	f.mountEvents(a)
	f.mountTargets(a)
	f.mountResolve(a)
	f.mountLabels(a)
	f.mountAgents(a)
	f.mountConfigs(a)
	f.mountPeers(a)
	f.mountClients(a)
	f.mountMembers(a)
	f.mountBackup(a)
	f.mountAudit(a)
	f.mountLogin(a)
	f.mountUsers(a)
	f.mountRights(a)
	register(a, access.Need{Level: access.Login}, huma.Operation{OperationID: "status", Method: http.MethodGet, Path: api.PathStatus,
		Summary: "What this server says of itself", Tags: []string{"server"}}, f.getStatus)
	return a
}

// Written is the header part of every answer to a write.
type Written struct {
	Revision int64 `header:"Muster-Revision" doc:"Revision the write was committed at"`
	Lagging  bool  `header:"Muster-Lagging" doc:"Committed, but not yet visible in this server's snapshot"`
}

type noContent struct{ Written }

func receiptOf(r registry.Receipt) Written { return Written{r.Revision, r.Lagging} }

// failure is the one place where a domain error becomes an HTTP one. What is no
// domain error is logged whole inside, and plain outside.
func (f *face) failure(err error) error {
	var field *registry.InvalidError
	var unseenErr *registry.SeenError
	var denied *access.Denied
	var limited *LimitedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &field):
		return huma.Error400BadRequest(err.Error(), &huma.ErrorDetail{Message: field.Reason, Location: field.Field, Value: field.Value})
	case errors.As(err, &denied):
		return huma.Error403Forbidden(err.Error())
	case errors.As(err, &limited):
		return huma.ErrorWithHeaders(huma.Error429TooManyRequests(err.Error()), http.Header{"Retry-After": {strconv.Itoa(retryAfter)}})
	case refusal(err) != nil:
		return refusal(err)
	case errors.Is(err, registry.ErrNotFound), errors.Is(err, config.ErrNotFound):
		return huma.Error404NotFound(err.Error())
	case errors.As(err, &unseenErr):
		return unseen(unseenErr)
	case errors.Is(err, registry.ErrQuota):
		return huma.Error403Forbidden(err.Error())
	case errors.Is(err, registry.ErrConflict), errors.Is(err, config.ErrConflict):
		return huma.Error409Conflict(err.Error())
	case errors.Is(err, registry.ErrFull), errors.Is(err, config.ErrFull):
		return huma.NewError(http.StatusInsufficientStorage, err.Error())
	case err == registry.ErrUnavailable, err == config.ErrUnavailable: //nolint:errorlint // bare: there is no snapshot to say more
		return huma.Error503ServiceUnavailable(f.server.notReady())
	case errors.Is(err, registry.ErrUnavailable), errors.Is(err, config.ErrUnavailable):
		return huma.Error503ServiceUnavailable(err.Error())
	}
	if !errors.Is(err, context.Canceled) { // the caller went away
		f.log.Error("a call failed", "err", err)
	}
	return huma.Error500InternalServerError("internal error")
}

// cut returns one page of what admitted lets through, and how much that is in all.
func cut[T any](all []T, p Paging, admitted func(T) bool) (page []T, total int) {
	from, to := (p.Page-1)*p.Size, p.Page*p.Size
	for _, one := range all {
		if !admitted(one) {
			continue
		}
		if total >= from && total < to {
			page = append(page, one)
		}
		total++
	}
	return page, total
}

// admits reports whether a thing passes the filters of a list; empty ones let
// all through.
func (q Named) admits(namespace, group, name string) bool {
	return (q.Namespace == "" || q.Namespace == namespace) && (q.Group == "" || q.Group == group) &&
		strings.Contains(strings.ToLower(name), strings.ToLower(q.Search))
}

// Named filters a list by names.
type Named struct {
	Namespace string `query:"namespace" doc:"Only this namespace; all when empty"`
	Group     string `query:"group" doc:"Only this group; all when empty"`
	Search    string `query:"search" doc:"Only names that contain this, in any case"`
}

// Paging asks for one page of a list.
type Paging struct {
	Page int `query:"page" minimum:"1" maximum:"1000000" default:"1" doc:"Page, from 1"`
	Size int `query:"size" minimum:"1" maximum:"10000" default:"100" doc:"Entries on a page"`
}
