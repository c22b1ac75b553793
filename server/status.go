package server

import (
	"context"
	"strings"

	"github.com/musterhq/muster/api"
)

// Status returns what the server says of itself.
func (s *Server) Status() api.Status {
	st := api.Status{Version: s.cfg.Version, Started: s.started.UTC(), NotReady: s.notReady(), Judge: s.store.Judging(),
		Etcd: "embedded", HTTP: s.cfg.HTTP, DNS: s.cfg.DNS, Zones: s.cfg.Zones}
	st.Ready = st.NotReady == ""
	if len(s.cfg.Etcd.URLs) > 0 {
		st.Etcd = strings.Join(s.cfg.Etcd.URLs, ",")
	}
	if snap := s.store.View().Snapshot(); snap != nil {
		st.Revision = snap.Revision()
		st.Services, st.Instances, st.Agents = snap.Counts()
	}
	if snap := s.store.Configs().View().Snapshot(); snap != nil {
		st.Configs = snap.Len()
	}
	return st
}

type statusAnswer struct{ Body api.Status }

func (f *face) getStatus(context.Context, *struct{}) (*statusAnswer, error) {
	return &statusAnswer{f.status()}, nil
}
