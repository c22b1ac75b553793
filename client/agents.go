package client

import (
	"context"
	"net"
	"net/http"
	"strconv"

	"github.com/musterhq/muster/api"
)

// Endpoint returns address:port as paths name an instance, an IPv6 address in
// brackets.
func Endpoint(address string, port uint16) string {
	return net.JoinHostPort(address, strconv.Itoa(int(port)))
}

// Agents lists the agents that the server knows.
func (c *Client) Agents(ctx context.Context) (api.AgentList, error) {
	return exchange[api.AgentList](ctx, c, call{method: http.MethodGet, path: api.PathAgents}, nil)
}

// PutAgent declares the whole set of the agent id, in place of what it
// declared before.
func (c *Client) PutAgent(ctx context.Context, id string, s api.AgentSet) (api.AgentAnswer, error) {
	return exchange[api.AgentAnswer](ctx, c, call{method: http.MethodPut, path: fill(api.PathAgent, id)}, s)
}

// BeatAgent says that the agent id is alive. The error is ErrNotFound when the
// server does not know the agent.
func (c *Client) BeatAgent(ctx context.Context, id string, b api.AgentBeat) (api.AgentAnswer, error) {
	return exchange[api.AgentAnswer](ctx, c, call{method: http.MethodPost, path: fill(api.PathAgentBeat, id)}, b)
}

// DeleteAgent deregisters the agent id and its whole set.
func (c *Client) DeleteAgent(ctx context.Context, id string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: fill(api.PathAgent, id)})
	return err
}

// Status returns what the server that answers says of itself.
func (c *Client) Status(ctx context.Context) (api.Status, error) {
	return exchange[api.Status](ctx, c, call{method: http.MethodGet, path: api.PathStatus}, nil)
}
