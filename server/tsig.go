package server

import (
	"context"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/auth"
)

// TSIGPath names a key of DNS in a path.
type TSIGPath struct {
	Key string `path:"key" maxLength:"254" doc:"Name of the key; - is who signs with none" example:"registrar"`
}

type tsigListAnswer struct{ Body api.TSIGList }

func listTSIGs(s *auth.Snapshot) *tsigListAnswer {
	return &tsigListAnswer{api.TSIGList{Keys: ordered(s.TSIGs(), func(k *auth.TSIG) string { return k.Name }, func(k *auth.TSIG) api.TSIG {
		return api.TSIG{Name: k.Name, Roles: append([]string{}, k.Roles...), Created: k.Created}
	})}}
}

type tsigIn struct {
	TSIGPath
	Body api.TSIGSpec
}

func putTSIG(ctx context.Context, a *auth.Authority, in *tsigIn) (*struct{}, error) {
	return nil, a.SetTSIG(ctx, in.Key, in.Body.Roles)
}

func deleteTSIG(ctx context.Context, a *auth.Authority, in *TSIGPath) (*struct{}, error) {
	return nil, a.DeleteTSIG(ctx, in.Key)
}
