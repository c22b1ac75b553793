package nacos

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/audit"
	"github.com/musterhq/muster/server/nacos/rpc"
)

// grpcOp is an operation that clients of version 2 and 3 call over gRPC.
type grpcOp struct {
	request, response string // names of the types
	asks              access.Need
	changes           bool // something, which is recorded
	needs             need
	// do returns the body of the response, a struct that embeds an [rpc.Result]. It has to
	// check the right to what the request names, by may.
	do func(h *Handler, c *grpcCall) (any, error)
	// failed returns the body that tells of a failure; nil is the Result alone.
	failed func(rpc.Result) any
}

// grpcOps returns all of them.
func grpcOps() []grpcOp { return slices.Concat(namingOps(), configGRPC()) }

// grpcCall is one request on its way to a response.
type grpcCall struct {
	*grpcOp

	h      *Handler
	ctx    context.Context //nolint:containedctx // of this one call
	conn   *rpc.Conn
	q      *rpc.Request
	caller *access.Caller
	shown  access.Credentials // by which the caller was let in

	counted bool // for a namespace

	trail    *audit.Trail
	revision int64 // of what was written, 0: nothing was
}

// Handle implements [rpc.Handler].
func (h *Handler) Handle(ctx context.Context, conn *rpc.Conn, q *rpc.Request) (rpc.Response, error) {
	op := h.grpc[q.Type]
	if op == nil {
		return rpc.Response{}, rpc.ErrNoHandler
	}
	trail := new(audit.Trail)
	c := &grpcCall{grpcOp: op, h: h, ctx: audit.With(ctx, trail), conn: conn, q: q, caller: access.From(ctx), trail: trail}
	body, err := c.serve()
	c.record(err)
	if err != nil {
		return op.failure(c.fail(err)), nil
	}
	return rpc.Response{Type: op.response, Body: body}, nil
}

// Failure returns what a request that a [Handler] knows is answered with when it fails.
func (h *Handler) Failure(request string, r rpc.Result) rpc.Response {
	return h.grpc[request].failure(r)
}

// failure is of the request's own type: clients take another one for trouble of the
// connection. Strict ones look for what they read in it also then.
func (o *grpcOp) failure(r rpc.Result) rpc.Response {
	if o.failed != nil {
		return rpc.Response{Type: o.response, Body: o.failed(r)}
	}
	return rpc.Response{Type: o.response, Body: r}
}

func (c *grpcCall) serve() (any, error) {
	if err := c.needs.check(c.h); err != nil {
		return nil, err
	}
	if c.needs == naming {
		if err := c.h.open(!c.changes); err != nil {
			return nil, err
		}
	}
	if err := c.enter(); err != nil {
		return nil, err
	}
	if c.changes {
		if err := c.h.cfg.Unrecorded(); err != nil {
			return nil, notNow("%s", err)
		}
	}
	body, err := c.do(c.h, c)
	if err == nil {
		err = c.unchecked()
	}
	return body, err
}

// fail returns what a client gets to know of a failure. The code is the status that a call
// over HTTP would have.
func (c *grpcCall) fail(err error) rpc.Result {
	known := outward(err, bare)
	if known == nil {
		c.h.log.Error("a call failed", "request", c.q.Type, "client", c.conn.Client().Version, "err", err)
		return rpc.Fail(http.StatusInternalServerError, "internal error")
	}
	return rpc.Fail(known.status, "%s", strings.TrimSpace(known.Error()))
}

// read reads the body of a request. Types that do not fit are the caller's fault.
func (c *grpcCall) read(into any) error {
	if err := json.Unmarshal(c.q.Body, into); err != nil {
		return refuse(http.StatusBadRequest, "the request cannot be read: %s", err)
	}
	return nil
}

// Joined implements [rpc.Handler].
func (h *Handler) Joined(c *rpc.Conn) {
	h.conns.add(c)
	h.strays.joined(c)
}

// Left implements [rpc.Handler].
func (h *Handler) Left(c *rpc.Conn) {
	h.conns.remove(c)
	h.holders.leave(c)
	h.tells.leave(c)
	h.admitted.Delete(c)
	h.strays.left(c, h.listens.documents(c) > 0)
	h.listens.left(c)
	h.fuzzy.left(c)
	h.fuzzyNames.left(c)
}

// Run tells the clients that are connected of changes, and the judge that they are, until
// ctx ends, which is no error.
func (h *Handler) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { h.tells.run(ctx); return nil })
	g.Go(func() error { h.holders.run(ctx); return nil })
	g.Go(func() error { return h.listens.run(ctx) })
	g.Go(func() error { return h.strays.run(ctx) })
	g.Go(func() error { return h.fuzzy.run(ctx) })
	g.Go(func() error { return h.fuzzyNames.run(ctx) })
	return g.Wait()
}

// byRequest returns operations by the type of their request. One that is there twice is a
// mistake of ours.
func byRequest(ops []grpcOp) (map[string]*grpcOp, error) {
	all := map[string]*grpcOp{}
	for _, op := range ops {
		if all[op.request] != nil {
			return nil, fmt.Errorf("nacos: two operations for %s", op.request)
		}
		all[op.request] = &op
	}
	return all, nil
}
