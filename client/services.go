package client

import (
	"context"
	"net/http"
	"time"

	"github.com/musterhq/muster/api"
)

// Services returns one page of the services that q selects.
func (c *Client) Services(ctx context.Context, q Query) (api.ServiceList, error) {
	return exchange[api.ServiceList](ctx, c, call{method: http.MethodGet, path: api.PathServices, query: q.values()}, nil)
}

// Service returns the service n, or an error that is ErrNotFound.
func (c *Client) Service(ctx context.Context, n Name) (api.Service, error) {
	return exchange[api.Service](ctx, c, call{method: http.MethodGet, path: n.service(api.PathService)}, nil)
}

// PutService creates the service n or sets what spec says of it, and returns
// it as it then is.
func (c *Client) PutService(ctx context.Context, n Name, spec api.ServiceSpec) (api.Service, error) {
	return exchange[api.Service](ctx, c, call{method: http.MethodPut, path: n.service(api.PathService)}, spec)
}

// ClaimName makes the service n the holder of its folded DNS name, whoever holds
// it now, and returns the service as it then is. One that has no such name is a
// conflict.
func (c *Client) ClaimName(ctx context.Context, n Name) (api.Service, error) {
	return exchange[api.Service](ctx, c, call{method: http.MethodPost, path: n.service(api.PathClaim)}, nil)
}

// DeleteService removes the service n. One that has instances is a conflict.
func (c *Client) DeleteService(ctx context.Context, n Name) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: n.service(api.PathService)})
	return err
}

// InstanceQuery selects instances of one service; zero selects all.
type InstanceQuery struct {
	Healthy bool   // only those that are healthy and enabled
	Cluster string // only those of this cluster
}

// Instances returns the instances of the service n that q selects.
func (c *Client) Instances(ctx context.Context, n Name, q InstanceQuery) (api.InstanceList, error) {
	r := call{method: http.MethodGet, path: n.service(api.PathInstances), query: map[string][]string{}}
	if q.Healthy {
		r.query.Set("healthy", "true")
	}
	set(r.query, "cluster", q.Cluster)
	return exchange[api.InstanceList](ctx, c, r, nil)
}

// Register registers the instance, or sets it anew, and returns it as the
// server then holds it.
func (c *Client) Register(ctx context.Context, n Name, i api.Instance) (api.Instance, error) {
	r := call{method: http.MethodPut, path: n.instance(api.PathInstance, Endpoint(i.Address, i.Port))}
	return exchange[api.Instance](ctx, c, r, i)
}

// InstancePatch is the operator's say on an instance: what is nil stays as its
// owner declared it.
type InstancePatch struct {
	Weight   *float64          `json:"weight,omitempty"`
	Enabled  *bool             `json:"enabled,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
}

// UpdateInstance lays patch over the instance and returns the instance as it
// is then answered. No later declaration by its owner undoes it.
func (c *Client) UpdateInstance(ctx context.Context, n Name, endpoint string, patch InstancePatch) (api.Instance, error) {
	return exchange[api.Instance](ctx, c, call{method: http.MethodPatch, path: n.instance(api.PathInstance, endpoint)}, patch)
}

// Deregister removes the instance.
func (c *Client) Deregister(ctx context.Context, n Name, endpoint string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: n.instance(api.PathInstance, endpoint)})
	return err
}

// Beat says that the instance is alive, and returns when the next beat is
// due. The error is ErrNotFound when the server does not know the instance: a
// beat never creates one.
func (c *Client) Beat(ctx context.Context, n Name, endpoint string) (time.Duration, error) {
	type next struct {
		Interval int `json:"interval"`
	}
	a, err := exchange[next](ctx, c, call{method: http.MethodPost, path: n.instance(api.PathBeat, endpoint)}, nil)
	return time.Duration(a.Interval) * time.Millisecond, err
}

func (n Name) service(path string) string {
	n = n.WithDefaults()
	return fill(path, n.Namespace, n.Group, n.Name)
}

func (n Name) instance(path, endpoint string) string {
	n = n.WithDefaults()
	return fill(path, n.Namespace, n.Group, n.Name, endpoint)
}
