package server

import (
	"context"
	"time"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/internal/doorman"
	"github.com/musterhq/muster/server/nacos"
	"github.com/musterhq/muster/server/nacos/rpc"
)

// guardGRPC has calls over gRPC pass doors of their own. Clients wait for 3 s, and some of
// them do not try again when they are turned away after a server has come back, when all
// of them come at once: there may wait more, for longer, than over HTTP.
func (d *doors) guardGRPC(next *nacos.Handler) rpc.Handler { return &guardedCalls{next, d} }

type guardedCalls struct {
	*nacos.Handler

	doors *doors
}

// Handle implements rpc.Handler.
func (g *guardedCalls) Handle(ctx context.Context, c *rpc.Conn, q *rpc.Request) (rpc.Response, error) {
	if door := g.doors.ofCall(q.Type); door != nil {
		caller := access.From(ctx)
		caller.Counts = true
		if err := g.doors.limits.address(caller.From); err != nil {
			return g.turnAway(ctx, q.Type, err.Error()), nil
		}
		leave, err := door.Enter(ctx)
		if err != nil {
			return g.turnAway(ctx, q.Type, "the server is busy, please try again later"), nil
		}
		defer leave()
	}
	return g.Handler.Handle(ctx, c, q)
}

// ofCall returns the door that a call has to pass, nil: none.
func (d *doors) ofCall(request string) *doorman.Doorman {
	switch request {
	case "InstanceRequest", "BatchInstanceRequest", "PersistentInstanceRequest", "ConfigPublishRequest", "ConfigRemoveRequest", "ConfigQueryRequest":
		return d.writes // and what waits for etcd
	case "ServiceQueryRequest", "ServiceListRequest", "SubscribeServiceRequest", "NamingFuzzyWatchRequest", "ConfigBatchListenRequest", "ConfigFuzzyWatchRequest":
		return d.calls
	}
	return nil
}

// overThreshold is Nacos's code for a server that is asked for more than it can do. It
// answers that late, so that clients do not try again at once.
const (
	overThreshold = 503
	notAtOnce     = time.Second
)

// turnAway answers a call that is one too many.
func (g *guardedCalls) turnAway(ctx context.Context, request, why string) rpc.Response {
	timer := time.NewTimer(notAtOnce)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return g.Failure(request, rpc.Fail(overThreshold, "%s", why))
}
