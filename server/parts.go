package server

import (
	"bytes"
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/config"
)

// AggregatePath names a document that is joined of parts in a path.
type AggregatePath struct {
	Namespace string `path:"namespace" doc:"Namespace" example:"public"`
	Group     string `path:"group" doc:"Group" example:"DEFAULT_GROUP"`
	DataID    string `path:"dataId" doc:"Data id" example:"routes"`
}

func (p AggregatePath) key() config.Key { return ConfigPath(p).key() }

// PartPath names a part of an aggregate in a path.
type PartPath struct {
	AggregatePath
	DatumID string `path:"datumId" doc:"Id of the part" example:"web-1"`
}

func (f *face) mountParts(a huma.API) {
	tags := []string{"parts"}
	register(a, access.Reads(access.Config, inPath), huma.Operation{OperationID: "list-parts", Method: http.MethodGet, Path: api.PathParts,
		Summary: "List the parts of an aggregate", Tags: tags}, f.listParts)
	register(a, access.Reads(access.Config, inPath), huma.Operation{OperationID: "get-part", Method: http.MethodGet, Path: api.PathPart,
		Summary: "Read a part of an aggregate", Tags: tags, Responses: rawContent()}, f.getPart)
	register(a, access.Writes(access.Config, inPath), huma.Operation{OperationID: "put-part", Method: http.MethodPut, Path: api.PathPart,
		Summary: "Publish a part, and with it the aggregate", Tags: tags, MaxBodyBytes: maxConfigBody, BodyReadTimeout: bodyTimeout}, f.putPart)
	register(a, access.Writes(access.Config, inPath), huma.Operation{OperationID: "delete-part", Method: http.MethodDelete, Path: api.PathPart,
		Summary: "Remove a part, and with the last one the aggregate", Tags: tags}, f.deletePart)
}

func partOf(p *config.Part) api.Part {
	return api.Part{DatumID: p.DatumID, MD5: p.MD5, Size: p.Size, Revision: p.Revision, Modified: p.Modified, User: p.User, IP: p.IP}
}

type partListAnswer struct{ Body api.PartList }

func (f *face) listParts(ctx context.Context, p *AggregatePath) (*partListAnswer, error) {
	snap, err := f.documents(ctx)
	if err != nil {
		return nil, err
	}
	list := api.PartList{Revision: snap.Revision(), Parts: []api.Part{}}
	for _, part := range snap.Parts(p.key()) {
		list.Parts = append(list.Parts, partOf(part))
	}
	return &partListAnswer{list}, nil
}

type partContent struct {
	ETag        string `header:"ETag" doc:"MD5 of the part, in quotes"`
	ContentType string `header:"Content-Type"`
	Modified    string `header:"Last-Modified"`
	Revision    int64  `header:"Muster-Revision" doc:"Revision of its last change"`
	Body        []byte
}

func (f *face) getPart(ctx context.Context, p *PartPath) (*partContent, error) {
	part, content, err := f.configs.PartContent(ctx, p.key(), p.DatumID)
	if err != nil {
		return nil, f.failure(err)
	}
	return &partContent{etag(part.MD5), "text/plain; charset=utf-8", part.Modified.UTC().Format(http.TimeFormat), part.Revision, content}, nil
}

type partPut struct {
	PartPath
	Type    string `query:"type" doc:"Type of the aggregate; as it stands when absent"`
	App     string `query:"app" doc:"Application of the aggregate; as it stands when absent"`
	RawBody []byte `contentType:"text/plain"`
}

func (f *face) putPart(ctx context.Context, in *partPut) (*configAnswer, error) {
	// The body's buffer is used again for other calls; the store keeps contents.
	head, receipt, err := f.configs.PutPart(ctx, config.PartDraft{Key: in.key(), DatumID: in.DatumID, Content: bytes.Clone(in.RawBody),
		Type: in.Type, App: in.App, Author: author(ctx)})
	return f.published(head, receipt, err)
}

func (f *face) deletePart(ctx context.Context, p *PartPath) (*noContent, error) {
	_, receipt, err := f.configs.DeletePart(ctx, p.key(), p.DatumID, author(ctx))
	if err != nil {
		return nil, f.failure(err)
	}
	return &noContent{written(receipt)}, nil
}
