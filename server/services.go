package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

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
	huma.Register(a, huma.Operation{OperationID: "list-services", Method: http.MethodGet, Path: api.PathServices,
		Summary: "List services", Tags: tags}, f.listServices)
	huma.Register(a, huma.Operation{OperationID: "get-service", Method: http.MethodGet, Path: api.PathService,
		Summary: "Show one service", Tags: tags}, f.getService)
	huma.Register(a, huma.Operation{OperationID: "put-service", Method: http.MethodPut, Path: api.PathService,
		Summary: "Declare a service, or change one", Tags: tags}, f.putService)
	huma.Register(a, huma.Operation{OperationID: "claim-name", Method: http.MethodPost, Path: api.PathClaim,
		Summary: "Make a service the holder of its folded DNS name, whoever holds it now", Tags: tags}, f.claimName)
	huma.Register(a, huma.Operation{OperationID: "delete-service", Method: http.MethodDelete, Path: api.PathService,
		Summary: "Remove a service without instances", Tags: tags}, f.deleteService)
}

type listQuery struct {
	Paging
	Named
}

type serviceListAnswer struct{ Body api.ServiceList }

func (f *face) listServices(_ context.Context, q *listQuery) (*serviceListAnswer, error) {
	snap := f.registry.Snapshot()
	if snap == nil {
		return nil, f.failure(registry.ErrUnavailable)
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

type serviceAnswer struct {
	Written
	Body api.Service
}

func (f *face) getService(_ context.Context, p *ServicePath) (*serviceAnswer, error) {
	s, snap, err := f.service(p.key())
	if err != nil {
		return nil, f.failure(err)
	}
	return &serviceAnswer{Written{Revision: snap.Revision()}, serviceOf(snap, s)}, nil
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

type servicePut struct {
	ServicePath
	Body api.ServiceSpec
}

func (f *face) putService(ctx context.Context, in *servicePut) (*serviceAnswer, error) {
	k := in.key()
	spec := registry.ServiceSpec{ProtectThreshold: in.Body.ProtectThreshold, Metadata: in.Body.Metadata, DNS: &registry.DNSOptions{}}
	if d := in.Body.DNS; d != nil {
		spec.DNS = &registry.DNSOptions{TTL: d.TTL, Mode: d.Mode, Topology: d.Topology}
	}
	if in.Body.Ephemeral != nil {
		spec.Ephemeral = *in.Body.Ephemeral
	}
	s := (*registry.Service)(nil)
	if snap := f.registry.Snapshot(); snap != nil {
		s = snap.Service(k)
	}
	if s != nil && in.Body.Ephemeral != nil && *in.Body.Ephemeral != s.Ephemeral {
		return nil, f.failure(&registry.KindError{Service: k, Ephemeral: s.Ephemeral})
	}
	receipt, err := f.registry.UpdateService(ctx, k, spec)
	if errors.Is(err, registry.ErrNotFound) {
		receipt, err = f.registry.CreateService(ctx, k, spec)
	}
	if err != nil {
		return nil, f.failure(err)
	}
	return f.serviceAfter(k, receipt), nil
}

// serviceAfter shows a service after a write.
func (f *face) serviceAfter(k registry.ServiceKey, receipt registry.Receipt) *serviceAnswer {
	out := &serviceAnswer{Written: receiptOf(receipt)}
	if s, snap, err := f.service(k); err == nil {
		out.Body = serviceOf(snap, s)
	}
	return out
}

func (f *face) claimName(ctx context.Context, p *ServicePath) (*serviceAnswer, error) {
	receipt, err := f.registry.TakeName(ctx, p.key())
	if err != nil {
		return nil, f.failure(err)
	}
	return f.serviceAfter(p.key(), receipt), nil
}

type noContent struct{ Written }

func (f *face) deleteService(ctx context.Context, p *ServicePath) (*noContent, error) {
	receipt, err := f.registry.DeleteService(ctx, p.key())
	if err != nil {
		return nil, f.failure(err)
	}
	return &noContent{receiptOf(receipt)}, nil
}

func serviceOf(snap *registry.Snapshot, s *registry.Service) api.Service {
	out := api.Service{
		Namespace: s.Key.Namespace, Group: s.Key.Group, Name: s.Key.Name,
		Ephemeral: s.Ephemeral, ProtectThreshold: s.ProtectThreshold, Metadata: s.Metadata,
		InstanceCount: len(s.Instances), HealthyCount: s.Healthy,
		DNSName: s.DNSName(), DNSExact: s.Key.Exact(), DNSShadowed: s.Shadowed, Revision: s.Revision,
	}
	if s.DNS != (registry.DNSOptions{}) {
		out.DNS = &api.ServiceDNS{TTL: s.DNS.TTL, Mode: s.DNS.Mode, Topology: s.DNS.Topology}
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
