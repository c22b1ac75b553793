package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const maxAnswer = 256 << 20

// call is one request, told without the server it goes to.
type call struct {
	method string
	path   string // escaped
	query  url.Values
	header http.Header
	body   []byte
	once   bool          // must not happen twice
	wait   time.Duration // how long the server may hold it, on top of the timeout
}

// answer is a response whose body has been read.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do carries out one call, on as many servers and as often as it may be.
func (c *Client) do(ctx context.Context, r call) (answer, error) {
	if strings.HasSuffix(r.path, "/") || strings.Contains(r.path, "//") {
		return answer{}, fmt.Errorf("%s %s: a name is empty: %w", r.method, r.path, ErrInvalid)
	}
	failed := failures{servers: c.Servers()}
	doubt := false // an earlier try may have taken effect
	for round := range c.cfg.Rounds {
		if round > 0 {
			if err := sleep(ctx, c.pause(round-1)); err != nil {
				return answer{}, fmt.Errorf("%w (before that: %w)", err, failed.err())
			}
		}
		first := int(c.preferred.Load())
		for i := range c.servers {
			at := (first + i) % len(c.servers)
			a, err := c.try(ctx, c.servers[at], r)
			if err != nil && ctx.Err() != nil {
				return answer{}, err
			}
			if err == nil || !errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrUnreachable) && !errors.Is(err, ErrFull) {
				c.preferred.Store(int64(at))
				if doubt && r.method == http.MethodDelete && errors.Is(err, ErrNotFound) {
					return answer{status: http.StatusNoContent}, nil // gone, because the earlier try removed it
				}
				return a, err
			}
			failed.add(at, err)
			sent := !notSent(err) && !errors.Is(err, ErrFull) // who has no room has changed nothing
			doubt = doubt || sent
			if r.once && sent {
				return answer{}, failed.err()
			}
		}
	}
	return answer{}, failed.err()
}

// try carries out one call on one server.
func (c *Client) try(ctx context.Context, server string, r call) (answer, error) {
	limit := c.cfg.Timeout + r.wait
	bounded, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %v", limit))
	defer cancel()
	target := server + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(bounded, r.method, target, bytes.NewReader(r.body))
	if err != nil {
		return answer{}, fmt.Errorf("%s %s: %w: %w", r.method, r.path, ErrInvalid, err)
	}
	maps.Copy(req.Header, r.header)
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	resp, err := c.send(req)
	if err != nil {
		return answer{}, c.unreachable(ctx, bounded, server, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotModified {
		return answer{status: resp.StatusCode, header: resp.Header}, nil
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return answer{}, problem(resp)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, c.cfg.MaxAnswer+1))
	if err != nil {
		return answer{}, c.unreachable(ctx, bounded, server, err)
	}
	if int64(len(body)) > c.cfg.MaxAnswer {
		return answer{}, fmt.Errorf("%s %s: the answer is longer than %d bytes", r.method, r.path, c.cfg.MaxAnswer)
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: body}, nil
}

// unreachable returns the error of a try that got no answer. A caller who
// called it off learns that alone, for then nothing is known of the server.
func (c *Client) unreachable(ctx, bounded context.Context, server string, err error) error {
	if none, ok := errors.AsType[*tokenError](err); ok {
		return none
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return context.Cause(ctx)
	case bounded.Err() != nil:
		err = context.Cause(bounded)
	}
	return &UnreachableError{Servers: []string{server}, Err: err}
}

// notSent reports whether err shows that the request left for no server.
func notSent(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// sleep waits for d; it returns the cause when ctx ends before that.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// exchange does a call with a JSON body in and out. A nil in sends no body.
func exchange[T any](ctx context.Context, c *Client, r call, in any) (T, error) {
	out, _, err := tagged[T](ctx, c, r, in)
	return out, err
}

// tagged is exchange for an answer with an entity tag.
func tagged[T any](ctx context.Context, c *Client, r call, in any) (out T, tag string, err error) {
	if r, err = withJSON(r, in); err != nil {
		return out, "", err
	}
	a, err := c.do(ctx, r)
	if err != nil {
		return out, "", err
	}
	if err := json.Unmarshal(a.body, &out); err != nil {
		return out, "", fmt.Errorf("%s %s: the answer is not the expected JSON, is this a Muster server: %w", r.method, r.path, err)
	}
	return out, unquote(a.header.Get("ETag")), nil
}

// withJSON returns r with in as its body, unless that is nil.
func withJSON(r call, in any) (call, error) {
	if in == nil {
		return r, nil
	}
	var err error
	if r.body, err = json.Marshal(in); err != nil {
		return r, fmt.Errorf("%s %s: %w: %w", r.method, r.path, ErrInvalid, err)
	}
	if r.header == nil {
		r.header = http.Header{}
	}
	r.header.Set("Content-Type", "application/json")
	return r, nil
}
