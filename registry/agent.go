package registry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
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
// cannot stand is refused alone. It counts as a beat.
func (r *Registry) DeclareAgent(ctx context.Context, a AgentRecord, set []Declaration) (Receipt, []Refusal, error) {
	if err := ValidateAgentID(a.ID); err != nil {
		return Receipt{}, nil, err
	}
	if a.Incarnation == "" || len(a.Incarnation) > 64 {
		return Receipt{}, nil, invalid("incarnation", a.Incarnation, "must be 1 to 64 bytes")
	}
	if err := r.roll.Heard(string(WitnessAgent(a.ID))); err != nil {
		return Receipt{}, nil, err // before anything is written: the agent turns to the judge
	}
	clean, refused := cleanSet(a, set)
	receipt, late, err := r.converge(ctx, func(p *agentPlans) { p.declare(a, clean) })
	if err != nil {
		return receipt, nil, err
	}
	return receipt, append(refused, late...), nil
}

// DropAgent removes an agent and all that it vouches for; an unknown one
// changes nothing.
func (r *Registry) DropAgent(ctx context.Context, id string) (Receipt, error) {
	receipt, _, err := r.converge(ctx, func(p *agentPlans) {
		if a := p.snap.Agent(id); a != nil {
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
	_, _, err := r.converge(ctx, func(p *agentPlans) {
		if a := p.snap.Agent(id); a != nil {
			p.clear(a)
		}
	})
	return true, err
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
}

// room returns a plan that has place for n more operations.
func (p *agentPlans) room(n int) *plan {
	if len(p.plans) > 0 {
		if last := p.plans[len(p.plans)-1]; last.size()+n <= maxWrite && last.metadata < maxWriteMetadata {
			return last
		}
	}
	next := &plan{snap: p.snap}
	p.plans = append(p.plans, next)
	return next
}

const perInstance = 6 // operations at the most: service, claim, instance, tombstone, two verdicts

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
	p.removeExcept(stands, named)
	for _, d := range set {
		if err := p.member(d.Declaration); err != nil {
			p.refused = append(p.refused, Refusal{d.index, err})
		}
	}
}

func (p *agentPlans) member(d Declaration) error {
	i := p.snap.Instance(d.Key)
	if d.HealthUnknown {
		d.Healthy = i != nil && i.Healthy
	}
	if i != nil && i.Declared.Witness != d.Witness {
		if other, ok := i.Declared.Witness.Agent(); ok && !i.Silent {
			return fmt.Errorf("instance %s is declared by agent %s: %w", d.Key, other, ErrConflict)
		}
	}
	if i != nil && i.Declared.equal(&d.Registration) {
		return nil
	}
	last := p.room(perInstance)
	if i == nil { // a verdict that outlived the last instance of this class is none on a new one
		last.deleteVerdict(VerdictKey{string(d.Witness), timeoutsOf(d.Metadata).class()})
	}
	return last.register(d.Registration)
}

// removeExcept removes what an agent vouches for and no longer names.
func (p *agentPlans) removeExcept(a *Agent, named map[InstanceKey]bool) {
	for _, k := range a.Instances {
		if i := p.snap.Instance(k); i != nil && !named[k] {
			p.room(1).remove(i)
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

// converge commits the writes of a rule, all at once, and asks the rule again
// until nothing is left to write: some may fail as records changed meanwhile.
func (r *Registry) converge(ctx context.Context, rule func(*agentPlans)) (Receipt, []Refusal, error) {
	receipt := Receipt{}
	now := r.current()
	for range maxAttempts {
		snap := r.Snapshot()
		if snap == nil {
			return receipt, nil, ErrUnavailable
		}
		p := &agentPlans{snap: snap}
		rule(p)
		committed, stale, err := r.commitAll(ctx, p.plans)
		if err != nil {
			return receipt, nil, err
		}
		if committed == 0 && stale == 0 {
			shown, err := now.ShownBy(ctx, snap)
			if err != nil {
				return receipt, nil, behind(err)
			}
			if !shown {
				continue
			}
			receipt.Revision = max(receipt.Revision, snap.Revision())
			return receipt, p.refused, nil
		}
		receipt.Revision = max(receipt.Revision, committed)
		receipt.Wrote = receipt.Wrote || committed > 0
		if r.visible(ctx, max(committed, stale)) {
			continue
		}
		if stale > 0 { // part of the set is not written, and what to write instead cannot be seen
			return receipt, nil, ErrUnavailable
		}
		receipt.Lagging = true
		return receipt, p.refused, nil
	}
	return receipt, nil, fmt.Errorf("the set kept changing: %w", ErrConflict)
}

// commitAll commits plans concurrently, so that a store may group them. It
// returns the newest revision that one was committed at, and the newest at which
// the check of one failed; 0 when there was none.
func (r *Registry) commitAll(ctx context.Context, plans []*plan) (committed, stale int64, failure error) {
	var (
		mu sync.Mutex
		wg sync.WaitGroup
	)
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, p := range plans {
		if p.empty() {
			continue
		}
		wg.Go(func() {
			revision, err := r.store.Commit(ctx, p.Write)
			mu.Lock()
			defer mu.Unlock()
			if s := (*StaleError)(nil); errors.As(err, &s) {
				stale = max(stale, s.Revision)
			} else if err != nil {
				failure = err
			} else {
				committed = max(committed, revision)
			}
		})
	}
	wg.Wait()
	return committed, stale, failure
}
