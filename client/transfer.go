package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/musterhq/muster/api"
)

// ExportConfigs writes an archive of documents to w, as it comes, and returns its
// length: those of a namespace, or all. Secrets is clear or omit, or empty: then the
// error is ErrConflict where documents are encrypted. It takes as long as ctx lets it.
func (c *Client) ExportConfigs(ctx context.Context, namespace, secrets string, w io.Writer) (int64, error) {
	query := url.Values{}
	set(query, "namespace", namespace)
	set(query, "secrets", secrets)
	return c.stream(ctx, "export", api.PathConfigExport+"?"+query.Encode(), w)
}

// ImportConfigs brings the documents of an archive back. OnConflict says what becomes
// of those that are there already; empty changes nothing then, and the error is
// ErrConflict. It is sent to one server, once, and takes as long as ctx lets it.
func (c *Client) ImportConfigs(ctx context.Context, archive io.Reader, size int64, onConflict string) (api.ConfigImport, error) {
	query := url.Values{}
	set(query, "onConflict", onConflict)
	server := c.servers[int(c.preferred.Load())%len(c.servers)]
	var out api.ConfigImport
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server+api.PathConfigImport+"?"+query.Encode(), archive)
	if err != nil {
		return out, fmt.Errorf("import: %w", err)
	}
	req.ContentLength = size
	req.Header.Set("Content-Type", "application/zip")
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	resp, err := c.send(req)
	if err != nil {
		return out, c.unreachable(ctx, ctx, server, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return out, problem(resp)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&out); err != nil {
		return out, fmt.Errorf("import: the answer is not the expected JSON, is this a Muster server: %w", err)
	}
	return out, nil
}

// CloneConfigs copies documents to another namespace.
func (c *Client) CloneConfigs(ctx context.Context, what api.ConfigClone) (api.ConfigImport, error) {
	return exchange[api.ConfigImport](ctx, c, call{method: http.MethodPost, path: api.PathConfigClone, once: true}, what)
}
