package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/musterhq/muster/api"
)

// Clients returns clients of Nacos that are connected over gRPC to any server, at most
// limit of those in which search is, those that lag most first.
func (c *Client) Clients(ctx context.Context, search string, limit int) (api.ClientList, error) {
	q := url.Values{"search": {search}, "limit": {strconv.Itoa(limit)}}
	return exchange[api.ClientList](ctx, c, call{method: http.MethodGet, path: api.PathClients, query: q}, nil)
}
