package server

import (
	"time"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/registry"
)

// clusterFrom returns what a caller says of a cluster.
func clusterFrom(in api.ServiceCluster) registry.Cluster {
	out := registry.Cluster{Metadata: in.Metadata}
	c := in.Check
	if c == nil {
		return out
	}
	out.Check = &registry.HealthCheck{Kind: registry.CheckKind(c.Kind), Port: c.Port, Path: c.Path, Headers: c.Headers, Expect: c.Expect,
		User: c.User, Password: c.Password, Command: c.Command, Service: c.Service, TLS: c.TLS,
		Interval: time.Duration(c.Interval) * time.Millisecond, Timeout: time.Duration(c.Timeout) * time.Millisecond, Rise: c.Rise, Fall: c.Fall}
	return out
}

// clusterOf shows what is said of a cluster.
func clusterOf(c registry.Cluster) api.ServiceCluster {
	out := api.ServiceCluster{Metadata: c.Metadata}
	if h := c.Check; h != nil {
		out.Check = &api.HealthCheck{Kind: string(h.Kind), Port: h.Port, Path: h.Path, Headers: h.Headers, Expect: h.Expect,
			User: h.User, PasswordSet: h.Password != "", Command: h.Command, Service: h.Service, TLS: h.TLS,
			Interval: h.Interval.Milliseconds(), Timeout: h.Timeout.Milliseconds(), Rise: h.Rise, Fall: h.Fall}
	}
	return out
}
