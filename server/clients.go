package server

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/server/nacos/rpc"
)

// clients returns the clients of this server that are connected over gRPC, those that
// lag most first.
func (s *Server) clients(search string, limit int) api.ClientList {
	list := api.ClientList{Clients: []api.Client{}}
	search = strings.ToLower(search)
	for c := range s.grpc.Conns() {
		is := c.Client()
		if !strings.Contains(strings.ToLower(is.Version+" "+is.Addr.String()+" "+is.Tenant+" "+c.ID()), search) {
			continue
		}
		list.Clients = append(list.Clients, s.client(c))
	}
	list.Total = len(list.Clients)
	list.Clients = first(list.Clients, limit)
	return list
}

func (s *Server) client(c *rpc.Conn) api.Client {
	is, fares, has := c.Client(), c.Stats(), s.nacosAPI.Counts(c)
	out := api.Client{ID: c.ID(), Server: s.id, Version: is.Version, Address: is.Addr.String(), TLS: is.TLS != nil, Namespace: is.Tenant, Labels: is.Labels, Since: c.Since().UTC(),
		Subscriptions: has.Subscriptions, Services: has.Services, Listeners: has.Listeners, Moving: fares.Moving,
		Pushes: fares.Pushes, Waiting: fares.Waiting, Unacknowledged: fares.Unacknowledged, LagMs: float64(fares.Lag.Microseconds()) / 1000}
	if !fares.LastAck.IsZero() {
		out.LastAck = new(fares.LastAck.UTC())
	}
	return out
}

// first returns the first clients of a list, those that lag most.
func first(all []api.Client, limit int) []api.Client {
	slices.SortFunc(all, func(a, b api.Client) int {
		return cmp.Or(cmp.Compare(b.LagMs, a.LagMs), strings.Compare(a.Address, b.Address), strings.Compare(a.ID, b.ID))
	})
	return all[:min(limit, len(all))]
}

// allClients is clients of all servers that are alive.
func (s *Server) allClients(ctx context.Context, search string, limit int) api.ClientList {
	list := s.clients(search, limit)
	ctx, cancel := context.WithTimeout(ctx, 2*askPeer)
	defer cancel()
	var mu sync.Mutex
	var asking sync.WaitGroup
	question := api.PathClients + "?here=true&limit=" + strconv.Itoa(limit) + "&search=" + url.QueryEscape(search)
	for _, v := range s.store.Servers().Live {
		if v.ID == s.id {
			continue
		}
		asking.Go(func() {
			var theirs api.ClientList
			err := s.ask(ctx, http.MethodGet, v.HTTP+question, nil, &theirs)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				list.Unreachable = append(list.Unreachable, v.ID)
				return
			}
			list.Total += theirs.Total
			list.Clients = append(list.Clients, theirs.Clients...)
		})
	}
	asking.Wait()
	list.Clients = first(list.Clients, limit)
	return list
}

type clientsIn struct {
	Search string `query:"search" maxLength:"256" doc:"Only those in whose version, address, namespace or id this is, in any case"`
	Limit  int    `query:"limit" minimum:"1" maximum:"10000" default:"1000" doc:"How many to show"`
	Here   bool   `query:"here" doc:"Only those of the server that is asked"`
}

type clientsAnswer struct{ Body api.ClientList }

func (f *face) mountClients(a huma.API) {
	register(a, access.Reads(access.Naming, ""), huma.Operation{OperationID: "list-clients", Method: http.MethodGet, Path: api.PathClients,
		Summary: "Show clients of Nacos that are connected over gRPC", Tags: []string{"servers"}}, f.listClients)
}

func (f *face) listClients(ctx context.Context, in *clientsIn) (*clientsAnswer, error) {
	if in.Here {
		return &clientsAnswer{f.server.clients(in.Search, in.Limit)}, nil
	}
	return &clientsAnswer{f.server.allClients(ctx, in.Search, in.Limit)}, nil
}
