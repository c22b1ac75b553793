package server

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/config"
)

// ReleasePath names a gray release of a document in a path.
type ReleasePath struct {
	ConfigPath
	Release string `path:"release" doc:"Name of the gray release" example:"canary"`
}

func (f *face) mountReleases(a huma.API) {
	tags := []string{"releases"}
	register(a, access.Reads(access.Config, inPath), huma.Operation{OperationID: "list-releases", Method: http.MethodGet, Path: api.PathReleases,
		Summary: "List the gray releases of a document", Tags: tags}, f.listReleases)
	register(a, access.Reads(access.Config, inPath), huma.Operation{OperationID: "get-release", Method: http.MethodGet, Path: api.PathRelease,
		Summary: "Show a gray release without its content", Tags: tags}, f.getRelease)
	register(a, access.Writes(access.Config, inPath), huma.Operation{OperationID: "put-release", Method: http.MethodPut, Path: api.PathRelease,
		Summary: "Publish a gray release", Tags: tags, MaxBodyBytes: maxConfigBody, BodyReadTimeout: bodyTimeout}, f.putRelease)
	register(a, access.Writes(access.Config, inPath), huma.Operation{OperationID: "patch-release", Method: http.MethodPatch, Path: api.PathRelease,
		Summary: "Change whom a gray release is for", Tags: tags}, f.patchRelease)
	register(a, access.Writes(access.Config, inPath), huma.Operation{OperationID: "delete-release", Method: http.MethodDelete, Path: api.PathRelease,
		Summary: "Withdraw a gray release", Tags: tags}, f.deleteRelease)
	register(a, access.Writes(access.Config, inPath), huma.Operation{OperationID: "promote-release", Method: http.MethodPost, Path: api.PathPromote,
		Summary: "Make the content of a gray release that of the document, and end the release", Tags: tags}, f.promoteRelease)
}

func ruleOf(r config.Rule) api.Rule {
	return api.Rule{IPs: r.IPs, Tag: r.Tag, Percent: r.Percent, Labels: r.Labels}
}

func releaseOf(r *config.Release) api.Release {
	return api.Release{Name: r.Name, Rule: ruleOf(r.Rule), Priority: r.Priority, Config: configOf(&r.Document)}
}

type releaseListAnswer struct{ Body api.ReleaseList }

func (f *face) listReleases(ctx context.Context, p *ConfigPath) (*releaseListAnswer, error) {
	snap, err := f.documents(ctx)
	if err != nil {
		return nil, err
	}
	list := api.ReleaseList{Revision: snap.Revision(), Releases: []api.Release{}}
	for _, r := range snap.Releases(p.key()) {
		one := releaseOf(r)
		one.Config.Schema = ""
		list.Releases = append(list.Releases, one)
	}
	return &releaseListAnswer{list}, nil
}

type releaseShown struct {
	Shown
	Body api.Release
}

func (f *face) getRelease(ctx context.Context, p *ReleasePath) (*releaseShown, error) {
	snap, err := f.documents(ctx)
	if err != nil {
		return nil, err
	}
	r := snap.Release(p.key(), p.Release)
	if r == nil {
		return nil, f.failure(noRelease(p))
	}
	return &releaseShown{Shown{etag(r.MD5), snap.Revision()}, releaseOf(r)}, nil
}

func noRelease(p *ReleasePath) error {
	return fmt.Errorf("release %s of %s: %w", p.Release, p.key(), config.ErrNotFound)
}

type releasePut struct {
	ReleasePath
	ConfigMaking
	ConfigMeta
	IPs      []string `query:"ips" doc:"For clients at these addresses or networks, separated by commas"`
	Tag      string   `query:"tag" doc:"For clients with this tag"`
	Percent  float64  `query:"percent" minimum:"0" maximum:"100" doc:"For this share of all clients; who is in stays in when it grows" example:"10"`
	Labels   string   `query:"labels" doc:"For clients with all these labels, as name=value separated by commas"`
	Priority int      `query:"priority" doc:"The highest whose rule matches is chosen"`
	RawBody  []byte   `contentType:"text/plain"`
}

type releaseAnswer struct {
	ConfigOutcome
	Body api.ReleaseWritten
}

func (f *face) putRelease(ctx context.Context, in *releasePut) (*releaseAnswer, error) {
	labels, err := parseLabels(in.Labels)
	if err != nil {
		return nil, f.failure(&config.InvalidError{Field: "query.labels", Value: in.Labels, Reason: err.Error()})
	}
	draft := config.ReleaseDraft{Draft: in.draft(ctx, in.key(), in.RawBody), Name: in.Release, Priority: in.Priority,
		Rule: config.Rule{IPs: in.IPs, Tag: in.Tag, Percent: in.Percent, Labels: labels}}
	if draft.If, err = in.condition(); err != nil {
		return nil, err
	}
	return f.release(ctx, draft)
}

func (f *face) release(ctx context.Context, draft config.ReleaseDraft) (*releaseAnswer, error) {
	r, receipt, err := f.configs.Release(ctx, draft)
	if err != nil {
		return nil, f.failure(err)
	}
	return &releaseAnswer{outcomeOf(&r.Document, receipt), api.ReleaseWritten{Release: releaseOf(r), Warnings: receipt.Warnings}}, nil
}

type releasePatch struct {
	ReleasePath
	ConfigTerms
	Body api.ReleaseEdit
}

// patchRelease publishes the content that stands under another rule, unless it is
// changed meanwhile.
func (f *face) patchRelease(ctx context.Context, in *releasePatch) (*releaseAnswer, error) {
	only, err := in.condition()
	if err != nil {
		return nil, err
	}
	snap, err := f.documents(ctx)
	if err != nil {
		return nil, err
	}
	r := snap.Release(in.key(), in.Release)
	if r == nil {
		return nil, f.failure(noRelease(&in.ReleasePath))
	}
	content, err := f.configs.Content(ctx, &r.Document)
	if err != nil {
		return nil, f.failure(err)
	}
	if only.Revision == 0 {
		only.Revision, only.Exists = r.Revision, true
	}
	draft := config.ReleaseDraft{Name: r.Name, Rule: r.Rule, Priority: r.Priority,
		Draft: config.Draft{Key: r.Key, Content: content, DataKey: r.DataKey, Keep: true, If: only, Author: author(ctx)}}
	if rule := in.Body.Rule; rule != nil {
		draft.Rule = config.Rule{IPs: rule.IPs, Tag: rule.Tag, Percent: rule.Percent, Labels: rule.Labels}
	}
	if in.Body.Priority != nil {
		draft.Priority = *in.Body.Priority
	}
	return f.release(ctx, draft)
}

func (f *face) deleteRelease(ctx context.Context, p *ReleasePath) (*noContent, error) {
	existed, receipt, err := f.configs.Withdraw(ctx, p.key(), p.Release, author(ctx))
	if err == nil && !existed {
		err = noRelease(p)
	}
	if err != nil {
		return nil, f.failure(err)
	}
	return &noContent{written(receipt)}, nil
}

type releasePromote struct {
	ConfigPath
	ConfigMaking
	Release string `path:"release" doc:"Name of the gray release" example:"beta"`
}

func (f *face) promoteRelease(ctx context.Context, in *releasePromote) (*configAnswer, error) {
	only, err := in.condition()
	if err != nil {
		return nil, err
	}
	head, receipt, err := f.configs.Promote(ctx, in.key(), in.Release, only, author(ctx))
	return f.published(head, receipt, err)
}
