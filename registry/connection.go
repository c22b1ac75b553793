package registry

import (
	"context"
	"iter"
	"slices"
	"strings"
)

// Holding says which connection vouches for an instance whose witness is
// [WitnessConnection]. It is a record beside the registration, so that a client which
// comes back on another connection changes nothing of what anybody reads.
type Holding struct {
	Key        InstanceKey `json:"-"`
	Connection string      `json:"connection"`
}

// RecordKey returns where the record is kept.
func (h *Holding) RecordKey() Key { return h.Key.record(KindHolding) }

// witnessConnection is what a connection is heard of as, before its id.
const witnessConnection = "conn/"

// ConnectionWitness returns what a connection is heard of as.
func ConnectionWitness(id string) string { return witnessConnection + id }

// forsaken follows the id of a connection in the name under which stands what it has and
// vouches for no more. Nobody is heard of by that name.
const forsaken = "/forsaken"

// MaxConnectionID bounds the id of a connection, in bytes.
const MaxConnectionID = 256

// Connection is a connection with the instances it vouches for. It is immutable.
type Connection struct {
	ID        string
	Instances []InstanceKey // not to be modified
}

// Connection returns the connection, nil when it holds nothing.
func (s *Snapshot) Connection(id string) *Connection {
	c, _ := s.connections.Get(id)
	return c
}

// HeldBy returns the connection that vouches for an instance, "" for none.
func (s *Snapshot) HeldBy(i *Instance) string {
	if i.Witness != WitnessConnection {
		return ""
	}
	if h, ok := s.holdings.Get(i.Key); ok {
		return h.record.Connection
	}
	return ""
}

// Buried reports whether the tombstone of an instance stands: it was deregistered a
// short while ago.
func (s *Snapshot) Buried(k InstanceKey) bool {
	_, ok := s.tombstones.Get(k)
	return ok
}

// witnessID names the one who beats for an instance, "" when nobody does.
func (s *Snapshot) witnessID(i *Instance) string {
	if i.Witness != WitnessConnection {
		return i.witnessID()
	}
	if id := s.HeldBy(i); id != "" {
		return ConnectionWitness(id)
	}
	return ""
}

// Hold makes exactly the given set stand for a connection in a service: new and changed
// ones are written, those it no longer names are deregistered. What others vouch for is
// taken over; a set that stands as it is under another connection is seen by no reader. Of
// an endpoint that is named twice the last one counts. It counts as a beat. A service of
// the other kind is a [*KindError], and then nothing is written.
func (r *Registry) Hold(ctx context.Context, id string, k ServiceKey, set []Registration) (Receipt, error) {
	clean, err := cleanHeld(id, k, set)
	if err != nil {
		return Receipt{}, err
	}
	if err := r.roll.Heard(ConnectionWitness(id)); err != nil {
		return Receipt{}, err
	}
	var refused error
	receipt, _, err := r.converge(ctx, func(p *agentPlans) {
		if refused = p.hold(id, k, clean); refused != nil {
			p.plans = nil
		}
	})
	if err == nil {
		err = refused
	}
	return receipt, err
}

func cleanHeld(id string, k ServiceKey, set []Registration) (clean []Registration, err error) {
	if id == "" || len(id) > MaxConnectionID {
		return nil, invalid("connection", id, "must be 1 to 256 bytes")
	}
	if err := k.Validate(); err != nil {
		return nil, err
	}
	at := make(map[Endpoint]int, len(set))
	for _, reg := range set {
		reg.Key.Service, reg.Witness = k, WitnessConnection
		if reg, err = reg.clean(); err != nil {
			return nil, err
		}
		if n, twice := at[reg.Key.Endpoint]; twice {
			clean[n] = reg
			continue
		}
		at[reg.Key.Endpoint] = len(clean)
		clean = append(clean, reg)
	}
	return clean, nil
}

func (p *agentPlans) hold(id string, k ServiceKey, set []Registration) error {
	p.hearConnection(id)
	named := make(map[InstanceKey]bool, len(set))
	for _, reg := range set {
		named[reg.Key] = true
		plan := p.room(perInstance)
		if err := plan.hold(reg, id); err != nil {
			return err
		}
	}
	for _, i := range p.snap.heldIn(id, k) {
		if !named[i.Key] {
			p.room(perInstance).letGo(i)
		}
	}
	return nil
}

// letGo plans that an instance goes because of the connection that has it. One that
// takes it over meanwhile puts the other record alone.
func (p *plan) letGo(i *Instance) {
	held, _ := p.snap.holdings.Get(i.Key)
	p.check(i.Key.record(KindHolding), held.revision)
	p.deregister(i)
}

// hold plans that a connection has an instance.
func (p *plan) hold(reg Registration, id string) error {
	if err := p.register(reg); err != nil {
		return err
	}
	// One may stand from before, on a connection that had nothing any more.
	p.deleteVerdict(VerdictKey{ConnectionWitness(id), timeoutsOf(reg.Metadata).class()})
	stands, _ := p.snap.holdings.Get(reg.Key)
	if stands.record != nil && stands.record.Connection == id {
		return nil
	}
	is := &Holding{reg.Key, id}
	p.check(is.RecordKey(), stands.revision)
	p.put(is)
	return nil
}

// unheld plans that no connection has an instance any more.
func (p *plan) unheld(k Key) {
	i, ok := k.instance()
	h := i.record(KindHolding)
	if _, held := p.snap.holdings.Get(i); ok && held && !slices.Contains(p.Deletes, h) {
		p.delete(h)
	}
}

// heldIn returns what a connection has in a service.
func (s *Snapshot) heldIn(id string, k ServiceKey) (held []*Instance) {
	c := s.Connection(id)
	if c == nil {
		return nil
	}
	for _, key := range c.Instances {
		if i := s.Instance(key); key.Service == k && i != nil && i.Witness == WitnessConnection {
			held = append(held, i)
		}
	}
	return held
}

// Regain has a connection hold again what it has lost: what the judge removed, and what is
// left with another connection that is silent or gone, or vouches for it no more. What was
// deregistered meanwhile, or is there in other hands, is left as it is.
func (r *Registry) Regain(ctx context.Context, id string, lost []Registration, gone func(connection string) bool) (Receipt, error) {
	var clean []Registration
	for _, reg := range lost {
		one, err := cleanHeld(id, reg.Key.Service, []Registration{reg})
		if err != nil {
			return Receipt{}, err
		}
		clean = append(clean, one...)
	}
	var refused error
	receipt, _, err := r.converge(ctx, func(p *agentPlans) {
		for _, reg := range clean {
			if !p.snap.Lost(reg.Key, id, gone) {
				continue
			}
			plan := p.room(perInstance)
			if i := p.snap.Instance(reg.Key); i != nil && i.Silent {
				v, _ := p.snap.verdicts.Get(VerdictKey{p.snap.witnessID(i), i.Timeouts.class()})
				plan.check(v.record.RecordKey(), v.revision) // who has it may be heard of again
			}
			if refused = plan.hold(reg, id); refused != nil {
				p.plans = nil
				return
			}
		}
	})
	if err == nil {
		err = refused
	}
	return receipt, err
}

// Lost reports whether a connection that declared an instance has lost it, to nobody that
// is alive, and nobody has deregistered it.
func (s *Snapshot) Lost(k InstanceKey, id string, gone func(connection string) bool) bool {
	i := s.Instance(k)
	if i == nil {
		return !s.Buried(k)
	}
	if i.Witness != WitnessConnection {
		return false
	}
	holder := s.HeldBy(i)
	return holder != id && (i.Silent || gone(holder) || strings.HasSuffix(holder, forsaken))
}

// Forsake has a connection vouch no more for what it has in services: that goes when its
// time is over, unless a connection declares it.
func (r *Registry) Forsake(ctx context.Context, id string, services map[ServiceKey]bool) error {
	snap := r.Snapshot()
	if snap == nil {
		return ErrUnavailable
	}
	mine := func(k InstanceKey) bool { return services[k.Service] }
	if c := snap.Connection(id); c == nil || !slices.ContainsFunc(c.Instances, mine) {
		return nil
	}
	_, _, err := r.converge(ctx, func(p *agentPlans) {
		c := p.snap.Connection(id)
		for n := 0; c != nil && n < len(c.Instances); n++ {
			if k := c.Instances[n]; mine(k) {
				held, _ := p.snap.holdings.Get(k)
				plan := p.room(1)
				plan.check(k.record(KindHolding), held.revision) // who removes it removes that too
				plan.put(&Holding{k, id + forsaken})
			}
		}
	})
	return err
}

// LetGo deregisters what a connection has in a service. When it has nothing there, it
// is the instance at named that goes, if some connection has it: that of a client that
// came back and has not declared anew what it takes back now.
func (r *Registry) LetGo(ctx context.Context, id string, k ServiceKey, named Endpoint) (Receipt, error) {
	if err := k.Validate(); err != nil {
		return Receipt{}, err
	}
	receipt, _, err := r.converge(ctx, func(p *agentPlans) {
		for _, i := range p.snap.heldIn(id, k) {
			p.room(perInstance).letGo(i)
		}
	})
	if err != nil || receipt.Wrote {
		return receipt, err
	}
	return r.apply(ctx, func(p *plan) error {
		if i := p.snap.Instance(InstanceKey{k, named}); i != nil && i.Witness == WitnessConnection {
			p.deregister(i)
		}
		return nil
	})
}

// HearConnection records a sign of life of a connection. It writes only when the
// connection was judged silent.
func (r *Registry) HearConnection(ctx context.Context, id string) error {
	snap := r.Snapshot()
	if snap == nil {
		return ErrUnavailable
	}
	if err := r.roll.Heard(ConnectionWitness(id)); err != nil {
		return err
	}
	if !snap.silent(id) {
		return nil
	}
	_, _, err := r.converge(ctx, func(p *agentPlans) { p.hearConnection(id) })
	return err
}

// hearConnection plans that no verdict of silence stands on what a connection has.
func (p *agentPlans) hearConnection(id string) {
	c := p.snap.Connection(id)
	if c == nil {
		return
	}
	done := map[string]bool{}
	for _, k := range c.Instances {
		if i := p.snap.Instance(k); i != nil && i.Silent && !done[i.Timeouts.class()] {
			class := i.Timeouts.class()
			done[class] = true
			p.room(1).deleteVerdict(VerdictKey{ConnectionWitness(id), class})
		}
	}
}

// silent reports whether a verdict of silence stands on what a connection has.
func (s *Snapshot) silent(id string) bool {
	c := s.Connection(id)
	return c != nil && slices.ContainsFunc(c.Instances, func(k InstanceKey) bool {
		i := s.Instance(k)
		return i != nil && i.Silent && i.Witness == WitnessConnection
	})
}

// Idle yields the verdicts on connections that hold nothing any more, in no order: their
// clients came back on other ones.
func (s *Snapshot) Idle() iter.Seq[*Verdict] {
	return func(yield func(*Verdict) bool) {
		for k, v := range s.verdicts.All() {
			if id, ok := strings.CutPrefix(k.Witness, witnessConnection); ok && s.Connection(id) == nil && !yield(v.record) {
				return
			}
		}
	}
}

// Drop removes the verdict on a connection that holds nothing any more: v is of those
// that [Snapshot.Idle] yields.
func (r *Registry) Drop(ctx context.Context, v *Verdict) error {
	_, err := r.apply(ctx, func(p *plan) error {
		p.Judge = true
		id := strings.TrimPrefix(v.Key.Witness, witnessConnection)
		if stands, _ := p.snap.verdicts.Get(v.Key); stands.record == v && p.snap.Connection(id) == nil {
			p.check(v.RecordKey(), stands.revision)
			p.delete(v.RecordKey())
		}
		return nil
	})
	return err
}

// rosterOf returns the instances of a connection's roster; none when it changed a record
// after revision seen.
func (s *Snapshot) rosterOf(id string, ro Roster, seen int64) (members []*Instance) {
	c := s.Connection(id)
	if c == nil {
		return nil
	}
	for _, k := range c.Instances {
		i := s.Instance(k)
		if i == nil || i.Witness != WitnessConnection {
			continue
		}
		if held, _ := s.holdings.Get(k); max(i.Revision, held.revision) > seen {
			return nil
		}
		if i.Timeouts.class() == ro.Class {
			members = append(members, i)
		}
	}
	return members
}
