package nacos

import (
	"context"
	"errors"
	"net/http"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/audit"
)

// envelope is how the outcome of a call is written: the versions of the API, and
// parts of the first one, differ in little else.
type envelope int

const (
	// bare is a text, or JSON, as it is; a failure is a text under its status.
	bare envelope = iota
	// rest is that of calls of old consoles: code 200 is success, and the status
	// is 200 whatever the code.
	rest
	// wrapped is that of versions 2 and 3: code 0 is success, and a failure has
	// both a status and a code.
	wrapped
)

// result is a value in the envelope rest.
type result struct {
	Code    int     `json:"code"`
	Message *string `json:"message"`
	Data    any     `json:"data"`
}

// wrapping is a value in the envelope wrapped.
type wrapping struct {
	Code    code   `json:"code"`
	Message string `json:"message"`
	Data    any    `json:"data"`
}

// answered is the outcome of an operation that has written its answer itself.
type answered struct{}

// told is an outcome that has a message of its own where the envelope has room
// for one: rest has.
type told struct {
	message string
	data    any
}

// ok is the outcome of a write; clients of version 1 compare the two bytes.
const ok = "ok"

// give answers with what an operation returned.
func (c *call) give(v any) error {
	var message *string
	if said, ok := v.(told); ok {
		v, message = said.data, &said.message
	}
	switch c.envelope() {
	case rest:
		v = result{http.StatusOK, message, v}
	case wrapped:
		v = wrapping{success, codeTexts[success], v}
	}
	if text, isText := v.(string); isText {
		return c.text(text)
	}
	return c.json(v)
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
	audit.From(c.r.Context()).Failed() // some failures are answered under status 200
	known := outward(err, c.envelope())
	if known == nil && c.r.Context().Err() != nil { // the store's way to say that it was called off
		known = outward(context.Canceled, c.envelope())
	}
	if known == nil {
		c.h.log.Error("call failed", "method", c.r.Method, "path", c.r.URL.Path, "err", err)
		known = caused(http.StatusInternalServerError, "unexpected failure, see the log of the server")
	}
	if _, refused := errors.AsType[*access.Refused](err); refused && access.Certificate(c.r.TLS) != nil {
		c.w.Header().Set("Connection", "close") // another certificate is shown by another connection alone
	}
	switch {
	case known.by == byFilter:
		_ = c.jsonAs(known.status, servletError{
			c.h.cfg.Now().UTC().Format("2006-01-02T15:04:05.000+00:00"),
			known.status, http.StatusText(known.status), known.Error(), c.r.URL.Path,
		})
	case known.by == byCheck || c.envelope() == bare:
		_ = c.answer(known.status, typeText, known.Error())
	case c.envelope() == rest:
		status := http.StatusOK
		if known.pinned {
			status = known.status
		}
		_ = c.jsonAs(status, result{known.status, new(known.Error()), nil})
	default:
		_ = c.jsonAs(known.wrapped())
	}
}

// wrapped returns a refusal as versions 2 and 3 tell it.
func (r *refusal) wrapped() (status int, w wrapping) {
	w.Code = r.code
	if w.Code == success {
		w.Code = codeOf(r.status)
	}
	w.Message = codeTexts[w.Code]
	if r.text != "" {
		w.Data = r.text
	}
	switch {
	case r.pinned || r.status >= http.StatusNotImplemented || r.code == success:
		return r.status, w
	}
	return w.Code.status(), w
}
