package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"time"
)

// Relayed is a call of another API that the servers answer too.
type Relayed struct {
	Method string
	Path   string // escaped, with its query
	Header http.Header
	Body   []byte
	Once   bool          // must not happen twice
	Wait   time.Duration // how long the server may hold it, on top of the timeout
}

// RelayedAnswer is what a server answered, a failure too.
type RelayedAnswer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Relay carries a call to the servers in turn and returns what the first of them
// answers that is able to. Where none is, it is the answer of the last one that
// gave one, or an error that is ErrUnreachable.
func (c *Client) Relay(ctx context.Context, r Relayed) (RelayedAnswer, error) {
	var last RelayedAnswer
	var failed error
	first := int(c.preferred.Load())
	for i := range c.servers {
		at := (first + i) % len(c.servers)
		a, err := c.relay(ctx, c.servers[at], r)
		switch {
		case err == nil && !unable(a.Status):
			c.preferred.Store(int64(at))
			return a, nil
		case err == nil:
			last = a
		case ctx.Err() != nil || !errors.Is(err, ErrUnreachable):
			return RelayedAnswer{}, err
		default:
			failed = err
		}
		if r.Once && (err == nil || !notSent(err)) {
			break
		}
	}
	if last.Status != 0 {
		return last, nil
	}
	if u, ok := errors.AsType[*UnreachableError](failed); ok {
		u.Servers = c.Servers()
	}
	return last, failed
}

// unable reports whether another server may do better.
func unable(status int) bool {
	switch status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusInsufficientStorage:
		return true
	}
	return false
}

func (c *Client) relay(ctx context.Context, server string, r Relayed) (a RelayedAnswer, err error) {
	limit := c.cfg.Timeout + r.Wait
	bounded, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %v", limit))
	defer cancel()
	req, err := http.NewRequestWithContext(bounded, r.Method, server+r.Path, bytes.NewReader(r.Body))
	if err != nil {
		return a, fmt.Errorf("%s: %w", r.Method, ErrInvalid) // the path may hold anything
	}
	maps.Copy(req.Header, r.Header)
	resp, err := c.send(req)
	if err != nil {
		return a, c.unreachable(ctx, bounded, server, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, c.cfg.MaxAnswer+1))
	switch {
	case err != nil:
		return a, c.unreachable(ctx, bounded, server, err)
	case int64(len(body)) > c.cfg.MaxAnswer:
		return a, fmt.Errorf("%s: the answer is longer than %d bytes", r.Method, c.cfg.MaxAnswer)
	}
	return RelayedAnswer{resp.StatusCode, resp.Header, body}, nil
}

// IdentityHeader returns the headers by which the client says who it is.
func (c *Client) IdentityHeader() http.Header { return c.identity.Clone() }
