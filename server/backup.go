package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/etcdstore/backup"
	"github.com/musterhq/muster/internal/dirlock"
)

func (f *face) mountBackup(a huma.API) {
	register(a, access.Writes(access.Admin, ""), huma.Operation{OperationID: "backup", Method: http.MethodGet, Path: api.PathBackup,
		Summary: "Stream a snapshot of everything, at one revision", Tags: []string{"servers"},
		Responses: map[string]*huma.Response{"200": {Description: "The snapshot, and its SHA-256 in the last 32 bytes",
			Content: map[string]*huma.MediaType{"application/octet-stream": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}}}}, f.backup)
}

// backup streams etcd's own snapshot. One that breaks off ends the connection,
// so that nobody takes a part for the whole; its last 32 bytes are the SHA-256 of
// what goes before.
//
// One at a time, and only for as long as it is read: etcd keeps old pages for it.
func (f *face) backup(ctx context.Context, _ *struct{}) (*huma.StreamResponse, error) {
	if err := f.operatorOnly(ctx, false); err != nil {
		return nil, err
	}
	if f.server.away() {
		return nil, huma.Error503ServiceUnavailable("etcd does not answer this server")
	}
	if !f.server.backup.TryLock() {
		return nil, huma.Error429TooManyRequests("another backup is under way")
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		defer f.server.backup.Unlock()
		ctx.SetHeader("Content-Type", "application/octet-stream")
		n, err := f.server.store.Backup(ctx.Context(), patient{ctx.BodyWriter()})
		if err == nil {
			return
		}
		f.log.Error("a backup broke off", "err", err)
		if n > 0 {
			panic(http.ErrAbortHandler)
		}
		ctx.SetHeader("Content-Type", "application/problem+json")
		ctx.SetStatus(http.StatusServiceUnavailable)
		problem := api.Problem{Title: "Service Unavailable", Status: http.StatusServiceUnavailable, Detail: err.Error()}
		_ = json.NewEncoder(ctx.BodyWriter()).Encode(problem) // a client that went away is no news
	}}, nil
}

// readWithin is how long a client may take to read a part of a backup.
const readWithin = 30 * time.Second

// patient gives the reader of an answer some time for each part of it.
type patient struct{ to io.Writer }

func (p patient) Write(b []byte) (int, error) {
	if w, ok := p.to.(http.ResponseWriter); ok {
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(readWithin)); err != nil {
			return 0, err
		}
	}
	return p.to.Write(b)
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
