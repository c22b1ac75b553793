package server

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/musterhq/muster/etcdstore"
	"github.com/musterhq/muster/server/relay"
)

// self is what other servers are told of this one.
func (s *Server) self() etcdstore.Server {
	return etcdstore.Server{ID: s.id, Name: s.cfg.Cluster.Name, HTTP: s.advertisedHTTP(), DNS: s.advertised(),
		Version: s.cfg.Version, Started: s.started.UTC()}
}

// announce puts this server on the list once it is ready: others send their
// questions to those on it.
func (s *Server) announce(ctx context.Context) error {
	ready := time.NewTicker(20 * time.Millisecond)
	defer ready.Stop()
	for !s.store.Ready() {
		select {
		case <-ready.C:
		case <-ctx.Done():
			return nil
		}
	}
	return s.store.Announce(ctx, s.self())
}

// advertisedHTTP is the URL by which others reach the HTTP edge.
func (s *Server) advertisedHTTP() string {
	if s.cfg.AdvertiseHTTP != "" {
		return strings.TrimRight(s.cfg.AdvertiseHTTP, "/")
	}
	host, port, err := net.SplitHostPort(s.cfg.HTTP) // as the listener says it
	if a, bad := netip.ParseAddr(host); err == nil && (bad != nil || a.IsUnspecified()) {
		host = s.cfg.Advertise
	}
	return s.cfg.TLS.scheme() + "://" + net.JoinHostPort(host, port)
}

// bench is this server's judge, as far as it holds the office.
type bench struct{ *Server }

// Heard implements relay.Judge.
func (b bench) Heard(witness string) error {
	if !b.store.Judging() {
		return etcdstore.ErrNotJudge
	}
	return b.sweeper.Heard(witness)
}

// HearAll implements relay.Judge.
func (b bench) HearAll(witnesses []string) error {
	if !b.store.Judging() {
		return etcdstore.ErrNotJudge
	}
	return b.sweeper.HearAll(witnesses)
}

// away reports whether etcd does not answer this server.
func (s *Server) away() bool {
	_, stale := s.store.Stale()
	return stale
}

// cluster is what the relay needs to know of the other servers.
func (s *Server) cluster() relay.Cluster {
	now := s.store.Servers()
	c := relay.Cluster{Self: s.id, Judge: now.Judge}
	for _, v := range now.Live {
		if v.ID != s.id {
			c.Others = append(c.Others, relay.Server{ID: v.ID, HTTP: v.HTTP})
		}
	}
	return c
}

// resolvers are where agents find DNS: every live server's, or at least ours.
func (s *Server) resolvers() []string {
	var all []string
	for _, v := range s.store.Servers().Live {
		all = append(all, v.DNS)
	}
	if len(all) == 0 {
		all = append(all, s.advertised())
	}
	return all
}

// advertised is where others find the DNS face.
func (s *Server) advertised() string {
	_, port, err := net.SplitHostPort(s.cfg.DNS)
	if err != nil {
		return s.cfg.DNS
	}
	return net.JoinHostPort(s.cfg.Advertise, port)
}
