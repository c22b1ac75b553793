package nacos

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/registry"
)

// refusal is an error in the form the caller gets to see.
type refusal struct {
	status int // of version 1; that of versions 2 and 3 follows from the code
	code   code
	text   string
	by     stage
	pinned bool // the status is the same in every version
	causes bool // version 1 of configuration puts the text into words of its own
}

// stage is the part of a server that refuses. What comes before the operation
// knows no envelope.
type stage int

const (
	byOperation stage = iota
	byCheck           // of parameters and of the server's state: a text
	byFilter          // the JSON of a servlet's error page
)

func (r *refusal) Error() string {
	if r.causes {
		return "caused: " + r.text + ";"
	}
	return r.text
}

// as returns r with a code.
func (r *refusal) as(c code) *refusal {
	r.code = c
	return r
}

// pin returns r with its status in every version.
func (r *refusal) pin() *refusal {
	r.pinned = true
	return r
}

func refuse(status int, format string, args ...any) *refusal {
	return &refusal{status: status, text: fmt.Sprintf(format, args...)}
}

func refusePage(status int, format string, args ...any) *refusal {
	return &refusal{status: status, text: fmt.Sprintf(format, args...), by: byFilter}
}

// notNow refuses a call that may succeed later, or at another server.
func notNow(format string, args ...any) *refusal {
	return &refusal{status: http.StatusServiceUnavailable, text: fmt.Sprintf(format, args...), by: byCheck}
}

// illegal is the answer of Nacos's parameter check, which ends its line.
func illegal(name, why string) *refusal {
	return &refusal{status: http.StatusBadRequest, text: fmt.Sprintf("Param '%s' is illegal, %s\r\n", name, why), by: byCheck}
}

func illegalCharacters(name string) *refusal {
	return illegal(name, "illegal characters should not appear in the param.")
}

func tooLong(name string, limit int) *refusal {
	return illegal(name, fmt.Sprintf("the param length should not exceed %d.", limit))
}

// caused is how the configuration calls word a refusal.
func caused(status int, format string, args ...any) *refusal {
	return &refusal{status: status, text: fmt.Sprintf(format, args...), causes: true}
}

// absent is a required parameter that is not there, or blank.
type absent struct{ name string }

func (a absent) Error() string { return "parameter " + a.name + " is missing" }

func (a absent) outward(e envelope) *refusal {
	switch e {
	case rest:
		r := caused(http.StatusBadRequest, "Required request parameter '%s' for method parameter type String is not present", a.name)
		r.by = byCheck
		return r
	case wrapped:
		return refuse(http.StatusBadRequest, "Required parameter '%s' type String is not present", a.name).as(paramMissing)
	}
	return refuse(http.StatusBadRequest, "Param '%s' is required.", a.name)
}

// outward returns the form an error takes for the caller, nil for one that the
// caller cannot know. It is the only place that maps errors of the domain.
func outward(err error, e envelope) *refusal {
	if known, ok := errors.AsType[*refusal](err); ok {
		return known
	}
	if a, ok := errors.AsType[absent](err); ok {
		return a.outward(e)
	}
	if denied, ok := errors.AsType[*access.Denied](err); ok {
		return turnedAway(denied)
	}
	if refused, ok := errors.AsType[*access.Refused](err); ok {
		return turnedAway(refused)
	}
	if e, ok := errors.AsType[*registry.InvalidError](err); ok {
		return invalidName(e)
	}
	if e, ok := errors.AsType[*config.InvalidError](err); ok {
		return invalidDocument(e)
	}
	if e, ok := errors.AsType[*registry.KindError](err); ok {
		return refuse(http.StatusBadRequest, "errCode: 400, errMsg: Current service %s is %s service, can't register %s instance. ",
			e.Service.Grouped(), kindName(e.Ephemeral), kindName(!e.Ephemeral)).as(instanceError)
	}
	if limited, ok := errors.AsType[*Limited](err); ok {
		return caused(http.StatusTooManyRequests, "%s", limited)
	}
	switch {
	case is(err, registry.ErrQuota):
		return caused(http.StatusTooManyRequests, "%s", err)
	case is(err, registry.ErrUnavailable, config.ErrUnavailable, registry.ErrFull, config.ErrFull):
		return caused(http.StatusServiceUnavailable, "%s", err) // what an operator wants to know; clients look at the status
	case is(err, context.DeadlineExceeded, context.Canceled):
		return caused(http.StatusServiceUnavailable, "server is not able to do this now, please try again later")
	case is(err, config.ErrConflict) && !lost(err):
		return caused(http.StatusConflict, "%s", err).as(resourceConflict).pin()
	case is(err, registry.ErrConflict, config.ErrConflict):
		return caused(http.StatusConflict, "changed by others at the same time, please try again").as(resourceConflict).pin()
	}
	return nil
}

// is reports whether an error is any of several.
func is(err error, these ...error) bool {
	return slices.ContainsFunc(these, func(target error) bool { return errors.Is(err, target) })
}

func kindName(ephemeral bool) string {
	if ephemeral {
		return "ephemeral"
	}
	return "persistent"
}

// invalidName words a refusal of the registry as Nacos does.
func invalidName(e *registry.InvalidError) *refusal {
	switch {
	case e.Field == "namespace":
		return illegalCharacters("namespaceId/tenant")
	case e.Field == "service":
		return illegalCharacters("serviceName")
	case e.Field == "group", e.Field == "ip":
		return illegalCharacters(e.Field)
	case e.Field == "cluster":
		return refuse(http.StatusBadRequest,
			"Instance 'clusterName' should be characters with only 0-9a-zA-Z-. (current: %s)", e.Value).as(instanceError)
	case e.Field == "weight":
		return refuse(http.StatusBadRequest, "instance format invalid: The weights range from 0.0 to %d.0", registry.MaxWeight).as(weightError)
	case e.Field == "selector":
		return refuse(http.StatusBadRequest, "not match any type of selector! %s", e.Error()).as(selectorError)
	case e.Field == "protectThreshold":
		return illegal(e.Field, "the value should be between 0 and 1.")
	case e.Field == "metadata" && e.Value == registry.MetaBeatInterval:
		return refuse(http.StatusBadRequest,
			"Instance 'heart beat interval' must less than 'heart beat timeout' and 'ip delete timeout'.").as(instanceError)
	case e.Field == "metadata" && strings.HasPrefix(e.Reason, "is longer"):
		return tooLong("metadata", registry.MaxMetadata)
	}
	return illegal(e.Field, "it "+e.Reason)
}

// invalidDocument words a refusal of the configuration centre as Nacos does.
func invalidDocument(e *config.InvalidError) *refusal {
	switch e.Field {
	case "namespace":
		return caused(http.StatusBadRequest, "invalid tenant")
	case "dataId", "group":
		return caused(http.StatusBadRequest, "invalid %s : %s", e.Field, e.Value)
	case "content":
		if !strings.HasPrefix(e.Reason, "is ") { // what a judge said of it
			return caused(http.StatusBadRequest, "%s", e.Reason)
		}
	}
	return caused(http.StatusBadRequest, "invalid %s, it %s", e.Field, e.Reason)
}

// conflicts reports whether what stands forbids a change, as against a change
// that lost every race against others.
func conflicts(err error) bool { return errors.Is(err, registry.ErrConflict) && !lost(err) }

func lost(err error) bool {
	_, name := errors.AsType[*registry.StaleError](err)
	_, document := errors.AsType[*config.StaleError](err)
	return name || document
}
