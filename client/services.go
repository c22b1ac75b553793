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

// ServiceAt returns the service n with the tag of its last change, for Terms.
func (c *Client) ServiceAt(ctx context.Context, n Name) (api.Service, string, error) {
	return tagged[api.Service](ctx, c, call{method: http.MethodGet, path: n.service(api.PathService)}, nil)
}

// PutService creates the service n or sets what spec says of it, and returns
// it as it then is.
func (c *Client) PutService(ctx context.Context, n Name, spec api.ServiceSpec, on ...Terms) (api.Service, error) {
	return exchange[api.Service](ctx, c, under(call{method: http.MethodPut, path: n.service(api.PathService)}, on), spec)
}

// ClaimName makes the service n the holder of its folded DNS name, whoever holds
// it now, and returns the service as it then is. One that has no such name is a
// conflict.
func (c *Client) ClaimName(ctx context.Context, n Name, on ...Terms) (api.Service, error) {
	return exchange[api.Service](ctx, c, under(call{method: http.MethodPost, path: n.service(api.PathClaim)}, on), nil)
}

// PutCluster sets what is said of a cluster of the service n, and returns the
// service as it then is.
func (c *Client) PutCluster(ctx context.Context, n Name, cluster string, spec api.ServiceCluster, on ...Terms) (api.Service, error) {
	n = n.WithDefaults()
	r := call{method: http.MethodPut, path: fill(api.PathCluster, n.Namespace, n.Group, n.Name, cluster)}
	return exchange[api.Service](ctx, c, under(r, on), spec)
}

// DeleteService removes the service n. One that has instances is a conflict.
func (c *Client) DeleteService(ctx context.Context, n Name, on ...Terms) error {
	_, err := c.do(ctx, under(call{method: http.MethodDelete, path: n.service(api.PathService)}, on))
	return err
}

// InstanceQuery selects instances of one service; zero selects all.
type InstanceQuery struct {
	Healthy bool   // only those that are healthy and enabled
	Cluster string // only those of this cluster
	Page    int    // from 1; 0 means all pages, one after another
	Size    int    // 0 leaves it to the server
}

// Instances returns the instances of the service n that q selects.
func (c *Client) Instances(ctx context.Context, n Name, q InstanceQuery) (api.InstanceList, error) {
	r := call{method: http.MethodGet, path: n.service(api.PathInstances), query: map[string][]string{}}
	if q.Healthy {
		r.query.Set("healthy", "true")
	}
	set(r.query, "cluster", q.Cluster)
	setInt(r.query, "page", q.Page)
	setInt(r.query, "size", q.Size)
	list, err := exchange[api.InstanceList](ctx, c, r, nil)
	for page := 2; err == nil && q.Page == 0 && len(list.Instances) < list.Total; page++ {
		setInt(r.query, "page", page)
		var more api.InstanceList
		if more, err = exchange[api.InstanceList](ctx, c, r, nil); len(more.Instances) == 0 {
			break // some went meanwhile
		}
		list.Instances = append(list.Instances, more.Instances...)
	}
	return list, err
}

// Instance returns one instance of the service n with the tag of its last
// change, for Terms.
func (c *Client) Instance(ctx context.Context, n Name, endpoint string) (api.Instance, string, error) {
	return tagged[api.Instance](ctx, c, call{method: http.MethodGet, path: n.service(api.PathInstance, endpoint)}, nil)
}

// Register registers the instance, or sets it anew, and returns it as the
// server then holds it.
func (c *Client) Register(ctx context.Context, n Name, i api.Instance, on ...Terms) (api.Instance, error) {
	r := call{method: http.MethodPut, path: n.service(api.PathInstance, Endpoint(i.Address, i.Port))}
	return exchange[api.Instance](ctx, c, under(r, on), i)
}

// InstancePatch is the operator's say on an instance: what is nil stays as it was
// said before, or as its owner declared it.
type InstancePatch = api.InstanceEdit

// UpdateInstance lays patch over the instance and returns the instance as it
// is then answered. No later declaration by its owner undoes it.
func (c *Client) UpdateInstance(ctx context.Context, n Name, endpoint string, patch InstancePatch, on ...Terms) (api.Instance, error) {
	return exchange[api.Instance](ctx, c, under(call{method: http.MethodPatch, path: n.service(api.PathInstance, endpoint)}, on), patch)
}

// ClearOverride takes back all that an operator said of the instance. The error is
// ErrNotFound when nothing was said.
func (c *Client) ClearOverride(ctx context.Context, n Name, endpoint string, on ...Terms) error {
	_, err := c.do(ctx, under(call{method: http.MethodDelete, path: n.service(api.PathOverride, endpoint)}, on))
	return err
}

// Deregister removes the instance.
func (c *Client) Deregister(ctx context.Context, n Name, endpoint string, on ...Terms) error {
	_, err := c.do(ctx, under(call{method: http.MethodDelete, path: n.service(api.PathInstance, endpoint)}, on))
	return err
}

// Targets returns the instances as Prometheus discovers them over HTTP.
func (c *Client) Targets(ctx context.Context, filter WatchFilter, healthy bool) ([]api.TargetGroup, error) {
	r := call{method: http.MethodGet, path: api.PathTargets, query: filter.values()}
	if healthy {
		r.query.Set("healthy", "true")
	}
	return exchange[[]api.TargetGroup](ctx, c, r, nil)
}

// Beat says that the instance is alive, and returns when the next beat is
// due. The error is ErrNotFound when the server does not know the instance: a
// beat never creates one.
func (c *Client) Beat(ctx context.Context, n Name, endpoint string) (time.Duration, error) {
	type next struct {
		Interval int `json:"interval"`
	}
	a, err := exchange[next](ctx, c, call{method: http.MethodPost, path: n.service(api.PathBeat, endpoint)}, nil)
	return time.Duration(a.Interval) * time.Millisecond, err
}

func (n Name) service(path string, below ...string) string {
	n = n.WithDefaults()
	return fill(path, append([]string{n.Namespace, n.Group, n.Name}, below...)...)
}
