package server

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/etcdstore"
	"github.com/musterhq/muster/registry"
)

// States returns every live server, each as it describes itself; one that does
// not answer in time is on the list all the same.
func (s *Server) States(ctx context.Context) api.ServerList {
	now := s.store.Servers()
	judge := now.Judge
	if s.store.Judging() {
		judge = s.id // the list learns of it a little later
	}
	list := api.ServerList{Judge: judge, Servers: make([]api.ServerState, len(now.Live))}
	ctx, cancel := context.WithTimeout(ctx, askPeer)
	defer cancel()
	statuses := make([]api.Status, len(now.Live))
	var asking sync.WaitGroup
	for i, v := range now.Live {
		asking.Go(func() { list.Servers[i], statuses[i] = s.stateOf(ctx, v) })
	}
	asking.Wait()
	for i, v := range now.Live {
		if v.ID == judge {
			list.Servers[i].Judge, list.Protection = true, statuses[i].Protection
		}
	}
	return list
}

func (s *Server) stateOf(ctx context.Context, v etcdstore.Server) (api.ServerState, api.Status) {
	state := api.ServerState{ID: v.ID, Name: v.Name, HTTP: v.HTTP, DNS: v.DNS, Version: v.Version, Started: v.Started}
	var status api.Status
	if state.Self = v.ID == s.id; state.Self {
		status = s.Status()
	} else {
		if err := s.ask(ctx, http.MethodGet, v.HTTP+api.PathStatus, nil, &status); err != nil {
			state.Error = err.Error()
			return state, status
		}
		if status.ID != v.ID {
			state.Error = fmt.Sprintf("another server answers at %s: %s", v.HTTP, status.ID)
			return state, api.Status{}
		}
	}
	state.Reachable, state.Ready, state.Stale, state.AgeMs = true, status.Ready, status.Stale, status.AgeMs
	if status.Storage != nil {
		state.Full = status.Storage.Full
	}
	state.Revision, state.Instances, state.Digests = status.Revision, status.Instances, status.Digests
	return state, status
}

type serversAnswer struct{ Body api.ServerList }

func (f *face) listServers(ctx context.Context, _ *struct{}) (*serversAnswer, error) {
	return &serversAnswer{f.server.States(ctx)}, nil
}

// Confirm lets removals that are held back go on: here if this server judges,
// else, unless another server passed the call on to the one called to, where the
// judge is.
func (s *Server) Confirm(ctx context.Context, to string) (api.Protection, error) {
	if to != "" && to != s.meant(s.id) {
		return api.Protection{}, fmt.Errorf("%w: this is server %s", registry.ErrUnavailable, s.id)
	}
	if s.store.Judging() {
		was := s.protection()
		s.sweeper.Confirm()
		return was, nil
	}
	servers := s.store.Servers()
	judge, known := servers.ByID(servers.Judge)
	if !known || to != "" || judge.ID == s.id {
		return api.Protection{}, fmt.Errorf("%w: no server judges now", registry.ErrUnavailable)
	}
	ctx, cancel := context.WithTimeout(ctx, askPeer)
	defer cancel()
	var was api.Protection
	if err := s.ask(ctx, http.MethodPost, judge.HTTP+api.PathConfirm+"?to="+url.QueryEscape(s.meant(judge.ID)), nil, &was); err != nil {
		return was, fmt.Errorf("%w: the judge at %s: %w", registry.ErrUnavailable, judge.HTTP, err)
	}
	return was, nil
}

type confirmIn struct {
	To string `query:"to" doc:"Id of the server that another one passes the call on to: it answers, or nobody"`
}

type protectionAnswer struct{ Body api.Protection }

func (f *face) confirm(ctx context.Context, in *confirmIn) (*protectionAnswer, error) {
	if err := f.operatorOnly(ctx, in.To != ""); err != nil {
		return nil, err
	}
	was, err := f.server.Confirm(ctx, in.To)
	if err != nil {
		return nil, f.failure(err)
	}
	return &protectionAnswer{was}, nil
}

// protection says what the judge of this server holds back.
func (s *Server) protection() api.Protection {
	p := s.sweeper.Protection()
	out := api.Protection{Active: p.Active, Slow: p.Slow, Silent: p.Silent, Witnesses: p.Witnesses, Held: p.Held}
	if p.Active {
		out.Since, out.Until = new(p.Since.UTC()), new(p.Until.UTC())
	}
	return out
}

// digestsOf returns digests as they travel.
func digestsOf(d registry.Digests) map[string]string {
	out := map[string]string{}
	for namespace, sum := range d.All() {
		out[namespace] = hex(sum)
	}
	return out
}

func hex(sum uint64) string { return strconv.FormatUint(sum, 16) }
