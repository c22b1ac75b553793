package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/musterhq/muster/api"
)

// memberWait is how long a change of members may take: etcd first wants to have
// heard of all of them for a while.
const memberWait = 15 * time.Second

// ServerStates returns every live server, as the one that is asked sees them.
func (c *Client) ServerStates(ctx context.Context) (api.ServerList, error) {
	return exchange[api.ServerList](ctx, c, call{method: http.MethodGet, path: api.PathServers}, nil)
}

// Confirm tells the judge that what fell silent is gone indeed: removals that
// are held back go on at once. It returns the protection as it was.
func (c *Client) Confirm(ctx context.Context) (api.Protection, error) {
	return exchange[api.Protection](ctx, c, call{method: http.MethodPost, path: api.PathConfirm}, nil)
}

// Members returns the members of the embedded etcd cluster.
func (c *Client) Members(ctx context.Context) (api.MemberList, error) {
	return exchange[api.MemberList](ctx, c, call{method: http.MethodGet, path: api.PathMembers, wait: memberWait}, nil)
}

// AddMember makes room for one more member and returns how its server must be
// started.
func (c *Client) AddMember(ctx context.Context, m api.MemberSpec) (api.MemberAdded, error) {
	return exchange[api.MemberAdded](ctx, c, call{method: http.MethodPost, path: api.PathMembers, once: true, wait: memberWait}, m)
}

// RemoveMember takes a member out of the cluster, by its name or id. With force
// also when those that are left could not agree on anything.
func (c *Client) RemoveMember(ctx context.Context, member string, force bool) error {
	r := call{method: http.MethodDelete, path: fill(api.PathMember, member), wait: memberWait, query: url.Values{}}
	if force {
		r.query.Set("force", "true")
	}
	_, err := c.do(ctx, r)
	return err
}

// Backup writes a snapshot of everything to w, as it comes, and returns its
// length. It is complete only if the error is nil, and to be verified all the
// same. It asks one server, once, and takes as long as ctx lets it.
func (c *Client) Backup(ctx context.Context, w io.Writer) (int64, error) {
	server := c.Server()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server+api.PathBackup, http.NoBody)
	if err != nil {
		return 0, fmt.Errorf("backup: %w", err)
	}
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, c.unreachable(ctx, ctx, server, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, problem(resp)
	}
	n, err := io.Copy(w, resp.Body)
	if err != nil {
		return n, fmt.Errorf("backup broke off after %d bytes: %w", n, err)
	}
	return n, nil
}
