package nacos

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/registry"
)

// refusal is an error in the form the caller gets to see.
type refusal struct {
	status int
	text   string
	page   bool // as the JSON of a servlet's error page: what Nacos's filters answer
}

func (r *refusal) Error() string { return r.text }

func refuse(status int, format string, args ...any) *refusal {
	return &refusal{status: status, text: fmt.Sprintf(format, args...)}
}

func refusePage(status int, format string, args ...any) *refusal {
	return &refusal{status: status, text: fmt.Sprintf(format, args...), page: true}
}

// illegal is the answer of Nacos's parameter check, which ends its line.
func illegal(name, why string) *refusal {
	return refuse(http.StatusBadRequest, "Param '%s' is illegal, %s\r\n", name, why)
}

func illegalCharacters(name string) *refusal {
	return illegal(name, "illegal characters should not appear in the param.")
}

func tooLong(name string, limit int) *refusal {
	return illegal(name, fmt.Sprintf("the param length should not exceed %d.", limit))
}

// caused is how the configuration calls word a refusal.
func caused(status int, format string, args ...any) *refusal {
	return refuse(status, "caused: %s;", fmt.Sprintf(format, args...))
}

// servletError is the body of an error page.
type servletError struct {
	Timestamp string `json:"timestamp"`
	Status    int    `json:"status"`
	Error     string `json:"error"`
	Message   string `json:"message"`
	Path      string `json:"path"`
}

// fail answers an error. One that is no fault of the caller is logged whole and
// told in general.
func (c *call) fail(err error) {
	known := outward(err)
	if known == nil && c.r.Context().Err() != nil { // the store's way to say that it was called off
		known = outward(context.Canceled)
	}
	if known == nil {
		c.h.log.Error("call failed", "method", c.r.Method, "path", c.r.URL.Path, "err", err)
		known = &refusal{status: http.StatusInternalServerError, text: "caused: unexpected failure, see the log of the server;"}
	}
	if !known.page {
		_ = c.answer(known.status, typeText, known.text)
		return
	}
	text, _ := encode(servletError{ // strings and a number: it cannot fail
		c.h.cfg.Now().UTC().Format("2006-01-02T15:04:05.000+00:00"),
		known.status, http.StatusText(known.status), known.text, c.r.URL.Path,
	})
	_ = c.answer(known.status, typeJSON, text)
}

// outward returns the form an error takes for the caller, nil for one that the
// caller cannot know. It is the only place that maps errors of the domain.
func outward(err error) *refusal {
	if known, ok := errors.AsType[*refusal](err); ok {
		return known
	}
	if e, ok := errors.AsType[*registry.InvalidError](err); ok {
		return invalidName(e)
	}
	if e, ok := errors.AsType[*config.InvalidError](err); ok {
		return invalidDocument(e)
	}
	if e, ok := errors.AsType[*registry.KindError](err); ok {
		return refuse(http.StatusBadRequest, "errCode: 400, errMsg: Current service %s is %s service, can't register %s instance. ",
			e.Service.Grouped(), kindName(e.Ephemeral), kindName(!e.Ephemeral))
	}
	switch {
	case is(err, registry.ErrUnavailable, config.ErrUnavailable, registry.ErrFull, config.ErrFull):
		return caused(http.StatusServiceUnavailable, "%s", err) // what an operator wants to know; clients look at the status
	case is(err, context.DeadlineExceeded, context.Canceled):
		return caused(http.StatusServiceUnavailable, "server is not able to do this now, please try again later")
	case is(err, registry.ErrConflict, config.ErrConflict):
		return caused(http.StatusConflict, "changed by others at the same time, please try again")
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
			"Instance 'clusterName' should be characters with only 0-9a-zA-Z-. (current: %s)", e.Value)
	case e.Field == "weight":
		return refuse(http.StatusBadRequest, "instance format invalid: The weights range from 0.0 to %d.0", registry.MaxWeight)
	case e.Field == "protectThreshold":
		return illegal(e.Field, "the value should be between 0 and 1.")
	case e.Field == "metadata" && e.Value == registry.MetaBeatInterval:
		return refuse(http.StatusBadRequest,
			"Instance 'heart beat interval' must less than 'heart beat timeout' and 'ip delete timeout'.")
	case e.Field == "metadata" && strings.HasPrefix(e.Reason, "is longer"):
		return tooLong("metadata", registry.MaxMetadata)
	}
	return refuse(http.StatusBadRequest, "Param '%s' is illegal, it %s\r\n", e.Field, e.Reason)
}

// invalidDocument words a refusal of the configuration centre as Nacos does.
func invalidDocument(e *config.InvalidError) *refusal {
	switch e.Field {
	case "namespace":
		return caused(http.StatusBadRequest, "invalid tenant")
	case "dataId", "group":
		return caused(http.StatusBadRequest, "invalid %s : %s", e.Field, e.Value)
	}
	return caused(http.StatusBadRequest, "invalid %s, it %s", e.Field, e.Reason)
}

// conflicts reports whether what stands forbids a change, as against a change
// that lost every race against others.
func conflicts(err error) bool {
	_, lost := errors.AsType[*registry.StaleError](err)
	return errors.Is(err, registry.ErrConflict) && !lost
}
