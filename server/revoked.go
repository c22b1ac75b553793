package server

import (
	"context"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/auth"
)

// RevokedPath names certificates in a path.
type RevokedPath struct {
	Certificate string `path:"certificate" maxLength:"256" doc:"Serial number of one in hex, or agent/ID or server/NAME for all of that subject" example:"agent/web-1"`
}

type revokedAnswer struct{ Body api.RevokedList }

func listRevoked(s *auth.Snapshot) *revokedAnswer {
	return &revokedAnswer{api.RevokedList{Certificates: ordered(s.AllRevoked(), func(r *auth.Revoked) string { return r.Which }, func(r *auth.Revoked) api.RevokedCertificate {
		return api.RevokedCertificate{Certificate: r.Which, Created: r.Created}
	})}}
}

func revokeCertificates(ctx context.Context, a *auth.Authority, in *RevokedPath) (*struct{}, error) {
	return nil, a.RevokeCertificates(ctx, in.Certificate)
}

func restoreCertificates(ctx context.Context, a *auth.Authority, in *RevokedPath) (*struct{}, error) {
	return nil, a.RestoreCertificates(ctx, in.Certificate)
}
