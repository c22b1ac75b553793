package client

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/musterhq/muster/api"
)

// Releases returns the gray releases of the document n, in the order they are tried in.
func (c *Client) Releases(ctx context.Context, n Name) (api.ReleaseList, error) {
	return exchange[api.ReleaseList](ctx, c, call{method: http.MethodGet, path: n.service(api.PathReleases)}, nil)
}

// Release returns a gray release without its content; [Client.ConfigAt] reads that.
func (c *Client) Release(ctx context.Context, n Name, name string) (api.Release, error) {
	return exchange[api.Release](ctx, c, call{method: http.MethodGet, path: n.service(api.PathRelease, name)}, nil)
}

// ReleaseWrite says how PutRelease writes. Its conditions are about the release.
type ReleaseWrite struct {
	ConfigWrite

	Rule     api.Rule // whom it is for
	Priority int      // the highest whose rule matches is chosen
}

// PutRelease publishes a gray release of the document n.
func (c *Client) PutRelease(ctx context.Context, n Name, name string, content []byte, w ReleaseWrite) (api.ReleaseWritten, error) {
	r := w.call(n.service(api.PathRelease, name), content)
	set(r.query, "ips", strings.Join(w.Rule.IPs, ","))
	set(r.query, "tag", w.Rule.Tag)
	set(r.query, "labels", FormatLabels(w.Rule.Labels))
	setInt(r.query, "priority", w.Priority)
	if w.Rule.Percent != 0 {
		r.query.Set("percent", strconv.FormatFloat(w.Rule.Percent, 'g', -1, 64))
	}
	return exchange[api.ReleaseWritten](ctx, c, r, nil)
}

// FormatLabels returns labels as name=value, separated by commas.
func FormatLabels(labels map[string]string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		all = append(all, name+"="+labels[name])
	}
	return strings.Join(all, ",")
}

// EditRelease changes whom a gray release is for; its content stays.
func (c *Client) EditRelease(ctx context.Context, n Name, name string, edit api.ReleaseEdit, on ConfigTerms) (api.ReleaseWritten, error) {
	r := on.under(call{method: http.MethodPatch, path: n.service(api.PathRelease, name)})
	return exchange[api.ReleaseWritten](ctx, c, r, edit)
}

// WithdrawRelease ends a gray release.
func (c *Client) WithdrawRelease(ctx context.Context, n Name, name string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: n.service(api.PathRelease, name)})
	return err
}

// PromoteRelease makes the content of a gray release that of the document, and ends
// the release. The conditions are about the document.
func (c *Client) PromoteRelease(ctx context.Context, n Name, name string, on ConfigTerms) (api.ConfigWritten, error) {
	r := on.under(call{method: http.MethodPost, path: n.service(api.PathPromote, name), once: true})
	return exchange[api.ConfigWritten](ctx, c, r, nil)
}
