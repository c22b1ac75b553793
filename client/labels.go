package client

import (
	"context"
	"net/http"

	"github.com/musterhq/muster/api"
)

// Labels returns the labels of an IP address or a host name, and how the server
// comes by them. A server without a source of labels answers [ErrNotFound], one
// that has not read them yet [ErrUnavailable].
func (c *Client) Labels(ctx context.Context, address string) (api.AddressLabels, error) {
	return exchange[api.AddressLabels](ctx, c, call{method: http.MethodGet, path: fill(api.PathLabels, address)}, nil)
}
