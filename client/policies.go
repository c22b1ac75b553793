package client

import (
	"context"
	"net/http"

	"github.com/musterhq/muster/api"
)

// Policies returns the policies of documents that were set.
func (c *Client) Policies(ctx context.Context) (api.PolicyList, error) {
	return exchange[api.PolicyList](ctx, c, call{method: http.MethodGet, path: api.PathPolicies}, nil)
}

// policy returns the path of the policy of a namespace, or of a group in it.
func policy(namespace, group string) string {
	if group == "" {
		return fill(api.PathPolicy, namespace)
	}
	return fill(api.PathGroupPolicy, namespace, group)
}

// Policy returns the policy of a namespace, or with a group that of the group,
// with the tag of its last change, for Terms; the tag is empty where none was set.
func (c *Client) Policy(ctx context.Context, namespace, group string) (api.Policy, string, error) {
	return tagged[api.Policy](ctx, c, call{method: http.MethodGet, path: policy(namespace, group)}, nil)
}

// SetPolicy sets the policy of a namespace in place of the one that stands.
func (c *Client) SetPolicy(ctx context.Context, namespace string, spec api.PolicySpec, on ...Terms) (api.Policy, error) {
	return exchange[api.Policy](ctx, c, under(call{method: http.MethodPut, path: policy(namespace, "")}, on), spec)
}

// SetGroupPolicy sets the quotas of a group in place of those that stand.
func (c *Client) SetGroupPolicy(ctx context.Context, namespace, group string, spec api.GroupPolicySpec, on ...Terms) (api.Policy, error) {
	return exchange[api.Policy](ctx, c, under(call{method: http.MethodPut, path: policy(namespace, group)}, on), spec)
}

// DeletePolicy takes a policy back.
func (c *Client) DeletePolicy(ctx context.Context, namespace, group string, on ...Terms) error {
	_, err := c.do(ctx, under(call{method: http.MethodDelete, path: policy(namespace, group)}, on))
	return err
}
