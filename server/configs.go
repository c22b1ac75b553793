package server

import (
	"bytes"
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/musterhq/muster/access"
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

// maxConfigBody bounds the body of a document; one that is a little too long gets
// the error that says what is allowed.
const maxConfigBody = config.MaxContent + 64<<10

func (f *face) mountConfigs(a huma.API) {
	tags := []string{"configs"}
	register(a, access.Reads(access.Config, inQuery), huma.Operation{OperationID: "list-configs", Method: http.MethodGet, Path: api.PathConfigs,
		Summary: "List and search configuration documents", Tags: tags}, f.listConfigs)
	register(a, access.Reads(access.Config, inPath), huma.Operation{OperationID: "get-config", Method: http.MethodGet, Path: api.PathConfig,
		Summary: "Read a document, as the client gets it or as it stood", Tags: tags, Responses: rawContent()}, f.getConfig)
	register(a, access.Reads(access.Config, inPath), huma.Operation{OperationID: "get-config-head", Method: http.MethodGet, Path: api.PathConfigHead,
		Summary: "Show a document without its content", Tags: tags}, f.getConfigHead)
	register(a, access.Writes(access.Config, inPath), huma.Operation{OperationID: "put-config", Method: http.MethodPut, Path: api.PathConfig,
		Summary: "Publish a document", Tags: tags, MaxBodyBytes: maxConfigBody, BodyReadTimeout: bodyTimeout}, f.putConfig)
	register(a, access.Writes(access.Config, inPath), huma.Operation{OperationID: "delete-config", Method: http.MethodDelete, Path: api.PathConfig,
		Summary: "Remove a document", Tags: tags}, f.deleteConfig)
	register(a, access.Reads(access.Config, each), huma.Operation{OperationID: "watch-configs", Method: http.MethodPost, Path: api.PathWatch,
		Summary: "Wait until documents differ from what the caller has", Tags: tags, MaxBodyBytes: maxWatchBytes, Middlewares: huma.Middlewares{f.held}}, f.watchConfigs)
	register(a, access.Writes(access.Config, each), huma.Operation{OperationID: "set-configs", Method: http.MethodPost, Path: api.PathConfigSet,
		Summary: "Change several documents at once, or none", Tags: tags, MaxBodyBytes: maxSetBody, BodyReadTimeout: bodyTimeout}, f.setConfigs)
	f.mountHistory(a)
	f.mountReleases(a)
	f.mountParts(a)
	f.mountPolicies(a)
	f.mountTrack(a)
	f.mountTransfer(a)
}

type configQuery struct {
	Paging
	Named
	DataID  string   `query:"dataId" doc:"Only this data id, in which * stands for any text" example:"*.properties"`
	App     string   `query:"app" doc:"Only documents of this application"`
	Tags    []string `query:"tag" doc:"Only documents with one of these tags, separated by commas"`
	Types   []string `query:"type" doc:"Only documents of one of these types, separated by commas"`
	Content string   `query:"content" doc:"Only documents whose content holds this text; those that are encrypted where they are stored are opened for it"`
}

type configListAnswer struct{ Body api.ConfigList }

func (f *face) listConfigs(ctx context.Context, q *configQuery) (*configListAnswer, error) {
	snap, err := f.documents(ctx)
	if err != nil {
		return nil, err
	}
	all, err := f.configs.Search(ctx, config.Query{Namespace: q.Namespace, Group: q.Group, DataID: q.DataID, App: q.App,
		Tags: q.Tags, Types: q.Types, Match: config.Like, Content: q.Content})
	if err != nil {
		return nil, f.failure(err)
	}
	search := strings.ToLower(q.Search)
	found, total := cut(all, q.Paging, func(d *config.Document) bool {
		return strings.Contains(strings.ToLower(d.Key.DataID), search)
	})
	list := api.ConfigList{Total: total, Revision: snap.Revision(), Configs: make([]api.Config, 0, len(found))}
	for _, d := range found {
		one := headOf(snap, d)
		one.Schema = ""
		list.Configs = append(list.Configs, one)
	}
	return &configListAnswer{list}, nil
}

type configPut struct {
	ConfigPath
	ConfigMaking
	ConfigMeta
	RawBody []byte `contentType:"text/plain"`
}

// ConfigMeta is what is told of a document beside its content.
type ConfigMeta struct {
	Type    string   `query:"type" doc:"properties, xml, json, text, html, yaml, toml or unset; as it stands when absent, text for a new document"`
	Desc    string   `query:"desc" doc:"Description; as it stands when absent"`
	App     string   `query:"app" doc:"Application it belongs to; as it stands when absent"`
	Tags    []string `query:"tags" doc:"Tags, separated by commas; as they stand when absent"`
	Use     string   `query:"use" doc:"What it is used for; as it stands when absent"`
	Effect  string   `query:"effect" doc:"What it effects; as it stands when absent"`
	Schema  string   `query:"schema" doc:"JSON Schema that the content is to fit; as it stands when absent"`
	Encrypt string   `query:"encrypt" enum:"true,false" doc:"Whether it is encrypted where it is stored; as it stands when absent. A new document is if its data id begins with cipher- and the server has a key"`
	DataKey string   `header:"Encrypted-Data-Key" doc:"The key that goes with a content which the client has encrypted"`
}

// draft returns what publishes a content. The body's buffer is used again for
// other calls; the store keeps contents.
func (m ConfigMeta) draft(ctx context.Context, k config.Key, body []byte) config.Draft {
	d := config.Draft{Key: k, Content: bytes.Clone(body), Type: m.Type, Desc: m.Desc, App: m.App, Tags: m.Tags, Use: m.Use,
		Effect: m.Effect, Schema: m.Schema, DataKey: m.DataKey, Keep: true, Author: author(ctx)}
	if m.Encrypt != "" {
		d.Encrypt = new(m.Encrypt == "true")
	}
	return d
}

type configAnswer struct {
	ConfigOutcome
	Body api.ConfigWritten
}

func (f *face) putConfig(ctx context.Context, in *configPut) (*configAnswer, error) {
	draft := in.draft(ctx, in.key(), in.RawBody)
	var err error
	if draft.If, err = in.condition(); err != nil {
		return nil, err
	}
	head, receipt, err := f.configs.Publish(ctx, draft)
	return f.published(head, receipt, err)
}

// published answers a write that left a document.
func (f *face) published(head *config.Document, r config.Receipt, err error) (*configAnswer, error) {
	if err != nil {
		return nil, f.failure(err)
	}
	body := api.ConfigWritten{Config: headOf(f.configs.Snapshot(), head), Warnings: r.Warnings}
	return &configAnswer{outcomeOf(head, r), body}, nil
}

type configDelete struct {
	ConfigPath
	ConfigTerms
}

type configRemoved struct {
	Written
	Warnings []string `header:"Muster-Warning" doc:"What the caller should know although it was removed"`
}

func (f *face) deleteConfig(ctx context.Context, in *configDelete) (*configRemoved, error) {
	only, err := in.condition()
	if err != nil {
		return nil, err
	}
	existed, receipt, err := f.configs.Delete(ctx, in.key(), only, author(ctx))
	switch {
	case err != nil:
		return nil, f.failure(err)
	case !existed:
		return nil, huma.Error404NotFound("document " + in.key().String() + ": not found")
	}
	return &configRemoved{written(receipt), receipt.Warnings}, nil
}

// headOf returns a document as it travels, with the gray releases beside it.
func headOf(snap *config.Snapshot, d *config.Document) api.Config {
	out := configOf(d)
	if snap != nil {
		for _, r := range snap.Releases(d.Key) {
			out.Releases = append(out.Releases, r.Name)
		}
	}
	return out
}

func configOf(d *config.Document) api.Config {
	return api.Config{Namespace: d.Key.Namespace, Group: d.Key.Group, DataID: d.Key.DataID, Type: d.Type, MD5: d.MD5, Size: d.Size,
		Desc: d.Desc, App: d.App, Tags: d.Tags, Use: d.Use, Effect: d.Effect, Schema: d.Schema, Encrypted: d.Encrypted(), DataKey: d.DataKey,
		Parts: d.Parts, Version: d.Seq, Revision: d.Revision, Created: d.Created, Modified: d.Modified, User: d.User, IP: d.IP}
}
