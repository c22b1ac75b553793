package server

import (
	"errors"
	"strings"

	"github.com/musterhq/muster/server/nacos"
)

// nacos returns the Nacos edge.
func (s *Server) nacos() (*nacos.Handler, error) {
	return nacos.New(nacos.Config{Registry: s.registry, Configs: s.center, Logger: s.log, Version: s.cfg.Version,
		Started: s.started, Registerer: s.metrics, Metrics: s.scrape(), Members: s.nacosMembers, Switches: s.switches,
		Ready: func() error {
			if why := s.notReady(); why != "" {
				return errors.New(why)
			}
			return nil
		}})
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
