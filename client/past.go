package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/musterhq/muster/api"
)

// ConfigHistory returns one page of what was done to the document n, the newest
// first: records numbered below before, 0 is from the newest on.
func (c *Client) ConfigHistory(ctx context.Context, n Name, before int64, size int) (api.ConfigHistory, error) {
	query := url.Values{}
	setInt(query, "before", int(before))
	setInt(query, "size", size)
	return exchange[api.ConfigHistory](ctx, c, call{method: http.MethodGet, path: n.service(api.PathConfigHistory), query: query}, nil)
}

// ConfigRecord returns one record of the history of n, with the content if that is
// wanted; the error is ErrNotFound where it is not kept.
func (c *Client) ConfigRecord(ctx context.Context, n Name, seq int64, content bool) (api.ConfigRecord, error) {
	r := call{method: http.MethodGet, path: n.service(api.PathConfigRecord, strconv.FormatInt(seq, 10)), query: url.Values{}}
	if content {
		r.query.Set("content", "true")
	}
	return exchange[api.ConfigRecord](ctx, c, r, nil)
}

// DiffConfig compares two versions of the document n and returns a unified diff,
// which is empty when they are equal. They are numbers of history records; to may
// be empty for what stands now, from for the version before the other one.
func (c *Client) DiffConfig(ctx context.Context, n Name, from, to string) (string, error) {
	query := url.Values{}
	set(query, "from", from)
	set(query, "to", to)
	a, err := c.do(ctx, call{method: http.MethodGet, path: n.service(api.PathConfigDiff), query: query})
	return string(a.body), err
}

// RevertConfig publishes the version of a history record anew and returns what
// stands then.
func (c *Client) RevertConfig(ctx context.Context, n Name, seq int64, on ConfigTerms) (api.ConfigWritten, error) {
	r := on.under(call{method: http.MethodPost, path: n.service(api.PathConfigRevert)})
	return exchange[api.ConfigWritten](ctx, c, r, api.ConfigRevert{Seq: seq})
}
