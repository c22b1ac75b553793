package nacos

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/musterhq/muster/client"
)

// refusal is an error in the form the caller gets to see.
type refusal struct {
	status int
	text   string
	page   bool // as the JSON of a servlet's error page
	causes bool // configuration puts the text into words of its own
}

func (r *refusal) Error() string {
	if r.causes {
		return "caused: " + r.text + ";"
	}
	return r.text
}

func refuse(status int, format string, args ...any) *refusal {
	return &refusal{status: status, text: fmt.Sprintf(format, args...)}
}

func refusePage(status int, format string, args ...any) *refusal {
	return &refusal{status: status, text: fmt.Sprintf(format, args...), page: true}
}

// caused is how the configuration calls word a refusal.
func caused(status int, format string, args ...any) *refusal {
	return &refusal{status: status, text: fmt.Sprintf(format, args...), causes: true}
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

// fail answers an error. One that is no fault of the caller is logged whole and
// told in general.
func (c *call) fail(err error) {
	known, ok := errors.AsType[*refusal](err)
	switch {
	case ok:
	case errors.Is(err, client.ErrUnreachable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		// Clients go on to the next server, or to what they have kept.
		known = caused(http.StatusServiceUnavailable, "no server can be reached now, please try again later")
	default:
		c.h.cfg.Logger.Error("call of a Nacos client failed", "method", c.r.Method, "path", c.r.URL.Path, "err", err)
		known = caused(http.StatusInternalServerError, "unexpected failure, see the log of the agent")
	}
	if known.page {
		_ = c.jsonAs(known.status, struct {
			Timestamp string `json:"timestamp"`
			Status    int    `json:"status"`
			Error     string `json:"error"`
			Message   string `json:"message"`
			Path      string `json:"path"`
		}{time.Now().UTC().Format("2006-01-02T15:04:05.000+00:00"), known.status, http.StatusText(known.status), known.Error(), c.r.URL.Path})
		return
	}
	_ = c.answer(known.status, typeText, known.Error())
}
