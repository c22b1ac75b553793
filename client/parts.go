package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/musterhq/muster/api"
)

// Parts returns the parts of the aggregate n.
func (c *Client) Parts(ctx context.Context, n Name) (api.PartList, error) {
	return exchange[api.PartList](ctx, c, call{method: http.MethodGet, path: n.service(api.PathParts)}, nil)
}

// Part returns the content of one part.
func (c *Client) Part(ctx context.Context, n Name, datumID string) ([]byte, error) {
	a, err := c.do(ctx, call{method: http.MethodGet, path: n.service(api.PathPart, datumID)})
	return a.body, err
}

// PutPart publishes one part, and returns the aggregate that stands then. Type and
// app are those of the aggregate; empty leaves them as they stand.
func (c *Client) PutPart(ctx context.Context, n Name, datumID string, content []byte, kind, app string) (api.ConfigWritten, error) {
	r := call{method: http.MethodPut, path: n.service(api.PathPart, datumID), body: content, query: url.Values{},
		header: http.Header{"Content-Type": {"application/octet-stream"}}}
	set(r.query, "type", kind)
	set(r.query, "app", app)
	return exchange[api.ConfigWritten](ctx, c, r, nil)
}

// DeletePart removes one part, and with the last one the aggregate.
func (c *Client) DeletePart(ctx context.Context, n Name, datumID string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: n.service(api.PathPart, datumID)})
	return err
}
