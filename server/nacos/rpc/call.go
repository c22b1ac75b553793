package rpc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/musterhq/muster/access"
)

// The two methods that clients know.
const (
	pathRequest = "/Request/request"
	pathStream  = "/BiRequestStream/requestBiStream"
)

// ServeHTTP implements http.Handler, of calls of gRPC.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	wire := wireOf(r)
	switch {
	case !IsCall(r) || r.Method != http.MethodPost:
		// A text would have to wait for a client that takes nothing in.
		w.WriteHeader(http.StatusUnsupportedMediaType)
		return
	case wire == nil:
		refuse(w, status{statusInternal, "it is not known which connection this is"})
		return
	case !wire.begin(s):
		refuse(w, status{statusUnavailable, "there are too many connections"})
		return
	case !s.underWay.Take(wire.client):
		s.metrics.unread.Inc()
		refuse(w, *errBusy)
		return
	}
	leave := sync.OnceFunc(func() { s.underWay.Leave(wire.client) })
	defer leave()
	switch r.URL.Path {
	case pathRequest:
		s.call(w, r, wire)
	case pathStream:
		s.stream(w, r, wire, leave)
	default:
		refuse(w, status{statusUnimplemented, "there is no method " + r.URL.Path})
	}
}

// call answers a call.
func (s *Server) call(w http.ResponseWriter, r *http.Request, wire *wire) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(r.Context(), timeout(r, s.cfg.MaxCall))
	defer cancel()
	ctl := http.NewResponseController(w)
	_ = ctl.SetReadDeadline(began.Add(messageTime)) // only servers of tests know none
	b, leave, err := s.read(ctx, source{wire.client, r.Body, func(d time.Duration) {
		_ = ctl.SetReadDeadline(time.Now().Add(d))
		_ = ctl.SetWriteDeadline(time.Now().Add(d + s.cfg.Taking))
	}}, s.cfg.MaxMessage)
	var p Payload
	if err == nil {
		defer leave()
		p, err = ParsePayload(b)
	}
	if err != nil {
		s.metrics.unread.Inc()
		refuse(w, statusOf(err))
		return
	}
	wire.touch(s)
	q, err := newRequest(p)
	answer, known := s.answer(ctx, r, wire, q, err)
	head, rest, err := answer.encode(q.ID)
	if err != nil {
		s.log.Error("a response cannot be written", "request", q.Type, "err", err)
		answer = trouble(CodeFail, "internal error")
		head, rest, _ = answer.encode(q.ID) // it can
	}
	s.metrics.answered(q.Type, known, answer, time.Since(began))
	if n := len(head) + len(rest); n > heldMessage {
		if !s.held.TakeMany(wire.client, n) {
			s.metrics.unread.Inc()
			refuse(w, *errBusy)
			return
		}
		defer s.held.LeaveMany(wire.client, n)
		_ = ctl.SetWriteDeadline(time.Now().Add(s.cfg.Taking + slowly(n)))
	}
	begin(w)
	_ = write(w, head, rest) // a client that went away is no news
	_ = ctl.Flush()          // the call is under way until its client takes the answer
	end(w, status{})
}

func statusOf(err error) status {
	if st, ok := errors.AsType[*status](err); ok {
		return *st
	}
	return status{statusInvalid, err.Error()}
}

// answer returns the response to a request, and whether its type is known. unreadable is
// what is wrong with it, nil for nothing.
func (s *Server) answer(ctx context.Context, r *http.Request, wire *wire, q *Request, unreadable error) (_ Response, known bool) {
	if err := s.cfg.Ready(); err != nil {
		return trouble(codeStarting, err.Error()), false
	}
	if unreadable != nil {
		return trouble(codeUnreadable, unreadable.Error()), false
	}
	if q.Type == "ServerCheckRequest" {
		return Response{"ServerCheckResponse", serverCheck{OK(), wire.name(s), true}}, true
	}
	c := wire.current(ctx, s.cfg.Patience)
	if c == nil || !c.enter() {
		return trouble(codeUnregistered, "the connection has not set up"), false
	}
	defer c.leave()
	if q.Type == "HealthCheckRequest" {
		return Response{"HealthCheckResponse", OK()}, true
	}
	answer, err := s.handle(access.With(ctx, &access.Caller{From: wire.addr.Addr()}), c, q)
	switch {
	case err == nil:
		return answer, true
	case errors.Is(err, ErrNoHandler):
		return trouble(codeNoHandler, "there is no handler for "+q.Type), false
	case errors.Is(err, ErrUnreadable):
		return trouble(codeUnreadable, err.Error()), true
	}
	s.log.Error("a call over gRPC failed", "request", q.Type, "client", r.RemoteAddr, "err", err)
	return trouble(CodeFail, "internal error"), true
}

type serverCheck struct {
	Result

	ConnectionID string `json:"connectionId"`
	Negotiates   bool   `json:"supportAbilityNegotiation"`
}

// handle is Handler.Handle, of which a panic is an error.
func (s *Server) handle(ctx context.Context, c *Conn, q *Request) (_ Response, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			s.metrics.panics.Inc()
			err = fmt.Errorf("panic: %v\n%s", fault, debug.Stack())
		}
	}()
	return s.cfg.Handler.Handle(ctx, c, q)
}
