package server

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/musterhq/muster/answer"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/registry"
)

// InstancePath names an instance in a path.
type InstancePath struct {
	ServicePath
	Endpoint string `path:"endpoint" doc:"address:port, an IPv6 address in brackets" example:"192.0.2.10:8080"`
}

func (p InstancePath) instanceKey() (registry.InstanceKey, error) {
	e, err := registry.ParseEndpoint(p.Endpoint)
	return registry.InstanceKey{Service: p.key(), Endpoint: e}, err
}

func (f *face) mountInstances(a huma.API) {
	tags := []string{"instances"}
	huma.Register(a, huma.Operation{OperationID: "list-instances", Method: http.MethodGet, Path: api.PathInstances,
		Summary: "List the instances of a service", Tags: tags}, f.listInstances)
	huma.Register(a, huma.Operation{OperationID: "put-instance", Method: http.MethodPut, Path: api.PathInstance,
		Summary: "Register an instance, or change it as its owner", Tags: tags}, f.putInstance)
	huma.Register(a, huma.Operation{OperationID: "patch-instance", Method: http.MethodPatch, Path: api.PathInstance,
		Summary: "Override weight, enabled or metadata as an operator", Tags: tags}, f.patchInstance)
	huma.Register(a, huma.Operation{OperationID: "delete-instance", Method: http.MethodDelete, Path: api.PathInstance,
		Summary: "Deregister an instance", Tags: tags}, f.deleteInstance)
	huma.Register(a, huma.Operation{OperationID: "beat-instance", Method: http.MethodPost, Path: api.PathBeat,
		Summary: "Keep an ephemeral instance alive", Tags: tags}, f.beatInstance)
}

type instanceQuery struct {
	ServicePath
	Healthy bool   `query:"healthy" doc:"Only the instances that DNS answers"`
	Cluster string `query:"cluster" doc:"Only this cluster"`
}

type instanceListAnswer struct{ Body api.InstanceList }

func (f *face) listInstances(_ context.Context, q *instanceQuery) (*instanceListAnswer, error) {
	s, snap, err := f.service(q.key())
	if err != nil {
		return nil, f.failure(err)
	}
	sel := s.Select(registry.ClusterFilter(q.Cluster))
	instances := sel.Instances
	if !q.Healthy {
		instances = slices.Clone(s.Instances)
		if q.Cluster != "" {
			instances = slices.DeleteFunc(instances, func(i *registry.Instance) bool { return i.Cluster != q.Cluster })
		}
	}
	list := api.InstanceList{Service: serviceOf(snap, s), Protected: sel.Protected, Revision: snap.Revision(),
		Instances: make([]api.Instance, 0, len(instances))}
	base := instancesName(s)
	for _, i := range instances {
		list.Instances = append(list.Instances, instanceOf(i, base))
	}
	return &instanceListAnswer{list}, nil
}

type instancePut struct {
	InstancePath
	Body struct {
		Cluster   string            `json:"cluster,omitempty" doc:"DEFAULT when empty"`
		Weight    *float64          `json:"weight,omitempty" minimum:"0" maximum:"10000" doc:"1 when absent"`
		Enabled   *bool             `json:"enabled,omitempty" doc:"true when absent"`
		Healthy   *bool             `json:"healthy,omitempty" doc:"true when absent"`
		Metadata  map[string]string `json:"metadata,omitempty"`
		Ephemeral bool              `json:"ephemeral,omitempty" doc:"Lives by beats; false: stays until deregistered"`

		// What an answer carries may be sent back: it is ignored.
		Address  string `json:"address,omitempty" doc:"Ignored: the path says it"`
		Port     uint16 `json:"port,omitempty" doc:"Ignored: the path says it"`
		Witness  string `json:"witness,omitempty" doc:"Ignored"`
		Revision int64  `json:"revision,omitempty" doc:"Ignored"`
		DNSName  string `json:"dnsName,omitempty" doc:"Ignored"`
	}
}

type instanceAnswer struct {
	Written
	Body api.Instance
}

func (f *face) putInstance(ctx context.Context, in *instancePut) (*instanceAnswer, error) {
	k, err := in.instanceKey()
	if err != nil {
		return nil, f.failure(err)
	}
	reg := registry.Registration{Key: k, Cluster: in.Body.Cluster, Metadata: in.Body.Metadata,
		Weight: or(in.Body.Weight, 1), Enabled: or(in.Body.Enabled, true), Healthy: or(in.Body.Healthy, true)}
	if in.Body.Ephemeral {
		reg.Witness = registry.WitnessHTTP
	}
	receipt, err := f.registry.Register(ctx, reg)
	if err != nil {
		return nil, f.failure(err)
	}
	return f.answer(k, receipt), nil
}

func or[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

// answer shows an instance after a write.
func (f *face) answer(k registry.InstanceKey, receipt registry.Receipt) *instanceAnswer {
	out := &instanceAnswer{Written: receiptOf(receipt)}
	if s := f.registry.Snapshot().Service(k.Service); s != nil {
		if i := s.Instance(k.Endpoint); i != nil {
			out.Body = instanceOf(i, instancesName(s))
		}
	}
	return out
}

type instancePatch struct {
	InstancePath
	Body struct {
		Weight   *float64          `json:"weight,omitempty" minimum:"0" maximum:"10000"`
		Enabled  *bool             `json:"enabled,omitempty"`
		Metadata map[string]string `json:"metadata,omitempty" doc:"Laid over what the owner declares"`
	}
}

func (f *face) patchInstance(ctx context.Context, in *instancePatch) (*instanceAnswer, error) {
	k, err := in.instanceKey()
	if err != nil {
		return nil, f.failure(err)
	}
	receipt, err := f.registry.Override(ctx, k, registry.Edit{Weight: in.Body.Weight, Enabled: in.Body.Enabled,
		Metadata: in.Body.Metadata})
	if err != nil {
		return nil, f.failure(err)
	}
	return f.answer(k, receipt), nil
}

func (f *face) deleteInstance(ctx context.Context, p *InstancePath) (*noContent, error) {
	k, err := p.instanceKey()
	if err != nil {
		return nil, f.failure(err)
	}
	receipt, err := f.registry.Withdraw(ctx, k)
	if err != nil {
		return nil, f.failure(err)
	}
	return &noContent{receiptOf(receipt)}, nil
}

type beatAnswer struct {
	Body struct {
		Interval int64 `json:"interval" doc:"Milliseconds until the next beat is expected"`
	}
}

func (f *face) beatInstance(ctx context.Context, p *InstancePath) (*beatAnswer, error) {
	k, err := p.instanceKey()
	if err != nil {
		return nil, f.failure(err)
	}
	interval, err := f.registry.Beat(ctx, k, nil)
	if err != nil {
		return nil, f.failure(err)
	}
	out := &beatAnswer{}
	out.Body.Interval = interval.Milliseconds()
	return out, nil
}

// instancesName returns the name below the zone under which the instances of a
// service have names: of its folded name if it holds that, else of its exact one.
func instancesName(s *registry.Service) (name string) {
	for n := range s.Names() { // the exact one comes first
		name = n.Instances()
		if s.DNSName() == "" || n.String() == s.DNSName() {
			break
		}
	}
	return name
}

// instanceOf shows an instance of a service whose instances have their names
// below base.
func instanceOf(i *registry.Instance, base string) api.Instance {
	e := i.Key.Endpoint
	out := api.Instance{Address: e.Host, Port: e.Port, Cluster: i.Cluster, Weight: &i.Weight, Enabled: &i.Enabled,
		Healthy: &i.Healthy, Metadata: i.Metadata, Ephemeral: i.Ephemeral(), Witness: string(i.Witness), Revision: i.Revision}
	if i.Addr.IsValid() {
		label, _, _ := strings.Cut(string(answer.AppendAddress(nil, i.Addr)), ".")
		out.DNSName = label + "." + base
	}
	return out
}
