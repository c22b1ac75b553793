package client

import (
	"context"
	"net/http"

	"github.com/musterhq/muster/api"
)

// ConfigTrack returns which clients hold which content of the document n, and how
// far the newest has reached them.
func (c *Client) ConfigTrack(ctx context.Context, n Name) (api.ConfigTrack, error) {
	return exchange[api.ConfigTrack](ctx, c, call{method: http.MethodGet, path: n.service(api.PathConfigTrack)}, nil)
}

// ConfigClient returns what one client holds: an agent by its id, or an address.
func (c *Client) ConfigClient(ctx context.Context, id string) (api.ConfigClient, error) {
	return exchange[api.ConfigClient](ctx, c, call{method: http.MethodGet, path: fill(api.PathConfigClient, id)}, nil)
}
