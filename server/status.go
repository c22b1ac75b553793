package server

import (
	"context"

	"github.com/musterhq/muster/api"
)

// Status returns what the server says of itself.
func (s *Server) Status() api.Status {
	age, stale := s.store.Stale()
	st := api.Status{ID: s.id, Name: s.cfg.Cluster.Name, Version: s.cfg.Version, Started: s.started.UTC(), NotReady: s.notReady(),
		Judge: s.store.Judging(), AgeMs: age.Milliseconds(), Stale: stale, Serial: s.store.Serial(), Storage: s.storage(), Audit: s.auditHead(),
		Etcd: "embedded", HTTP: s.cfg.HTTP, GRPC: s.cfg.grpcAddress(), Clients: s.grpc.Len(), DNS: s.cfg.DNS, Zones: s.cfg.Zones, TLS: s.cfg.TLS.given(), Insecure: s.cfg.exposures()}
	st.Ready = st.NotReady == ""
	if st.Judge {
		st.Protection = new(s.protection())
	}
	if len(s.cfg.Etcd.URLs) > 0 {
		st.Etcd = s.cfg.Etcd.shown()
	}
	if snap := s.store.View().Snapshot(); snap != nil {
		st.Revision = snap.Revision()
		st.Services, st.Instances, st.Agents = snap.Counts()
		st.Digests = digestsOf(snap.Digests())
	}
	if snap := s.store.Configs().View().Snapshot(); snap != nil {
		st.Configs = snap.Len()
	}
	return st
}

// storage says how full the store is.
func (s *Server) storage() *api.Storage {
	u := s.store.Usage()
	return &api.Storage{Size: u.Size, InUse: u.InUse, Quota: u.Quota, Alarm: u.Alarm, Full: u.Full}
}

type statusAnswer struct{ Body api.Status }

func (f *face) getStatus(context.Context, *struct{}) (*statusAnswer, error) {
	return &statusAnswer{f.server.Status()}, nil
}
