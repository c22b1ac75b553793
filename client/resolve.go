package client

import (
	"context"
	"net/http"

	"github.com/musterhq/muster/api"
)

// ResolveQuery is a DNS question that is to be explained.
type ResolveQuery struct {
	Name string // below the first zone of the server, or a whole one
	Type string // empty means SRV
	From string // IP address of who would ask, empty: of nobody in particular
}

// Explain returns how the server comes by its answer to a DNS question.
func (c *Client) Explain(ctx context.Context, q ResolveQuery) (api.Explanation, error) {
	r := call{method: http.MethodGet, path: api.PathResolve, query: map[string][]string{"name": {q.Name}}}
	set(r.query, "type", q.Type)
	set(r.query, "from", q.From)
	return exchange[api.Explanation](ctx, c, r, nil)
}
