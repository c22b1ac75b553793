package server

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/internal/origin"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/events"
)

func (f *face) mountEvents(a huma.API) {
	register(a, access.Reads(access.Naming, inQuery), huma.Operation{OperationID: "watch-services", Method: http.MethodGet, Path: api.PathEvents,
		Summary: "Follow what changes, as server-sent events", Tags: []string{"services"},
		Description: "Each event has one JSON object as its data; x-events says which. An event with an id ends what stands together: " +
			"who comes back names the last one.",
		Responses: map[string]*huma.Response{"200": {Description: "A stream that does not end by itself",
			Content: map[string]*huma.MediaType{"text/event-stream": {
				Schema: &huma.Schema{Type: huma.TypeString}, Extensions: map[string]any{"x-events": eventData(a.OpenAPI())}}}}}}, f.watchServices)
}

// eventLimits bound event streams; tests lower them.
var eventLimits events.Config

type eventsQuery struct {
	Since       string `query:"since" maxLength:"128" doc:"Id of the last event that was taken in, or a revision: what changed after it is told. now: what changes from now on. Empty: everything, and then what changes" example:"now"`
	LastEventID string `header:"Last-Event-ID" maxLength:"128" doc:"As since, and stronger: what browsers send when they come back"`
	Namespace   string `query:"namespace" doc:"Only this namespace; all when empty"`
	Group       string `query:"group" doc:"Only this group; all when empty"`
	Service     string `query:"service" doc:"Only services of this name; all when empty"`
}

func (f *face) watchServices(ctx context.Context, q *eventsQuery) (*huma.StreamResponse, error) {
	since, ok := events.ParseSince(q.Since)
	if !ok {
		return nil, invalidQuery("since", q.Since, "is neither the id of an event, nor a revision, nor now")
	}
	if q.LastEventID != "" {
		if since, ok = events.ParseSince(q.LastEventID); !ok {
			return nil, huma.Error400BadRequest("Last-Event-ID is not the id of an event",
				&huma.ErrorDetail{Message: "is not the id of an event", Location: "header.Last-Event-ID", Value: q.LastEventID})
		}
	}
	hub := f.server.events
	if f.server.notReady() != "" {
		return nil, f.failure(registry.ErrUnavailable)
	}
	client := origin.Network(peerOf(ctx)).String()
	if !hub.Enter(client) {
		return nil, huma.ErrorWithHeaders(huma.Error429TooManyRequests("too many event streams are open"), http.Header{"Retry-After": {"5"}})
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		defer hub.Leave(client)
		r, w := humago.Unwrap(ctx)
		if r.Method == http.MethodHead {
			return
		}
		hub.Serve(r.Context(), w, since, events.Filter{Namespace: q.Namespace, Group: q.Group, Service: q.Service}, f.server.goesOn(ctx))
	}}, nil
}

// eventOf returns what an event says of a service that is new or changed: all of
// its instances where nothing is known of it, or those that differ.
func eventOf(at *registry.Snapshot, was, is *registry.Service) any {
	if was != nil && instancesName(was) != instancesName(is) {
		was = nil // every instance has another name
	}
	e := api.ServiceEvent{Revision: at.Revision(), Service: serviceOf(at, is), Whole: was == nil, Instances: []api.Instance{}}
	base := instancesName(is)
	for old, now := range registry.DiffInstances(was, is) {
		if now == nil {
			e.Gone = append(e.Gone, old.Key.Endpoint.String())
			continue
		}
		e.Instances = append(e.Instances, instanceOf(at, now, base))
	}
	return e
}
