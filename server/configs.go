package server

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/config"
)

// ConfigPath names a document in a path.
type ConfigPath struct {
	Namespace string `path:"namespace" doc:"Namespace" example:"public"`
	Group     string `path:"group" doc:"Group" example:"DEFAULT_GROUP"`
	DataID    string `path:"dataId" doc:"Data id" example:"app.properties"`
}

func (p ConfigPath) key() config.Key {
	return config.Key{Namespace: p.Namespace, Group: p.Group, DataID: p.DataID}
}

func (f *face) mountConfigs(a huma.API) {
	tags := []string{"configs"}
	huma.Register(a, huma.Operation{OperationID: "list-configs", Method: http.MethodGet, Path: api.PathConfigs,
		Summary: "List configuration documents", Tags: tags}, f.listConfigs)
	huma.Register(a, huma.Operation{OperationID: "get-config", Method: http.MethodGet, Path: api.PathConfig,
		Summary: "Read the content of a document", Tags: tags, Responses: rawContent()}, f.getConfig)
	huma.Register(a, huma.Operation{OperationID: "put-config", Method: http.MethodPut, Path: api.PathConfig,
		Summary: "Publish a document", Tags: tags, MaxBodyBytes: config.MaxContent + 64<<10, BodyReadTimeout: bodyTimeout}, f.putConfig)
	huma.Register(a, huma.Operation{OperationID: "delete-config", Method: http.MethodDelete, Path: api.PathConfig,
		Summary: "Remove a document", Tags: tags}, f.deleteConfig)
	huma.Register(a, huma.Operation{OperationID: "watch-configs", Method: http.MethodPost, Path: api.PathWatch,
		Summary: "Wait until documents differ from what the caller has", Tags: tags, MaxBodyBytes: maxWatchBytes}, f.watchConfigs)
}

func rawContent() map[string]*huma.Response {
	return map[string]*huma.Response{
		"200": {Description: "The content as it was published", Content: map[string]*huma.MediaType{
			"text/plain": {Schema: &huma.Schema{Type: huma.TypeString}}}},
		"304": {Description: "The caller has it already"},
	}
}

type configListAnswer struct{ Body api.ConfigList }

func (f *face) listConfigs(_ context.Context, q *listQuery) (*configListAnswer, error) {
	snap := f.configs.Snapshot()
	if snap == nil {
		return nil, f.failure(config.ErrUnavailable)
	}
	found, total := cut(snap.Documents(), q.Paging, func(d *config.Document) bool {
		return q.admits(d.Key.Namespace, d.Key.Group, d.Key.DataID)
	})
	list := api.ConfigList{Total: total, Revision: snap.Revision(), Configs: make([]api.Config, 0, len(found))}
	for _, d := range found {
		list.Configs = append(list.Configs, configOf(d))
	}
	return &configListAnswer{list}, nil
}

type configGet struct {
	ConfigPath
	IfNoneMatch string `header:"If-None-Match" doc:"Entity tag the caller has"`
}

type configContent struct {
	Status      int
	ETag        string `header:"ETag"`
	ContentType string `header:"Content-Type"`
	ConfigType  string `header:"Config-Type"`
	Modified    string `header:"Last-Modified"`
	Revision    int64  `header:"Muster-Revision"`
	Body        []byte
}

func (f *face) getConfig(ctx context.Context, in *configGet) (*configContent, error) {
	k := in.key()
	if snap := f.configs.Snapshot(); snap != nil && in.IfNoneMatch != "" {
		if d := snap.Head(k); d != nil && matches(in.IfNoneMatch, d.MD5) {
			return &configContent{Status: http.StatusNotModified, ETag: etag(d.MD5), Revision: d.Revision}, nil
		}
	}
	d, content, err := f.configs.Get(ctx, k)
	if err != nil {
		return nil, f.failure(err)
	}
	return &configContent{Status: http.StatusOK, ETag: etag(d.MD5), ContentType: "text/plain; charset=utf-8",
		ConfigType: d.Type, Modified: d.Modified.Format(http.TimeFormat), Revision: d.Revision, Body: content}, nil
}

func etag(md5 string) string { return `"` + md5 + `"` }

// md5Of returns the MD5 that If-Match demands; * demands none in particular.
func md5Of(header string) string {
	return strings.Trim(strings.TrimPrefix(strings.TrimSpace(header), "*"), `"`)
}

// matches reads a list of entity tags as RFC 9110 (13.1.2) has it.
func matches(header, md5 string) bool {
	for tag := range strings.SplitSeq(header, ",") {
		if tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/"); tag == "*" || tag == etag(md5) {
			return true
		}
	}
	return false
}

type configPut struct {
	ConfigPath
	Type        string `query:"type" doc:"properties, xml, json, text, html, yaml, toml or unset; text when absent"`
	Desc        string `query:"desc" doc:"Description"`
	App         string `query:"app" doc:"Application it belongs to"`
	IfMatch     string `header:"If-Match" doc:"Publish only over a content with this entity tag"`
	IfNoneMatch string `header:"If-None-Match" doc:"* publishes only where there is no document"`
	RawBody     []byte `contentType:"text/plain"`
}

type configAnswer struct {
	Written
	ETag string `header:"ETag"`
	Body api.Config
}

func (f *face) putConfig(ctx context.Context, in *configPut) (*configAnswer, error) {
	// The body's buffer is used again for other calls; the store keeps contents.
	draft := config.Draft{Key: in.key(), Content: bytes.Clone(in.RawBody), Type: in.Type, Desc: in.Desc, App: in.App,
		If: config.Condition{Absent: in.IfNoneMatch == "*", Exists: in.IfMatch != "", MD5: md5Of(in.IfMatch)}, Author: author(ctx)}
	head, receipt, err := f.configs.Publish(ctx, draft)
	switch {
	case errors.Is(err, config.ErrConflict) && draft.If != (config.Condition{}):
		return nil, huma.Error412PreconditionFailed(err.Error())
	case err != nil:
		return nil, f.failure(err)
	}
	return &configAnswer{Written{receipt.Revision, receipt.Lagging}, etag(head.MD5), configOf(head)}, nil
}

type configDelete struct {
	ConfigPath
	IfMatch string `header:"If-Match" doc:"Remove only a content with this entity tag"`
}

func (f *face) deleteConfig(ctx context.Context, in *configDelete) (*noContent, error) {
	existed, receipt, err := f.configs.Delete(ctx, in.key(), config.Condition{MD5: md5Of(in.IfMatch)}, author(ctx))
	switch {
	case errors.Is(err, config.ErrConflict) && in.IfMatch != "":
		return nil, huma.Error412PreconditionFailed(err.Error())
	case err != nil:
		return nil, f.failure(err)
	case !existed:
		return nil, huma.Error404NotFound("document " + in.key().String() + ": not found")
	}
	return &noContent{Written{receipt.Revision, receipt.Lagging}}, nil
}

// maxWatchBytes bounds one call that waits: ten thousand long names.
const maxWatchBytes = 8 << 20

// maxPolls bounds the calls that wait for documents at once.
const maxPolls = 8192

type configWatch struct{ Body api.ConfigWatch }

type configChanges struct{ Body api.ConfigChanges }

func (f *face) watchConfigs(ctx context.Context, in *configWatch) (*configChanges, error) {
	refs := in.Body.Configs
	for i, r := range refs {
		refs[i].Namespace, refs[i].Group = defaulted(r.Namespace, config.DefaultNamespace), defaulted(r.Group, config.DefaultGroup)
		if err := keyOf(refs[i]).Validate(); err != nil {
			return nil, f.failure(err)
		}
	}
	if f.polls.Add(1) > maxPolls {
		f.polls.Add(-1)
		return nil, huma.Error429TooManyRequests("too many calls wait for documents on this server")
	}
	defer f.polls.Add(-1)
	timeout := time.NewTimer(time.Duration(in.Body.Wait) * time.Millisecond)
	defer timeout.Stop()
	woken, leave := f.waiters.Join(keysOf(refs))
	defer leave()
	for {
		changed := f.differing(refs)
		if len(changed) > 0 || in.Body.Wait == 0 {
			return &configChanges{api.ConfigChanges{Changed: changed}}, nil
		}
		select {
		case <-woken:
		case <-timeout.C:
			in.Body.Wait = 0
		case <-f.stopping:
			in.Body.Wait = 0
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func keyOf(r api.ConfigRef) config.Key {
	return config.Key{Namespace: r.Namespace, Group: r.Group, DataID: r.DataID}
}

func keysOf(refs []api.ConfigRef) iter.Seq[config.Key] {
	return func(yield func(config.Key) bool) {
		for _, r := range refs {
			if !yield(keyOf(r)) {
				return
			}
		}
	}
}

func (f *face) differing(refs []api.ConfigRef) []api.ConfigRef {
	changed := []api.ConfigRef{}
	snap := f.configs.Snapshot()
	if snap == nil {
		return changed
	}
	for _, r := range refs {
		if md5 := snap.MD5(keyOf(r), config.Client{}); md5 != r.MD5 {
			r.MD5 = md5
			changed = append(changed, r)
		}
	}
	return changed
}

func configOf(d *config.Document) api.Config {
	return api.Config{Namespace: d.Key.Namespace, Group: d.Key.Group, DataID: d.Key.DataID, Type: d.Type, MD5: d.MD5,
		Size: d.Size, Desc: d.Desc, App: d.App, Revision: d.Revision, Modified: d.Modified}
}
