package server

import (
	"context"

	"github.com/musterhq/muster/registry"
)

// notReady says why the server should get no traffic, "" when it should.
func (s *Server) notReady() string {
	switch {
	case s.draining.Load():
		return "the server is stopping"
	case !s.store.Ready():
		return s.notListed()
	case !s.events.Ready():
		return "the first list is not taken in yet"
	}
	if s.auth != nil {
		if err := s.auth.Ready(); err != nil {
			return err.Error()
		}
	}
	return ""
}

// notListed says why nothing is known yet.
func (s *Server) notListed() string {
	if err := s.store.Away(); err != nil {
		return err.Error()
	}
	return "the first full list from etcd is not done"
}

// Await waits until ok is true of the server's snapshot; it reports false when
// ctx ends first.
func (s *Server) Await(ctx context.Context, ok func(*registry.Snapshot) bool) bool {
	for {
		changed := s.store.View().Changed()
		if snap := s.store.View().Snapshot(); snap != nil && ok(snap) {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}
