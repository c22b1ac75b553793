package server

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/config"
)

// PolicyPath names a namespace by the policy of its documents.
type PolicyPath struct {
	Namespace string `path:"namespace" doc:"Namespace" example:"dev"`
}

// GroupPolicyPath names a group by the quotas of its documents.
type GroupPolicyPath struct {
	PolicyPath
	Group string `path:"group" doc:"Group" example:"DEFAULT_GROUP"`
}

func (f *face) mountPolicies(a huma.API) {
	tags := []string{"policies"}
	register(a, access.Reads(access.Config, ""), huma.Operation{OperationID: "list-config-policies", Method: http.MethodGet, Path: api.PathPolicies,
		Summary: "List the policies that were set, and what there is beside quotas", Tags: tags}, f.listPolicies)
	register(a, access.Reads(access.Config, inPath), huma.Operation{OperationID: "get-config-policy", Method: http.MethodGet, Path: api.PathPolicy,
		Summary: "Show the policy of a namespace", Tags: tags}, f.getPolicy)
	register(a, access.Writes(access.Admin, ""), huma.Operation{OperationID: "put-config-policy", Method: http.MethodPut, Path: api.PathPolicy,
		Summary: "Set quotas, validation and kept history of a namespace", Tags: tags}, f.putPolicy)
	register(a, access.Writes(access.Admin, ""), huma.Operation{OperationID: "delete-config-policy", Method: http.MethodDelete, Path: api.PathPolicy,
		Summary: "Take the policy of a namespace back", Tags: tags}, f.deletePolicy)
	register(a, access.Reads(access.Config, inPath), huma.Operation{OperationID: "get-group-policy", Method: http.MethodGet, Path: api.PathGroupPolicy,
		Summary: "Show the quotas of a group", Tags: tags}, f.getGroupPolicy)
	register(a, access.Writes(access.Admin, ""), huma.Operation{OperationID: "put-group-policy", Method: http.MethodPut, Path: api.PathGroupPolicy,
		Summary: "Set the quotas of a group", Tags: tags}, f.putGroupPolicy)
	register(a, access.Writes(access.Admin, ""), huma.Operation{OperationID: "delete-group-policy", Method: http.MethodDelete, Path: api.PathGroupPolicy,
		Summary: "Take the quotas of a group back", Tags: tags}, f.deleteGroupPolicy)
}

func quotaOf(q config.Quota) api.Quota { return api.Quota(q) }

func policyOf(snap *config.Snapshot, p *config.Policy) api.Policy {
	spec := api.PolicySpec{GroupPolicySpec: api.GroupPolicySpec{Hard: quotaOf(p.Hard), Soft: quotaOf(p.Soft)},
		Validate: string(p.Validate), HistoryDays: p.HistoryDays, HistoryCount: p.HistoryCount}
	return api.Policy{Namespace: p.Namespace, Group: p.Group, PolicySpec: spec, Revision: p.Revision,
		Usage: api.ConfigUsage(snap.Usage(p.Namespace, p.Group))}
}

type policyListAnswer struct{ Body api.PolicyList }

func (f *face) listPolicies(ctx context.Context, _ *struct{}) (*policyListAnswer, error) {
	snap, err := f.documents(ctx)
	if err != nil {
		return nil, err
	}
	list := api.PolicyList{Revision: snap.Revision(), Policies: []api.Policy{}}
	for _, p := range snap.Policies() {
		list.Policies = append(list.Policies, policyOf(snap, p))
	}
	return &policyListAnswer{list}, nil
}

type policyShown struct {
	Shown
	Body api.Policy
}

func (f *face) showPolicy(ctx context.Context, namespace, group string) (*policyShown, error) {
	snap, err := f.documents(ctx)
	if err != nil {
		return nil, err
	}
	p := policyOf(snap, snap.Policy(namespace, group))
	return &policyShown{Shown{revisionTag(p.Revision), snap.Revision()}, p}, nil
}

func (f *face) getPolicy(ctx context.Context, p *PolicyPath) (*policyShown, error) {
	return f.showPolicy(ctx, p.Namespace, "")
}

func (f *face) getGroupPolicy(ctx context.Context, p *GroupPolicyPath) (*policyShown, error) {
	return f.showPolicy(ctx, p.Namespace, p.Group)
}

// PolicyTerms is what a change of a policy may depend on.
type PolicyTerms struct {
	IfMatch     string `header:"If-Match" doc:"Write only over the policy of this revision, as its ETag says"`
	IfNoneMatch string `header:"If-None-Match" doc:"*: write only where there is none yet"`
}

// revision returns the one that the policy must have, -1 for any.
func (t PolicyTerms) revision() (int64, error) {
	switch {
	case t.IfNoneMatch != "" && t.IfNoneMatch != "*":
		return 0, badHeader("If-None-Match", t.IfNoneMatch, "is not *")
	case t.IfNoneMatch != "" && t.IfMatch != "":
		return 0, badHeader("If-Match", t.IfMatch, "contradicts If-None-Match")
	case t.IfNoneMatch != "":
		return 0, nil
	case t.IfMatch == "":
		return -1, nil
	}
	revision, ok := parseTag(t.IfMatch)
	if !ok || revision < 0 {
		return 0, badHeader("If-Match", t.IfMatch, "is not one revision in quotes")
	}
	return revision, nil
}

// setPolicy puts a policy in place; a zero one ends it.
func (f *face) setPolicy(ctx context.Context, p config.Policy, on PolicyTerms) (config.Receipt, error) {
	revision, err := on.revision()
	if err != nil {
		return config.Receipt{}, err
	}
	receipt, err := f.configs.SetPolicy(ctx, p, revision)
	if err != nil {
		return receipt, f.failure(err)
	}
	return receipt, nil
}

type policyAnswer struct {
	Written
	ETag string `header:"ETag" doc:"Revision at which it was set, in quotes; for If-Match"`
	Body api.Policy
}

func (f *face) policySet(ctx context.Context, p config.Policy, on PolicyTerms) (*policyAnswer, error) {
	receipt, err := f.setPolicy(ctx, p, on)
	if err != nil {
		return nil, err
	}
	snap := f.configs.Snapshot()
	body := policyOf(snap, snap.Policy(p.Namespace, p.Group))
	return &policyAnswer{written(receipt), revisionTag(body.Revision), body}, nil
}

type policyPut struct {
	PolicyPath
	PolicyTerms
	Body api.PolicySpec
}

func (f *face) putPolicy(ctx context.Context, in *policyPut) (*policyAnswer, error) {
	return f.policySet(ctx, config.Policy{Namespace: in.Namespace, Validate: config.Validation(in.Body.Validate),
		Hard: config.Quota(in.Body.Hard), Soft: config.Quota(in.Body.Soft), HistoryDays: in.Body.HistoryDays, HistoryCount: in.Body.HistoryCount}, in.PolicyTerms)
}

type groupPolicyPut struct {
	GroupPolicyPath
	PolicyTerms
	Body api.GroupPolicySpec
}

func (f *face) putGroupPolicy(ctx context.Context, in *groupPolicyPut) (*policyAnswer, error) {
	return f.policySet(ctx, config.Policy{Namespace: in.Namespace, Group: in.Group,
		Hard: config.Quota(in.Body.Hard), Soft: config.Quota(in.Body.Soft)}, in.PolicyTerms)
}

type policyDelete struct {
	PolicyPath
	PolicyTerms
}

func (f *face) deletePolicy(ctx context.Context, in *policyDelete) (*noContent, error) {
	receipt, err := f.setPolicy(ctx, config.Policy{Namespace: in.Namespace}, in.PolicyTerms)
	if err != nil {
		return nil, err
	}
	return &noContent{written(receipt)}, nil
}

type groupPolicyDelete struct {
	GroupPolicyPath
	PolicyTerms
}

func (f *face) deleteGroupPolicy(ctx context.Context, in *groupPolicyDelete) (*noContent, error) {
	receipt, err := f.setPolicy(ctx, config.Policy{Namespace: in.Namespace, Group: in.Group}, in.PolicyTerms)
	if err != nil {
		return nil, err
	}
	return &noContent{written(receipt)}, nil
}
