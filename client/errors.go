package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/musterhq/muster/api"
)

// What a caller may want to tell apart, with errors.Is.
var (
	ErrNotFound    = errors.New("not found")          // 404
	ErrConflict    = errors.New("conflict")           // 409, 412
	ErrInvalid     = errors.New("invalid")            // 400, 413, 415, 422, or refused before it was sent
	ErrNotAllowed  = errors.New("not allowed")        // 401, 403
	ErrLimited     = errors.New("too many requests")  // 429
	ErrFull        = errors.New("no room left")       // 507: this server takes nothing new, another one may
	ErrUnavailable = errors.New("server unavailable") // 502, 503, 504: somebody answered, but cannot serve
	ErrUnreachable = errors.New("server unreachable") // nobody answered
)

// Error is a failure that a server answered.
type Error struct {
	Status int                // HTTP status
	Title  string             // what kind of failure, in a few words
	Detail string             // what happened, may be empty
	Fields []api.ProblemField // which fields were wrong, if any
	Retry  time.Duration      // how long to wait before the next try; 0: the server did not say
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(firstOf(e.Detail, e.Title, http.StatusText(e.Status), "status"))
	for _, f := range e.Fields {
		if strings.Contains(e.Detail, f.Message) { // the detail has said it already
			continue
		}
		b.WriteString("; ")
		if f.Location != "" {
			b.WriteString(f.Location + ": ")
		}
		b.WriteString(f.Message)
	}
	fmt.Fprintf(&b, " (%d)", e.Status)
	if e.Status == http.StatusTooManyRequests && e.Retry > 0 {
		fmt.Fprintf(&b, ", again in %v", e.Retry)
	}
	return b.String()
}

// Is makes errors.Is work with the sentinels of this package.
func (e *Error) Is(target error) bool { return target == sentinel(e.Status) }

func sentinel(status int) error {
	switch status {
	case http.StatusNotFound:
		return ErrNotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		return ErrConflict
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return ErrInvalid
	case http.StatusUnauthorized, http.StatusForbidden:
		return ErrNotAllowed
	case http.StatusInsufficientStorage:
		return ErrFull
	case http.StatusTooManyRequests:
		return ErrLimited
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return ErrUnavailable
	}
	return nil
}

// UnreachableError says that no server answered. It is ErrUnreachable.
type UnreachableError struct {
	Servers []string // those that were asked
	Err     error    // what the last try met
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("no answer from %s: %v", strings.Join(e.Servers, ", "), e.Err)
}

// Is reports whether target is ErrUnreachable.
func (e *UnreachableError) Is(target error) bool { return target == ErrUnreachable }

// Unwrap returns what the last try met.
func (e *UnreachableError) Unwrap() error { return e.Err }

// maxProblem bounds the body of a failure; maxForeign what is shown of one
// that is no Problem, such as a proxy's page.
const (
	maxProblem = 64 << 10
	maxForeign = 200
)

// problem reads the failure that resp carries.
func problem(resp *http.Response) *Error {
	e := &Error{Status: resp.StatusCode}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		e.Retry = time.Duration(s) * time.Second
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
	if err != nil {
		return e // the status is known, and says more than a broken body
	}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	var p api.Problem
	if strings.HasSuffix(media, "json") && json.Unmarshal(body, &p) == nil {
		e.Title, e.Detail, e.Fields = p.Title, p.Detail, p.Errors
		return e
	}
	if media == "text/plain" {
		e.Detail = strings.ToValidUTF8(strings.TrimSpace(string(body[:min(len(body), maxForeign)])), "")
	}
	return e
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
