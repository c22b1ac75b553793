package client

import (
	"context"
	"errors"
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
	return exchange[api.MemberList](ctx, c, call{method: http.MethodGet, path: api.PathMembers}, nil)
}

// AddMember makes room for one more member and returns how its server must be
// started.
func (c *Client) AddMember(ctx context.Context, m api.MemberSpec) (api.MemberAdded, error) {
	return exchange[api.MemberAdded](ctx, c, call{method: http.MethodPost, path: api.PathMembers, once: true, wait: memberWait}, m)
}

// RemoveMember takes a member out of the cluster, by its name, id or address. With force
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
// same. Servers are tried one after another until one begins to answer; from then
// on it takes as long as ctx lets it.
func (c *Client) Backup(ctx context.Context, w io.Writer) (int64, error) {
	return c.stream(ctx, "backup", api.PathBackup, w)
}

// stream writes the answer to a GET to w, as it comes.
func (c *Client) stream(ctx context.Context, what, path string, w io.Writer) (int64, error) {
	failed := failures{servers: c.Servers()}
	first := int(c.preferred.Load())
	for i := range c.servers {
		at := (first + i) % len(c.servers)
		resp, err := c.begin(ctx, c.servers[at], path)
		if err != nil {
			failed.add(at, err)
			if ctx.Err() == nil && (errors.Is(err, ErrUnavailable) || errors.Is(err, ErrUnreachable)) {
				continue
			}
			return 0, err
		}
		defer resp.Body.Close()
		n, err := io.Copy(w, resp.Body)
		if err != nil {
			return n, fmt.Errorf("%s broke off after %d bytes: %w", what, n, err)
		}
		return n, nil
	}
	return 0, failed.err()
}

// begin sends a GET and returns the answer with its body still to be read; it
// waits for its begin as long as a try may take.
func (c *Client) begin(ctx context.Context, server, path string) (*http.Response, error) {
	bounded, cancel := context.WithCancelCause(ctx)
	late := time.AfterFunc(c.cfg.Timeout, func() { cancel(fmt.Errorf("no answer within %v", c.cfg.Timeout)) })
	req, err := http.NewRequestWithContext(bounded, http.MethodGet, server+path, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w", path, err)
	}
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	resp, err := c.send(req)
	if !late.Stop() && err == nil { // too late by a hair: the body is cut off already
		_ = resp.Body.Close()
		err = context.Cause(bounded)
	}
	if err != nil {
		return nil, c.unreachable(ctx, bounded, server, err)
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		return nil, problem(resp)
	}
	return resp, nil
}
