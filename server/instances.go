package server

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/musterhq/muster/access"
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
	register(a, access.Reads(access.Naming, inPath), huma.Operation{OperationID: "list-instances", Method: http.MethodGet, Path: api.PathInstances,
		Summary: "List the instances of a service", Tags: tags}, f.listInstances)
	register(a, access.Reads(access.Naming, inPath), huma.Operation{OperationID: "get-instance", Method: http.MethodGet, Path: api.PathInstance,
		Summary: "Show one instance, with what its owner declares and what an operator says of it", Tags: tags}, f.getInstance)
	register(a, access.Writes(access.Naming, inPath), huma.Operation{OperationID: "put-instance", Method: http.MethodPut, Path: api.PathInstance,
		Summary: "Register an instance, or change it as its owner", Tags: tags}, f.putInstance)
	register(a, access.Writes(access.Naming, inPath), huma.Operation{OperationID: "patch-instance", Method: http.MethodPatch, Path: api.PathInstance,
		Summary: "Override an instance as an operator", Tags: tags}, f.patchInstance)
	register(a, access.Writes(access.Naming, inPath), huma.Operation{OperationID: "clear-override", Method: http.MethodDelete, Path: api.PathOverride,
		Summary: "Take back all that an operator says of an instance", Tags: tags}, f.clearOverride)
	register(a, access.Writes(access.Naming, inPath), huma.Operation{OperationID: "delete-instance", Method: http.MethodDelete, Path: api.PathInstance,
		Summary: "Deregister an instance", Tags: tags}, f.deleteInstance)
	register(a, access.Writes(access.Naming, inPath), huma.Operation{OperationID: "beat-instance", Method: http.MethodPost, Path: api.PathBeat,
		Summary: "Keep an ephemeral instance alive", Tags: tags}, f.beatInstance)
}

type instanceQuery struct {
	ServicePath
	Page    int    `query:"page" minimum:"1" maximum:"1000000" default:"1" doc:"Page, from 1"`
	Size    int    `query:"size" minimum:"1" maximum:"10000" default:"10000" doc:"Instances on a page"`
	Healthy bool   `query:"healthy" doc:"Only the instances that DNS answers"`
	Cluster string `query:"cluster" doc:"Only this cluster"`
	// Consumer is who would be answered.
	Consumer string `query:"consumer" doc:"With healthy: IP address whose labels the selector looks at; the caller's when absent" example:"192.0.2.7"`
}

type instanceListAnswer struct{ Body api.InstanceList }

func (f *face) listInstances(ctx context.Context, q *instanceQuery) (*instanceListAnswer, error) {
	s, snap, err := f.service(q.key())
	if err != nil {
		return nil, f.failure(err)
	}
	consumer := peerOf(ctx)
	if q.Consumer != "" {
		if consumer, err = netip.ParseAddr(q.Consumer); err != nil {
			return nil, huma.Error422UnprocessableEntity("consumer is not an IP address",
				&huma.ErrorDetail{Message: "expected an IP address", Location: "query.consumer", Value: q.Consumer})
		}
	}
	filter := registry.ClusterFilter(q.Cluster)
	filter.Wants = s.Wants(consumer)
	sel := s.Select(filter)
	all := sel.Instances
	if !q.Healthy {
		all = s.Instances.List()
	}
	found, total := cut(all, Paging{q.Page, q.Size}, func(i *registry.Instance) bool {
		return q.Healthy || q.Cluster == "" || i.Cluster == q.Cluster
	})
	list := api.InstanceList{Total: total, Service: serviceOf(snap, s), Protected: sel.Protected, Revision: snap.Revision(),
		Instances: make([]api.Instance, 0, len(found))}
	base := instancesName(s)
	for _, i := range found {
		list.Instances = append(list.Instances, instanceOf(snap, i, base))
	}
	return &instanceListAnswer{list}, nil
}

type instanceShown struct {
	Shown
	Body api.Instance
}

func (f *face) getInstance(_ context.Context, p *InstancePath) (*instanceShown, error) {
	k, err := p.instanceKey()
	if err != nil {
		return nil, f.failure(err)
	}
	snap, err := f.snapshot()
	if err != nil {
		return nil, err
	}
	i := snap.Instance(k)
	if i == nil {
		return nil, f.failure(fmt.Errorf("instance %s: %w", k, registry.ErrNotFound))
	}
	return &instanceShown{Shown{revisionTag(i.Version()), snap.Revision()}, instanceOf(snap, i, instancesName(snap.Service(k.Service)))}, nil
}

type instancePut struct {
	InstancePath
	Making
	Body struct {
		Cluster   string            `json:"cluster,omitempty" doc:"DEFAULT when empty"`
		Weight    *float64          `json:"weight,omitempty" minimum:"0" maximum:"10000" doc:"1 when absent" example:"1"`
		Enabled   *bool             `json:"enabled,omitempty" doc:"true when absent"`
		Healthy   *bool             `json:"healthy,omitempty" doc:"true when absent"`
		Metadata  map[string]string `json:"metadata,omitempty"`
		Ephemeral bool              `json:"ephemeral,omitempty" doc:"Lives by beats; false: stays until deregistered"`
		Checked   bool              `json:"checked,omitempty" doc:"Persistent: have the servers check it by TCP, unless its cluster says how"`

		// What an answer carries may be sent back: it is ignored.
		Address  string        `json:"address,omitempty" doc:"Ignored: the path says it"`
		Port     uint16        `json:"port,omitempty" doc:"Ignored: the path says it"`
		Witness  string        `json:"witness,omitempty" doc:"Ignored"`
		Revision int64         `json:"revision,omitempty" doc:"Ignored"`
		DNSName  string        `json:"dnsName,omitempty" doc:"Ignored"`
		Silent   bool          `json:"silent,omitempty" doc:"Ignored"`
		Failing  bool          `json:"failing,omitempty" doc:"Ignored"`
		Failure  string        `json:"failure,omitempty" doc:"Ignored"`
		Declared *api.Declared `json:"declared,omitempty" doc:"Ignored"`
		Override *api.Override `json:"override,omitempty" doc:"Ignored"`
	}
}

type instanceAnswer struct {
	Outcome
	Body api.Instance
}

func (f *face) putInstance(ctx context.Context, in *instancePut) (*instanceAnswer, error) {
	k, err := in.instanceKey()
	if err != nil {
		return nil, f.failure(err)
	}
	reg := registry.Registration{Key: k, Cluster: in.Body.Cluster, Metadata: registry.MetadataOf(in.Body.Metadata), Checked: in.Body.Checked,
		Weight: or(in.Body.Weight, 1), Enabled: or(in.Body.Enabled, true), Healthy: or(in.Body.Healthy, true)}
	if in.Body.Ephemeral {
		reg.Witness = registry.WitnessHTTP
	}
	under, err := f.making(in.Making, &reg)
	if err != nil {
		return nil, err
	}
	receipt, err := under.Register(ctx, reg)
	return f.instanceAfter(k, receipt, err)
}

func or[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

// instanceAfter shows an instance after a write.
func (f *face) instanceAfter(k registry.InstanceKey, receipt registry.Receipt, err error) (*instanceAnswer, error) {
	if err != nil {
		return nil, f.failure(err)
	}
	outcome, snap := f.outcome(receipt)
	out := &instanceAnswer{Outcome: outcome}
	if i := snap.Instance(k); i != nil {
		out.Body = instanceOf(snap, i, instancesName(snap.Service(k.Service)))
		out.Body.Revision = out.at(i.Version())
	}
	return out, nil
}

type instancePatch struct {
	InstancePath
	Matching
	Body api.InstanceEdit
}

func (f *face) patchInstance(ctx context.Context, in *instancePatch) (*instanceAnswer, error) {
	k, under, err := f.changingInstance(in.InstancePath, in.Matching)
	if err != nil {
		return nil, err
	}
	b := in.Body
	receipt, err := under.Override(ctx, k, registry.Edit{Weight: b.Weight, Enabled: b.Enabled, Healthy: b.Healthy,
		Metadata: b.Metadata, Drop: b.DropMetadata, Pinned: b.Pinned})
	return f.instanceAfter(k, receipt, err)
}

// changingInstance returns the instance of a path, and the registry for a change
// of it on terms.
func (f *face) changingInstance(p InstancePath, m Matching) (registry.InstanceKey, *registry.Registry, error) {
	k, err := p.instanceKey()
	if err != nil {
		return k, nil, f.failure(err)
	}
	under, err := f.changing(m, &registry.Registration{Key: k})
	return k, under, err
}

type instanceWrite struct {
	InstancePath
	Matching
}

func (f *face) clearOverride(ctx context.Context, in *instanceWrite) (*goneAnswer, error) {
	k, under, err := f.changingInstance(in.InstancePath, in.Matching)
	if err != nil {
		return nil, err
	}
	return f.gone(under.ClearOverride(ctx, k))
}

func (f *face) deleteInstance(ctx context.Context, in *instanceWrite) (*goneAnswer, error) {
	k, under, err := f.changingInstance(in.InstancePath, in.Matching)
	if err != nil {
		return nil, err
	}
	return f.gone(under.Withdraw(ctx, k))
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
func instanceOf(snap *registry.Snapshot, i *registry.Instance, base string) api.Instance {
	e := i.Key.Endpoint
	out := api.Instance{Address: e.Host, Port: e.Port, Cluster: i.Cluster, Weight: &i.Weight, Enabled: &i.Enabled,
		Healthy: &i.Healthy, Metadata: i.Metadata.Map(), Ephemeral: i.Ephemeral(), Checked: i.Checked, Silent: i.Silent, Failing: i.Failing,
		Witness: string(i.Witness), Revision: i.Version()}
	if i.Addr.IsValid() {
		label, _, _ := strings.Cut(string(answer.AppendAddress(nil, i.Addr)), ".")
		out.DNSName = label + "." + base
	}
	if v := snap.Failure(i); v != nil {
		out.Failure = v.Why
	}
	if i.Altered() {
		d := i.Declaration()
		out.Declared = &api.Declared{Weight: d.Weight, Enabled: d.Enabled, Healthy: d.Healthy, Metadata: d.Metadata.Map()}
	}
	if i.Edited == 0 {
		return out
	}
	if o := snap.Override(i.Key); o != nil {
		out.Override = &api.Override{Weight: o.Weight, Enabled: o.Enabled, Healthy: o.Healthy, Metadata: o.Metadata, Pinned: o.Pinned}
	}
	return out
}
