package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/audit"
	"github.com/musterhq/muster/config/archive"
)

// Bounds of an archive that is imported.
const (
	maxImport    = 1 << 30
	importWithin = 10 * time.Minute // for its upload
)

func (f *face) mountTransfer(a huma.API) {
	tags := []string{"configs"}
	zip := map[string]*huma.MediaType{"application/zip": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}
	register(a, access.Reads(access.Config, inQuery), huma.Operation{OperationID: "export-configs", Method: http.MethodGet, Path: api.PathConfigExport,
		Summary: "Write documents with all that belongs to them, history included, to one archive", Tags: tags,
		Responses: map[string]*huma.Response{"200": {Description: "The archive", Content: zip}}}, f.exportConfigs)
	register(a, access.Writes(access.Config, ""), huma.Operation{OperationID: "import-configs", Method: http.MethodPost, Path: api.PathConfigImport,
		Summary: "Bring the documents of an archive back, history included", Tags: tags, Middlewares: huma.Middlewares{f.oneImport(a)},
		RequestBody: &huma.RequestBody{Required: true, Content: zip}}, f.importConfigs)
	register(a, access.Writes(access.Config, each), huma.Operation{OperationID: "clone-configs", Method: http.MethodPost, Path: api.PathConfigClone,
		Summary: "Copy documents to another namespace", Tags: tags}, f.cloneConfigs)
}

type exportQuery struct {
	Namespace string `query:"namespace" doc:"Only this namespace; all when absent"`
	Secrets   string `query:"secrets" enum:"clear,omit" doc:"What becomes of documents that are encrypted where they are stored: clear has them in the archive in the clear, omit leaves them out; when absent and there are any, nothing is exported" example:"omit"`
}

var secrets = map[string]archive.Secrets{"": archive.Refuse, "omit": archive.Omit, "clear": archive.Clear}

// exportConfigs streams an archive: one that breaks off has no end, and is none.
func (f *face) exportConfigs(_ context.Context, q *exportQuery) (*huma.StreamResponse, error) {
	export, err := archive.NewExport(f.configs, q.Namespace, secrets[q.Secrets])
	if secret, ok := errors.AsType[*archive.SecretError](err); ok {
		var details []error
		for _, k := range secret.Keys[:min(len(secret.Keys), 100)] {
			details = append(details, &huma.ErrorDetail{Message: "is encrypted", Location: "query.secrets", Value: k.String()})
		}
		return nil, huma.Error409Conflict(err.Error()+": secrets says clear or omit", details...)
	}
	if err != nil {
		return nil, f.failure(err)
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		ctx.SetHeader("Content-Type", "application/zip")
		ctx.SetHeader("Content-Disposition", `attachment; filename="muster-config.zip"`)
		to := &counted{to: patient{ctx.BodyWriter()}}
		err := export.Write(ctx.Context(), to)
		if err == nil {
			return
		}
		if ctx.Context().Err() == nil {
			f.log.Error("an export broke off", "err", err)
		}
		if to.n > 0 {
			panic(http.ErrAbortHandler)
		}
		ctx.SetHeader("Content-Type", "application/problem+json")
		ctx.SetStatus(http.StatusServiceUnavailable)
		problem := api.Problem{Title: "Service Unavailable", Status: http.StatusServiceUnavailable, Detail: "the export could not be read"}
		_ = json.NewEncoder(ctx.BodyWriter()).Encode(problem) // a client that went away is no news
	}}, nil
}

// counted counts what is written.
type counted struct {
	to io.Writer
	n  int64
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.to.Write(b)
	c.n += int64(n)
	return n, err
}

type importIn struct {
	OnConflict string `query:"onConflict" enum:"abort,skip,overwrite" default:"abort" doc:"What becomes of documents that are there already, or were: abort changes nothing at all, skip leaves them, overwrite publishes what the archive has as a new version"`

	file *os.File // of the body, without a name
	size int64
}

// Resolve implements huma.Resolver: it takes the body to the disk.
func (in *importIn) Resolve(ctx huma.Context) []error {
	file, err := os.CreateTemp("", "muster-import-*")
	if err != nil {
		return []error{huma.Error503ServiceUnavailable("there is no room for the archive")}
	}
	_ = os.Remove(file.Name()) // it lives as long as it is open
	in.file = file
	_ = ctx.SetReadDeadline(time.Now().Add(importWithin)) // where that is not possible the body is bounded by its size alone
	in.size, err = io.Copy(file, io.LimitReader(ctx.BodyReader(), maxImport+1))
	switch {
	case err != nil:
		in.close()
		return []error{huma.Error400BadRequest("the archive did not come in full")}
	case in.size > maxImport:
		in.close()
		return []error{huma.NewError(http.StatusRequestEntityTooLarge, fmt.Sprintf("the archive is longer than %d bytes", maxImport))}
	}
	return nil
}

func (in *importIn) close() { _ = in.file.Close() } // it was only read since it came

// oneImport lets one import in at a time, ahead of its upload: many would fill the disk.
func (f *face) oneImport(a huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		if !f.server.importing.TryLock() {
			_ = huma.WriteErr(a, ctx, http.StatusTooManyRequests, "another import is under way") // a client that went away is no news
			return
		}
		defer f.server.importing.Unlock()
		next(ctx)
	}
}

type importAnswer struct {
	Written
	Body api.ConfigImport
}

var conflicts = map[string]archive.Conflict{"": archive.Abort, api.OnConflictAbort: archive.Abort, api.OnConflictSkip: archive.Skip, api.OnConflictOverwrite: archive.Overwrite}

func (f *face) importConfigs(ctx context.Context, in *importIn) (*importAnswer, error) {
	defer in.close()
	a, err := archive.Open(in.file, in.size)
	if err != nil {
		return nil, f.unimported(err)
	}
	out, err := a.Import(ctx, f.configs, conflicts[in.OnConflict], author(ctx))
	for _, k := range out.Wrote { // of one that broke off, too
		audit.From(ctx).Part(documentPart(k, audit.Put))
	}
	if err != nil {
		return nil, f.unimported(err)
	}
	return &importAnswer{written(out.Receipt), importOf(out)}, nil
}

func importOf(out archive.Imported) api.ConfigImport {
	body := api.ConfigImport{Revision: out.Receipt.Revision, Restored: out.Restored, Published: out.Published, Policies: out.Policies, Warnings: out.Receipt.Warnings}
	for _, s := range out.Skipped {
		body.Skipped = append(body.Skipped, api.ConfigSkipped{Namespace: s.Key.Namespace, Group: s.Key.Group, DataID: s.Key.DataID, Reason: s.Reason})
	}
	return body
}

// unimported answers an import that failed.
func (f *face) unimported(err error) error {
	if exist, ok := errors.AsType[*archive.ExistError](err); ok {
		return existing(exist)
	}
	if errors.Is(err, archive.ErrFormat) {
		return huma.Error400BadRequest(err.Error(), &huma.ErrorDetail{Message: strings.TrimPrefix(err.Error(), archive.ErrFormat.Error()+": "), Location: "body"})
	}
	return f.failure(err)
}

// existing answers that documents are there already.
func existing(err *archive.ExistError) error {
	var details []error
	for _, k := range err.Keys[:min(len(err.Keys), 100)] {
		details = append(details, &huma.ErrorDetail{Message: "there already, or were", Location: "onConflict", Value: k.String()})
	}
	return huma.Error409Conflict(err.Error()+": onConflict says skip or overwrite", details...)
}
