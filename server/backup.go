package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/etcdstore/backup"
	"github.com/musterhq/muster/internal/dirlock"
)

func (f *face) mountBackup(a huma.API) {
	huma.Register(a, huma.Operation{OperationID: "backup", Method: http.MethodGet, Path: api.PathBackup,
		Summary: "Stream a snapshot of everything, at one revision", Tags: []string{"servers"}}, f.backup)
}

// backup streams etcd's own snapshot. One that breaks off ends the connection,
// so that nobody takes a part for the whole; its last 32 bytes are the SHA-256 of
// what goes before.
func (f *face) backup(context.Context, *struct{}) (*huma.StreamResponse, error) {
	if f.server.away() {
		return nil, huma.Error503ServiceUnavailable("etcd does not answer this server")
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		ctx.SetHeader("Content-Type", "application/octet-stream")
		ctx.SetHeader("Content-Disposition", `attachment; filename="muster.backup"`)
		if _, err := f.server.store.Backup(ctx.Context(), ctx.BodyWriter()); err != nil {
			f.log.Error("a backup broke off", "err", err)
			panic(http.ErrAbortHandler)
		}
	}}, nil
}

// Restore fills the data directory of a server that does not run with a backup,
// and returns what it holds. A directory that holds an etcd already is left as it
// is, and the error says so; so does one of a server that runs.
func Restore(ctx context.Context, cfg Config, path string) (backup.Info, error) {
	cfg, err := cfg.WithDefaults()
	if err != nil {
		return backup.Info{}, err
	}
	if len(cfg.Etcd.URLs) > 0 {
		return backup.Info{}, errors.New("etcd is not embedded: restore with its own tool, etcdutl, and raise its revision " +
			"(--bump-revision 1073741824 --mark-compacted)")
	}
	release, err := dirlock.Take(cfg.DataDir)
	if err != nil {
		return backup.Info{}, err
	}
	defer release()
	return backup.Restore(ctx, path, backup.Target{Dir: etcdDir(cfg), Cluster: cfg.cluster()})
}
