package registry

import (
	"context"
	"fmt"
)

// Declaration is one member of an agent's set.
type Declaration struct {
	Registration
	HealthUnknown bool // keep the health that stands; a new instance starts unhealthy
}

// Refusal says why one member of a set does not stand.
type Refusal struct {
	Index int
	Err   error
}

// maxWrite bounds the operations of one planned write, so that it fits into a
// group of them on a store with etcd's default limit of 128.
const maxWrite = 60

// maxWriteMetadata does the same for the bytes of metadata, each of which may
// take six in JSON, where a request may have 1.5 MiB.
const maxWriteMetadata = 128 << 10

// DeclareAgent makes exactly the given set stand for an agent: new and changed
// members are written, those it no longer names are removed. A member that
// cannot stand is refused alone, and one that another agent has makes this one
// stand by: a [*StandbyError]. It counts as a beat.
func (r *Registry) DeclareAgent(ctx context.Context, a AgentRecord, set []Declaration) (Receipt, []Refusal, error) {
	return r.DeclareAgentIf(ctx, a, AnyIncarnation, set)
}

// Rivals says which other incarnation of an agent a set gives way to.
type Rivals int

// The incarnations that a set gives way to.
const (
	AnyIncarnation Rivals = iota // to none
	NoneElsewhere                // to one that is alive and has not the same Boot: one that has ran here, and is over
	NoneAlive                    // to any that is alive
)

// DeclareAgentIf is [Registry.DeclareAgent], but a set that gives way to another
// incarnation is refused whole, with a [*TakenError].
func (r *Registry) DeclareAgentIf(ctx context.Context, a AgentRecord, only Rivals, set []Declaration) (Receipt, []Refusal, error) {
	if err := ValidateAgentID(a.ID); err != nil {
		return Receipt{}, nil, err
	}
	if a.Incarnation == "" || len(a.Incarnation) > 64 {
		return Receipt{}, nil, invalid("incarnation", a.Incarnation, "must be 1 to 64 bytes")
	}
	if err := r.unrivalled(ctx, a, only); err != nil {
		return Receipt{}, nil, err
	}
	if err := r.roll.Heard(string(WitnessAgent(a.ID))); err != nil {
		return Receipt{}, nil, err // before anything is written: the agent turns to the judge
	}
	clean, refused := cleanSet(a, set)
	var taken error
	receipt, late, err := r.converge(ctx, func(p *agentPlans) {
		if taken = p.snap.rival(a, only); taken == nil {
			p.declare(a, clean)
		}
	})
	if err == nil {
		err = taken
	}
	if err != nil {
		return receipt, nil, err
	}
	return receipt, append(refused, late...), nil
}

// rival returns an error when a gives way to the incarnation that stands.
func (s *Snapshot) rival(a AgentRecord, only Rivals) error {
	stands := s.Agent(a.ID)
	if only == AnyIncarnation || !s.alive(a.ID) || stands.Incarnation == a.Incarnation ||
		only == NoneElsewhere && a.Boot != "" && a.Boot == stands.Boot {
		return nil
	}
	return &TakenError{a.ID, stands.Host}
}

// unrivalled is rival before anything is done: a set that is refused must not
// count as a beat of the one that is alive. A snapshot that is behind may show an
// incarnation that is over, so a refusal is made on one that shows all.
func (r *Registry) unrivalled(ctx context.Context, a AgentRecord, only Rivals) error {
	now := r.current()
	for {
		snap := r.Snapshot()
		if snap == nil {
			return ErrUnavailable
		}
		err := snap.rival(a, only)
		if err == nil {
			return nil
		}
		shown, unsure := now.ShownBy(ctx, snap)
		if unsure != nil {
			return behind(unsure)
		}
		if shown {
			return err
		}
	}
}

// DropAgent removes an agent and all that it vouches for; an unknown one
// changes nothing.
func (r *Registry) DropAgent(ctx context.Context, id string) (Receipt, error) {
	receipt, _, err := r.converge(ctx, func(p *agentPlans) {
		if a := p.snap.Agent(id); a != nil {
			p.release(a, nil)
			p.removeExcept(a, nil)
			p.dropRecord(a)
		}
	})
	return receipt, err
}

// BeatAgent records a sign of life of an agent's incarnation. It reports false
// when the agent is unknown or another incarnation stands: then the agent must
// declare its set again. It writes only when the agent was judged silent.
func (r *Registry) BeatAgent(ctx context.Context, id, incarnation string) (bool, error) {
	snap := r.Snapshot()
	if snap == nil {
		return false, ErrUnavailable
	}
	a := snap.Agent(id)
	if a == nil || a.Incarnation != incarnation {
		return false, nil
	}
	if err := r.roll.Heard(string(WitnessAgent(id))); err != nil {
		return false, err
	}
	if !snap.Silent(a) {
		return true, nil
	}
	known := false
	_, _, err := r.converge(ctx, func(p *agentPlans) {
		a := p.snap.Agent(id)
		if known = a != nil && a.Incarnation == incarnation; known { // else the judge removed it meanwhile
			p.clear(a)
		}
	})
	return known && err == nil, err
}

// clear drops every verdict on an agent's instances.
func (p *agentPlans) clear(a *Agent) {
	witness := string(WitnessAgent(a.ID))
	classes := map[string]bool{DefaultTimeouts.class(): true}
	for _, k := range a.Instances {
		if i := p.snap.Instance(k); i != nil {
			classes[i.Timeouts.class()] = true
		}
	}
	for class := range classes {
		p.room(1).deleteVerdict(VerdictKey{witness, class})
	}
}

// cleanSet checks every member by itself and refuses repetitions.
func cleanSet(a AgentRecord, set []Declaration) ([]indexed, []Refusal) {
	var (
		clean   []indexed
		refused []Refusal
		named   = make(map[InstanceKey]bool, len(set))
	)
	for i, d := range set {
		reg, err := d.clean()
		if err == nil && named[reg.Key] {
			err = invalid("instance", reg.Key.String(), "is declared twice")
		}
		if err != nil {
			refused = append(refused, Refusal{i, err})
			continue
		}
		reg.Witness = WitnessAgent(a.ID)
		named[reg.Key] = true
		clean = append(clean, indexed{i, Declaration{reg, d.HealthUnknown}})
	}
	return clean, refused
}

type indexed struct {
	index int
	Declaration
}

// agentPlans are the writes that take an agent from what stands to what is
// declared; they touch different records, so their order does not matter.
type agentPlans struct {
	snap    *Snapshot
	plans   []*plan
	refused []Refusal
	come    map[string]Population // of all plans together
}

// room returns a plan that has place for n more operations.
func (p *agentPlans) room(n int) *plan {
	if len(p.plans) > 0 {
		if last := p.plans[len(p.plans)-1]; last.size()+n <= maxWrite && last.metadata < maxWriteMetadata {
			return last
		}
	}
	if p.come == nil {
		p.come = map[string]Population{}
	}
	next := &plan{snap: p.snap, come: p.come}
	p.plans = append(p.plans, next)
	return next
}

const perInstance = 8 // operations at the most: service, claim, instance, tombstone, three verdicts, who stands by

func (p *agentPlans) declare(a AgentRecord, set []indexed) {
	stands := p.snap.Agent(a.ID)
	if stands == nil {
		stands = &Agent{AgentRecord: AgentRecord{ID: a.ID}}
	}
	if stands.Revision == 0 || stands.AgentRecord != a {
		head := p.room(1)
		head.check(a.RecordKey(), stands.Revision)
		head.put(&a)
	}
	p.clear(stands)
	named := make(map[InstanceKey]bool, len(set))
	for _, d := range set {
		named[d.Key] = true
	}
	p.release(stands, named)
	p.removeExcept(stands, named)
	for _, d := range set {
		if err := p.member(d.Declaration); err != nil {
			p.refused = append(p.refused, Refusal{d.index, err})
		}
	}
}

func (p *agentPlans) member(d Declaration) error {
	i, own := p.snap.Instance(d.Key), p.snap.waits(d.Key, d.Witness)
	switch {
	case !d.HealthUnknown:
	case own != nil:
		d.Healthy = own.Healthy
	default:
		d.Healthy = i != nil && i.Healthy
	}
	if i != nil && i.Witness != d.Witness {
		if other, ok := i.Witness.Agent(); ok && !i.Silent && (i.Declaration().Weight > 0 || d.Weight == 0) {
			return p.standBy(d, own, i, other)
		}
	}
	// Who drains gives way to who does not.
	if i != nil && i.Witness == d.Witness && d.Weight == 0 {
		if next := p.snap.successor(d.Key, d.Witness); next != nil && next.Weight > 0 {
			id, _ := next.Witness.Agent()
			p.room(perInstance).handOver(i, d.Witness, &d.Registration)
			return p.standbyError(d.Key, id)
		}
	}
	if i != nil && i.Declaration() == d.Registration && own == nil {
		return nil
	}
	last := p.room(perInstance)
	if own != nil {
		last.await(p.snap.awaiting(d.Key, d.Witness, nil))
	}
	if i == nil { // a verdict that outlived the last instance of this class is none on a new one
		last.deleteVerdict(VerdictKey{string(d.Witness), timeoutsOf(d.Metadata).class()})
	}
	return last.register(d.Registration)
}

// standBy has a member wait for one that another agent has; own is what stands by
// of it already.
func (p *agentPlans) standBy(d Declaration, own *Registration, i *Instance, other string) error {
	if own != nil && *own == d.Registration {
		return p.standbyError(d.Key, other)
	}
	is := p.snap.awaiting(d.Key, d.Witness, &d.Registration)
	if len(is.Agents) > maxStandby {
		return fmt.Errorf("instance %s is declared by agent %s, and %w: %w", d.Key, other, errStandbyFull, ErrConflict)
	}
	plan := p.room(perHandOver + 1)
	plan.check(i.RecordKey(), i.Revision)
	verdict := VerdictKey{string(i.Witness), i.Timeouts.class()}
	plan.check(verdict.record(), revisionOf(p.snap.verdicts, verdict)) // else it could be had already
	plan.await(is)
	return p.standbyError(d.Key, other)
}

func (p *agentPlans) standbyError(k InstanceKey, other string) error {
	e := &StandbyError{Instance: k, Agent: other}
	if a := p.snap.Agent(other); a != nil {
		e.Host = a.Host
	}
	return e
}

// removeExcept removes what an agent vouches for and no longer names.
func (p *agentPlans) removeExcept(a *Agent, named map[InstanceKey]bool) {
	for _, k := range a.Instances {
		if i := p.snap.Instance(k); i != nil && !named[k] {
			if last := p.room(perHandOver + 1); !last.handOver(i, i.Witness, nil) {
				last.remove(i)
			}
		}
	}
}

func (p *agentPlans) dropRecord(a *Agent) {
	p.clear(a)
	if a.Revision != 0 {
		last := p.room(1)
		last.check(a.RecordKey(), a.Revision)
		last.delete(a.RecordKey())
	}
}
