package server

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/registry"
)

// ServicePath names a service in a path.
type ServicePath struct {
	Namespace string `path:"namespace" doc:"Namespace" example:"public"`
	Group     string `path:"group" doc:"Group" example:"DEFAULT_GROUP"`
	Service   string `path:"service" doc:"Service name, one escaped segment" example:"order-api"`
}

func (p ServicePath) key() registry.ServiceKey {
	return registry.ServiceKey{Namespace: p.Namespace, Group: p.Group, Name: p.Service}
}

func (f *face) mountServices(a huma.API) {
	tags := []string{"services"}
	register(a, access.Reads(access.Naming, inQuery), huma.Operation{OperationID: "list-services", Method: http.MethodGet, Path: api.PathServices,
		Summary: "List services", Tags: tags}, f.listServices)
	register(a, access.Reads(access.Naming, inPath), huma.Operation{OperationID: "get-service", Method: http.MethodGet, Path: api.PathService,
		Summary: "Show one service", Tags: tags}, f.getService)
	register(a, access.Writes(access.Naming, inPath), huma.Operation{OperationID: "put-service", Method: http.MethodPut, Path: api.PathService,
		Summary: "Declare a service, or change one", Tags: tags}, f.putService)
	register(a, access.Writes(access.Naming, inPath), huma.Operation{OperationID: "claim-name", Method: http.MethodPost, Path: api.PathClaim,
		Summary: "Make a service the holder of its folded DNS name, whoever holds it now", Tags: tags}, f.claimName)
	register(a, access.Writes(access.Naming, inPath), huma.Operation{OperationID: "put-cluster", Method: http.MethodPut, Path: api.PathCluster,
		Summary: "Say how a cluster of a service is checked", Tags: tags}, f.putCluster)
	register(a, access.Writes(access.Naming, inPath), huma.Operation{OperationID: "delete-service", Method: http.MethodDelete, Path: api.PathService,
		Summary: "Remove a service without instances", Tags: tags}, f.deleteService)
}

type listQuery struct {
	Paging
	Named
}

type serviceListAnswer struct{ Body api.ServiceList }

func (f *face) listServices(_ context.Context, q *listQuery) (*serviceListAnswer, error) {
	snap, err := f.snapshot()
	if err != nil {
		return nil, err
	}
	found, total := cut(snap.Services(), q.Paging, func(s *registry.Service) bool {
		return q.admits(s.Key.Namespace, s.Key.Group, s.Key.Name)
	})
	list := api.ServiceList{Total: total, Revision: snap.Revision(), Services: make([]api.Service, 0, len(found))}
	for _, s := range found {
		list.Services = append(list.Services, serviceOf(snap, s))
	}
	return &serviceListAnswer{list}, nil
}

type serviceShown struct {
	Shown
	Body api.Service
}

func (f *face) getService(_ context.Context, p *ServicePath) (*serviceShown, error) {
	s, snap, err := f.service(p.key())
	if err != nil {
		return nil, f.failure(err)
	}
	return &serviceShown{Shown{revisionTag(s.Revision), snap.Revision()}, serviceOf(snap, s)}, nil
}

func (f *face) service(k registry.ServiceKey) (*registry.Service, *registry.Snapshot, error) {
	snap := f.registry.Snapshot()
	if snap == nil {
		return nil, nil, registry.ErrUnavailable
	}
	s := snap.Service(k)
	if s == nil {
		return nil, nil, fmt.Errorf("service %s: %w", k, registry.ErrNotFound)
	}
	return s, snap, nil
}

type serviceAnswer struct {
	Outcome
	Body api.Service
}

type servicePut struct {
	ServicePath
	Making
	Body api.ServiceSpec
}

func (f *face) putService(ctx context.Context, in *servicePut) (*serviceAnswer, error) {
	k := in.key()
	under, err := f.making(in.Making, &registry.ServiceRecord{Key: k})
	if err != nil {
		return nil, err
	}
	receipt, err := under.PutService(ctx, k, specOf(in.Body))
	return f.serviceAfter(k, receipt, err)
}

// specOf returns what is asked for of a service.
func specOf(in api.ServiceSpec) registry.ServiceSpec {
	spec := registry.ServiceSpec{Ephemeral: in.Ephemeral, ProtectThreshold: in.ProtectThreshold, Metadata: in.Metadata, DNS: &registry.DNSOptions{}}
	if d := in.DNS; d != nil {
		spec.DNS = &registry.DNSOptions{TTL: d.TTL, Mode: d.Mode, Topology: d.Topology}
	}
	if in.Selector != nil {
		spec.Selector = &registry.Selector{Labels: in.Selector.Labels}
	}
	if in.Clusters != nil {
		spec.Clusters = map[string]registry.Cluster{}
		for name, c := range in.Clusters {
			spec.Clusters[name] = clusterFrom(c)
		}
	}
	return spec
}

// serviceAfter shows a service after a write.
func (f *face) serviceAfter(k registry.ServiceKey, receipt registry.Receipt, err error) (*serviceAnswer, error) {
	if err != nil {
		return nil, f.failure(err)
	}
	outcome, snap := f.outcome(receipt)
	out := &serviceAnswer{Outcome: outcome}
	if s := snap.Service(k); s != nil {
		out.Body = serviceOf(snap, s)
		out.Body.Revision = out.at(s.Revision)
	}
	return out, nil
}

type serviceWrite struct {
	ServicePath
	Matching
}

func (f *face) claimName(ctx context.Context, in *serviceWrite) (*serviceAnswer, error) {
	snap, err := f.snapshot()
	if err != nil {
		return nil, err
	}
	if err := mayTakeName(access.From(ctx), snap, in.key()); err != nil {
		return nil, f.failure(err)
	}
	under, err := f.changing(in.Matching, &registry.ServiceRecord{Key: in.key()})
	if err != nil {
		return nil, err
	}
	receipt, err := under.TakeName(ctx, in.key())
	return f.serviceAfter(in.key(), receipt, err)
}

// mayTakeName checks that the caller may change whoever holds the name now: it loses it.
func mayTakeName(c *access.Caller, snap *registry.Snapshot, k registry.ServiceKey) error {
	name, _ := k.Folded()
	if holder, _, held := snap.Holder(name); held {
		return c.Check(access.Write, namingIn(holder))
	}
	return nil
}

// namingIn is the resource that a service is of.
func namingIn(k registry.ServiceKey) access.Resource {
	return access.Resource{Kind: access.Naming, Namespace: k.Namespace, Group: k.Group}
}

type clusterPut struct {
	ServicePath
	Matching
	Cluster string `path:"cluster" doc:"Cluster" example:"DEFAULT"`
	Body    api.ServiceCluster
}

func (f *face) putCluster(ctx context.Context, in *clusterPut) (*serviceAnswer, error) {
	k := in.key()
	under, err := f.changing(in.Matching, &registry.ServiceRecord{Key: k})
	if err != nil {
		return nil, err
	}
	receipt, err := under.UpdateCluster(ctx, k, in.Cluster, clusterFrom(in.Body))
	return f.serviceAfter(k, receipt, err)
}

func (f *face) deleteService(ctx context.Context, in *serviceWrite) (*goneAnswer, error) {
	under, err := f.changing(in.Matching, &registry.ServiceRecord{Key: in.key()})
	if err != nil {
		return nil, err
	}
	return f.gone(under.DeleteService(ctx, in.key()))
}

func serviceOf(snap *registry.Snapshot, s *registry.Service) api.Service {
	out := api.Service{
		Namespace: s.Key.Namespace, Group: s.Key.Group, Name: s.Key.Name,
		Ephemeral: s.Ephemeral, ProtectThreshold: s.ProtectThreshold, Metadata: s.Metadata,
		InstanceCount: s.Instances.Len(), HealthyCount: s.Healthy,
		DNSName: s.DNSName(), DNSExact: s.Key.Exact(), DNSShadowed: s.Shadowed, Revision: s.Revision,
	}
	if s.DNS != (registry.DNSOptions{}) {
		out.DNS = &api.ServiceDNS{TTL: s.DNS.TTL, Mode: s.DNS.Mode, Topology: s.DNS.Topology}
	}
	if s.Selector != (registry.Selector{}) {
		out.Selector = &api.Selector{Labels: s.Selector.Labels}
	}
	if len(s.Clusters) > 0 {
		out.Clusters = map[string]api.ServiceCluster{}
		for name, c := range s.Clusters {
			out.Clusters[name] = clusterOf(c)
		}
	}
	if s.Shadowed {
		out.DNSFolded, _ = s.Key.Folded()
		if holder, kept, held := snap.Holder(out.DNSFolded); held {
			out.DNSHolder = &api.DNSHolder{ServiceRef: refOf(holder), Kept: kept}
		}
	}
	return out
}

func refOf(k registry.ServiceKey) api.ServiceRef {
	return api.ServiceRef{Namespace: k.Namespace, Group: k.Group, Name: k.Name}
}
