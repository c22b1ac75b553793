package server

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/nacos"
	"github.com/musterhq/muster/server/nacos/switches"
	"github.com/musterhq/muster/server/push"
)

// nacos makes the Nacos edge and the pusher beside it, each of which needs the
// other.
func (s *Server) nacos() (err error) {
	s.pusher, err = push.New(push.Config{Registerer: s.metrics, Logger: s.log,
		Render: func(snap *registry.Snapshot, t push.Topic) ([]byte, int) { return s.nacosAPI.Render(snap, t) }})
	if err != nil {
		return err
	}
	s.nacosAPI, err = nacos.New(nacos.Config{Registry: s.registry, Configs: s.center, Waiters: s.waiters, MaxPolls: s.room.polls, Gate: s.gate, Logger: s.log, Version: s.cfg.Version,
		Registerer: s.metrics, Metrics: s.scrape(), Members: s.nacosMembers, Switches: s.switches, Pusher: s.pusher, View: s.store.View(),
		Elsewhere: s.elsewhere, Loads: s.loads, Unrecorded: s.unrecorded, Limit: s.limits.call, Record: s.recordGRPC, Track: heardOf{s.track}, Asker: s.asker, Login: s.nacosLogin(), Users: s.nacosUsers(), Ready: s.nacosReady})
	return err
}

// elsewhere asks every other server that is alive the same question, all at once,
// and hands on the answers of those that give one in time.
func (s *Server) elsewhere(ctx context.Context, question string, take func([]byte)) {
	ctx, cancel := context.WithTimeout(ctx, 2*askPeer)
	defer cancel()
	var asking sync.WaitGroup
	var mu sync.Mutex
	for _, v := range s.store.Servers().Live {
		if v.ID == s.id {
			continue
		}
		asking.Go(func() {
			var body json.RawMessage
			if err := s.ask(ctx, http.MethodGet, v.HTTP+question, nil, &body); err != nil {
				s.log.Debug("another server does not answer", "server", v.ID, "err", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			take(body)
		})
	}
	asking.Wait()
}

// sharedSwitches returns the switches that all servers share.
func (s *Server) sharedSwitches() (map[string]string, int64) {
	if s.store == nil {
		return nil, 0
	}
	if snap := s.store.View().Snapshot(); snap != nil {
		return snap.Settings(switches.Kept)
	}
	return nil, 0
}

// listenPush takes the address that pushes leave from: clients answer to wherever
// a push came from.
func (s *Server) listenPush(ctx context.Context) (err error) {
	s.pushConn, err = push.Listen(ctx, s.cfg.Push)
	return err
}

// tellClients tells clients of changes until ctx ends.
func (s *Server) tellClients(ctx context.Context) error {
	return s.pusher.Run(ctx, s.pushConn, s.store.View())
}

// nacosMembers returns the servers that are alive as the Nacos edge shows them.
func (s *Server) nacosMembers() []nacos.Member {
	var all []nacos.Member
	found := false
	for _, v := range s.store.Servers().Live {
		all = append(all, nacos.Member{Address: withoutScheme(v.HTTP), Version: v.Version, Self: v.ID == s.id})
		found = found || v.ID == s.id
	}
	if !found { // it is not announced yet
		all = append(all, nacos.Member{Address: withoutScheme(s.advertisedHTTP()), Version: s.cfg.Version, Self: true})
	}
	return all
}

// withoutScheme returns host and port of a URL.
func withoutScheme(url string) string {
	_, rest, found := strings.Cut(url, "://")
	if !found {
		rest = url
	}
	host, _, _ := strings.Cut(rest, "/")
	return host
}
