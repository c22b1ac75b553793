package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/musterhq/muster/api"
)

// Namespaces returns one page of the namespaces, those that are used and not
// declared too. Of q it takes search, page and size.
func (c *Client) Namespaces(ctx context.Context, q Query) (api.NamespaceList, error) {
	q.Namespace, q.Group = "", ""
	return exchange[api.NamespaceList](ctx, c, call{method: http.MethodGet, path: api.PathNamespaces, query: q.values()}, nil)
}

// Namespace returns a namespace with the tag of its last change, for Terms; the
// tag is empty for one that is not declared.
func (c *Client) Namespace(ctx context.Context, id string) (api.Namespace, string, error) {
	return tagged[api.Namespace](ctx, c, call{method: http.MethodGet, path: fill(api.PathNamespace, id)}, nil)
}

// PutNamespace declares a namespace, or replaces what is said of it, and returns
// it as it then is.
func (c *Client) PutNamespace(ctx context.Context, id string, spec api.NamespaceSpec, on ...Terms) (api.Namespace, error) {
	return exchange[api.Namespace](ctx, c, under(call{method: http.MethodPut, path: fill(api.PathNamespace, id)}, on), spec)
}

// DeleteNamespace takes the declaration of a namespace back. One that services or
// documents are in is a conflict, unless they are to be left where they are.
func (c *Client) DeleteNamespace(ctx context.Context, id string, leave bool, on ...Terms) error {
	r := under(call{method: http.MethodDelete, path: fill(api.PathNamespace, id)}, on)
	if leave {
		if r.query == nil {
			r.query = url.Values{}
		}
		r.query.Set("leave", "true")
	}
	_, err := c.do(ctx, r)
	return err
}
