package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/audit"
	"github.com/musterhq/muster/registry"
)

// maxSetBytes bounds one agent's set: some ten thousand instances.
const maxSetBytes = 8 << 20

// AgentPath names an agent in a path.
type AgentPath struct {
	ID string `path:"id" doc:"Agent id" example:"web-1"`
}

func (f *face) mountAgents(a huma.API) {
	tags := []string{"agents"}
	register(a, access.Reads(access.Naming, ""), huma.Operation{OperationID: "list-agents", Method: http.MethodGet, Path: api.PathAgents,
		Summary: "List agents", Tags: tags}, f.listAgents)
	register(a, access.Reads(access.Naming, ofAgent), huma.Operation{OperationID: "get-agent", Method: http.MethodGet, Path: api.PathAgent,
		Summary: "Show one agent", Tags: tags}, f.getAgent)
	register(a, access.Writes(access.Naming, ofAgent), huma.Operation{OperationID: "put-agent", Method: http.MethodPut, Path: api.PathAgent,
		Summary: "Declare an agent's whole set", Tags: tags, MaxBodyBytes: maxSetBytes, BodyReadTimeout: bodyTimeout}, f.putAgent)
	register(a, access.Writes(access.Naming, ofAgent), huma.Operation{OperationID: "beat-agent", Method: http.MethodPost, Path: api.PathAgentBeat,
		Summary: "Keep an agent's instances alive", Tags: tags, Middlewares: huma.Middlewares{f.plainBeat}}, f.beatAgent)
	register(a, access.Writes(access.Naming, ofAgent), huma.Operation{OperationID: "delete-agent", Method: http.MethodDelete, Path: api.PathAgent,
		Summary: "Deregister an agent and its whole set", Tags: tags}, f.deleteAgent)
}

type agentListAnswer struct{ Body api.AgentList }

func (f *face) listAgents(context.Context, *struct{}) (*agentListAnswer, error) {
	snap := f.registry.Snapshot()
	if snap == nil {
		return nil, f.failure(registry.ErrUnavailable)
	}
	list := api.AgentList{Revision: snap.Revision(), Agents: []api.Agent{}}
	for _, a := range snap.Agents() {
		list.Agents = append(list.Agents, agentOf(snap, a))
	}
	return &agentListAnswer{list}, nil
}

type agentAnswer struct{ Body api.Agent }

func (f *face) getAgent(_ context.Context, p *AgentPath) (*agentAnswer, error) {
	snap := f.registry.Snapshot()
	if snap == nil {
		return nil, f.failure(registry.ErrUnavailable)
	}
	a := snap.Agent(p.ID)
	if a == nil {
		return nil, f.failure(fmt.Errorf("agent %s: %w", p.ID, registry.ErrNotFound))
	}
	return &agentAnswer{agentOf(snap, a)}, nil
}

func agentOf(snap *registry.Snapshot, a *registry.Agent) api.Agent {
	return api.Agent{ID: a.ID, Incarnation: a.Incarnation, Host: a.Host, Instances: len(a.Instances), Silent: snap.Silent(a)}
}

type agentPut struct {
	AgentPath
	Body api.AgentSet
}

type agentReply struct {
	Written
	Body api.AgentAnswer
}

func (f *face) putAgent(ctx context.Context, in *agentPut) (*agentReply, error) {
	set, rejected, err := allowedOf(access.From(ctx), in.Body.Instances)
	if err != nil {
		return nil, f.failure(err)
	}
	count := f.server.limits.each(access.From(ctx))
	for _, m := range set {
		if err := count(m.Key.Service.Namespace); err != nil {
			// It lives all the same, and beats no more until it has told this set.
			_, _ = f.beatAgent(ctx, &agentBeat{in.AgentPath, api.AgentBeat{Incarnation: in.Body.Incarnation}})
			return nil, f.failure(err)
		}
	}
	record := registry.AgentRecord{ID: in.ID, Incarnation: in.Body.Incarnation, Host: in.Body.Host, Boot: in.Body.Boot}
	only := registry.AnyIncarnation
	switch {
	case in.Body.Exclusive && in.Body.Claim:
		only = registry.NoneElsewhere
	case in.Body.Exclusive:
		only = registry.NoneAlive
	}
	before := f.registry.Snapshot()
	declared := make([]registry.Declaration, len(set))
	for at, m := range set {
		declared[at] = m.Declaration
	}
	receipt, refused, err := f.registry.DeclareAgentIf(ctx, record, only, declared)
	if taken, ok := errors.AsType[*registry.TakenError](err); ok {
		return nil, huma.Error409Conflict(taken.Error(), &huma.ErrorDetail{Message: "another one is alive", Location: api.FieldIncarnation, Value: taken.Host})
	}
	if err != nil {
		return nil, f.failure(err)
	}
	out := &agentReply{Written: receiptOf(receipt)}
	is, snap := f.beats.of(in.ID)
	tellSet(audit.From(ctx), in.ID, before, f.registry.Snapshot())
	out.Body = f.agentAnswer(snap, is)
	out.Body.Rejected = rejected
	for _, r := range refused {
		_, standby := errors.AsType[*registry.StandbyError](r.Err)
		out.Body.Rejected = append(out.Body.Rejected, api.Rejected{Index: set[r.Index].index, Reason: r.Err.Error(), Standby: standby})
	}
	if len(rejected) > 0 {
		audit.From(ctx).Because(rejected[0].Reason)
	}
	return out, nil
}

// numbered is an instance of a set, and which one it is.
type numbered struct {
	registry.Declaration

	index int
}

// allowedOf returns what of a set its caller may write, and the rest with the reasons: an
// agent that has lost a right to one group keeps what it has in others. The error is a
// *access.Denied, when it may write nothing of a set that is not empty: what it has is
// then left to the judge, which has mercy on many that fall silent together.
func allowedOf(caller *access.Caller, all []api.AgentInstance) (set []numbered, rejected []api.Rejected, err error) {
	reasons := map[access.Resource]string{} // "": it may
	for i, m := range all {
		d := declarationOf(m)
		group := namingIn(d.Key.Service)
		reason, known := reasons[group]
		if !known && !caller.May(access.Write, group) {
			reason = (&access.Denied{Who: caller.Who, Verb: access.Write, On: group, Why: caller.Decide(access.Write, group).Why()}).Error()
		}
		reasons[group] = reason
		if reason != "" {
			rejected = append(rejected, api.Rejected{Index: i, Reason: reason})
			continue
		}
		set = append(set, numbered{d, i})
	}
	if len(set) == 0 && len(rejected) > 0 {
		return nil, nil, caller.Check(access.Write, namingIn(declarationOf(all[0]).Key.Service))
	}
	return set, rejected, nil
}

// tellSet tells a trail which instances of an agent a call has changed, as two snapshots
// show it.
func tellSet(trail *audit.Trail, id string, before, after *registry.Snapshot) {
	if before == nil || after == nil || before.Revision() == after.Revision() {
		return
	}
	if a := after.Agent(id); a != nil {
		for _, k := range a.Instances {
			was, is := before.Instance(k), after.Instance(k)
			if is != nil && (was == nil || was.Revision != is.Revision) {
				trail.Part(instancePart(k, audit.Put))
			}
		}
	}
	if a := before.Agent(id); a != nil {
		for _, k := range a.Instances {
			if after.Instance(k) == nil {
				trail.Part(instancePart(k, audit.Delete))
			}
		}
	}
}

func declarationOf(m api.AgentInstance) registry.Declaration {
	d := registry.Declaration{HealthUnknown: m.Health == api.HealthUnknown}
	d.Key = registry.InstanceKey{
		Service:  registry.ServiceKey{Namespace: defaulted(m.Namespace, registry.DefaultNamespace), Group: defaulted(m.Group, registry.DefaultGroup), Name: m.Service},
		Endpoint: registry.Endpoint{Host: m.Address, Port: m.Port},
	}
	d.Cluster, d.Metadata = m.Cluster, registry.MetadataOf(m.Metadata)
	d.Weight, d.Enabled, d.Healthy = or(m.Weight, 1), or(m.Enabled, true), m.Health == api.HealthPassing
	return d
}

func defaulted(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

type agentBeat struct {
	AgentPath
	Body api.AgentBeat
}

// beatReply says where an answer stands, and not whether a write lags, as a beat waits for
// none.
type beatReply struct {
	Revision int64 `header:"Muster-Revision" doc:"Revision of the answer"`
	Body     api.AgentAnswer
}

func (f *face) beatAgent(ctx context.Context, in *agentBeat) (*beatReply, error) {
	is, snap := f.beats.of(in.ID)
	if snap == nil {
		return nil, f.failure(registry.ErrUnavailable)
	}
	if err := is.allows(access.From(ctx)); err != nil {
		return nil, f.failure(err)
	}
	known := true
	var err error
	if is.fine(in.Body.Incarnation) {
		err = f.server.relay.Heard(is.witness)
	} else {
		known, err = f.registry.BeatAgent(ctx, in.ID, in.Body.Incarnation)
		is, snap = f.beats.of(in.ID)
	}
	if err != nil {
		return nil, f.failure(err)
	}
	out := &beatReply{}
	out.Body = f.agentAnswer(snap, is)
	out.Revision = out.Body.Revision
	out.Body.Resync = !known || !is.agrees(in.Body)
	if !known {
		out.Body.Superseded = f.superseded(in.ID, in.Body.Incarnation)
	}
	return out, nil
}

// superseded returns the host of another incarnation that stands and is alive, empty
// when there is none.
func (f *face) superseded(id, incarnation string) string {
	snap := f.registry.Snapshot()
	a := snap.Agent(id)
	if a == nil || a.Revision == 0 || a.Incarnation == incarnation || snap.Silent(a) {
		return ""
	}
	return defaulted(a.Host, "unknown")
}

func memberOf(r registry.Registration) api.AgentInstance {
	m := api.AgentInstance{
		Namespace: r.Key.Service.Namespace, Group: r.Key.Service.Group, Service: r.Key.Service.Name,
		Address: r.Key.Endpoint.Host, Port: r.Key.Endpoint.Port, Cluster: r.Cluster,
		Weight: &r.Weight, Enabled: &r.Enabled, Metadata: r.Metadata.Map(), Health: api.HealthCritical,
	}
	if r.Healthy {
		m.Health = api.HealthPassing
	}
	return m
}

// agentAnswer says when the next beat is expected.
func (f *face) agentAnswer(snap *registry.Snapshot, is *beaten) api.AgentAnswer {
	return api.AgentAnswer{Interval: int(is.interval.Milliseconds()), Hold: is.hold.Milliseconds(), DNS: f.server.resolvers(), Zones: f.server.Zones(), Revision: snap.Revision()}
}

// answersKept returns how long answers with instances of a service may be kept.
func (s *Server) answersKept(of *registry.Service) (longest time.Duration) {
	for _, z := range s.cfg.Zones {
		if isReverse(z) {
			continue
		}
		if rule := s.source.rule(z, netip.Addr{}); rule.TTL != nil {
			longest = max(longest, time.Duration(rule.TTL(of))*time.Second)
		}
	}
	if longest == 0 {
		return s.source.hold()
	}
	return longest
}

func (f *face) deleteAgent(ctx context.Context, p *AgentPath) (*noContent, error) {
	before := f.registry.Snapshot()
	receipt, err := f.registry.DropAgent(ctx, p.ID)
	if err != nil {
		return nil, f.failure(err)
	}
	tellSet(audit.From(ctx), p.ID, before, f.registry.Snapshot())
	return &noContent{receiptOf(receipt)}, nil
}
