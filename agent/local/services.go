package local

import (
	"errors"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/musterhq/muster/agent/definition"
	"github.com/musterhq/muster/agent/roll"
	"github.com/musterhq/muster/agent/source"
	"github.com/musterhq/muster/api"
)

// Services answers GET /v1/services of the local API: instances that the
// agent declares, of files and of registrations.
type Services struct {
	Services []roll.InstanceStatus `json:"services"`
}

// filters are the parameters that narrow a list.
var filters = []string{"namespace", "group", "service", "health", "origin"}

// admits reports whether the query selects i; what it leaves out selects all.
func admits(q url.Values, i roll.InstanceStatus) bool {
	is := func(name, value string) bool { return !q.Has(name) || q.Get(name) == value }
	return is("namespace", i.Namespace) && is("group", i.Group) && is("service", i.Service) && is("health", i.Health) && is("origin", i.Origin)
}

func (a *API) listServices(w http.ResponseWriter, r *http.Request) {
	q, ok := query(w, r, filters...)
	if !ok {
		return
	}
	list := Services{Services: []roll.InstanceStatus{}}
	for _, i := range a.cfg.Host.Instances() {
		if admits(q, i) {
			list.Services = append(list.Services, i)
		}
	}
	write(w, http.StatusOK, list)
}

// named returns the instances that a name in a path means: what is registered
// under it, or else those of the service of that name. With the name empty these
// are all. It answers when there are none.
func (a *API) named(w http.ResponseWriter, r *http.Request, names ...string) ([]roll.InstanceStatus, bool) {
	q, ok := query(w, r, names...)
	if !ok {
		return nil, false
	}
	name := r.PathValue("name")
	var registered, found []roll.InstanceStatus
	for _, i := range a.cfg.Host.Instances() {
		switch {
		case !admits(q, i):
		case i.Origin == source.AppOrigin(name):
			registered = append(registered, i)
		case name == "" || i.Service == name:
			found = append(found, i)
		}
	}
	if len(registered) > 0 {
		found = registered
	}
	if len(found) == 0 && name != "" {
		fail(w, http.StatusNotFound, "no instance of a service "+strconv.Quote(name)+" is declared here, and nothing is registered under that name")
		return nil, false
	}
	return found, true
}

func (a *API) getService(w http.ResponseWriter, r *http.Request) {
	if found, ok := a.named(w, r, "namespace", "group"); ok {
		write(w, http.StatusOK, Services{Services: found})
	}
}

// ServiceHealth answers GET /v1/services/NAME/health and /v1/health.
type ServiceHealth struct {
	Status    string                `json:"status"` // passing, warning or critical
	Instances []roll.InstanceStatus `json:"instances"`
}

// StatusWarning is the health of a service of which only a part is passing.
const StatusWarning = "warning"

// serviceHealth answers how instances are, all together, by the status codes
// that probes of other makes know: 200 all pass, 429 some do, 503 none does.
func (a *API) serviceHealth(w http.ResponseWriter, r *http.Request) {
	found, ok := a.named(w, r, "namespace", "group")
	if !ok {
		return
	}
	passing := 0
	for _, i := range found {
		if i.Health == api.HealthPassing {
			passing++
		}
	}
	answer := ServiceHealth{Status: api.HealthPassing, Instances: found}
	status := http.StatusOK
	switch {
	case passing == len(found): // none at all is no fault
	case passing > 0:
		answer.Status, status = StatusWarning, http.StatusTooManyRequests
	default:
		answer.Status, status = api.HealthCritical, http.StatusServiceUnavailable
	}
	if answer.Instances == nil {
		answer.Instances = []roll.InstanceStatus{}
	}
	w.Header().Set("Muster-Health", answer.Status)
	write(w, status, answer)
}

// putService registers what the body defines under the name in the path.
func (a *API) putService(w http.ResponseWriter, r *http.Request) {
	if _, ok := query(w, r); !ok {
		return
	}
	if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media != "application/json" {
		fail(w, http.StatusUnsupportedMediaType, "the body must be application/json")
		return
	}
	body, ok := readBody(w, r)
	if !ok {
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
	created, k, err := a.cfg.Sources.Put(name, service, CallerOf(r))
	if err != nil {
		a.refusePut(w, name, service, err)
		return
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	a.writeInstance(w, status, k)
}

// refusePut answers why a registration did not come to be.
func (a *API) refusePut(w http.ResponseWriter, name string, service definition.Service, err error) {
	switch {
	case errors.Is(err, source.ErrLocal):
		field := source.LocalOnly(service)
		fail(w, http.StatusBadRequest, err.Error(), api.ProblemField{Message: source.ErrLocal.Error(), Location: "body." + field})
	case errors.Is(err, source.ErrOwned):
		fail(w, http.StatusForbidden, err.Error())
	case errors.Is(err, fs.ErrInvalid):
		fail(w, http.StatusBadRequest, err.Error(), api.ProblemField{Message: "yields no address", Location: "body.address"})
	case errors.Is(err, source.ErrTaken):
		fail(w, http.StatusConflict, err.Error())
	case errors.Is(err, source.ErrTooMany):
		fail(w, http.StatusTooManyRequests, err.Error())
	default:
		a.cfg.Logger.Error("registration not kept", "name", name, "err", err)
		fail(w, http.StatusInternalServerError, "the registration could not be kept on disk")
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
	if _, ok := query(w, r); !ok {
		return
	}
	name := r.PathValue("name")
	existed, err := a.cfg.Sources.Remove(name, CallerOf(r))
	switch {
	case errors.Is(err, source.ErrOwned):
		fail(w, http.StatusForbidden, err.Error())
	case err != nil:
		a.cfg.Logger.Error("registration not removed", "name", name, "err", err)
		fail(w, http.StatusInternalServerError, "the registration could not be removed from disk")
	case !existed:
		fail(w, http.StatusNotFound, "nothing is registered here as "+strconv.Quote(name))
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}
