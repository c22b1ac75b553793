package registry

import (
	"context"
	"strings"
	"time"
)

// Roster is what one witness vouches for, under one pair of timeouts: the unit
// that is judged together.
type Roster struct {
	Witness string
	Class   string
	Timeouts
}

// Roster returns the roster an instance of the snapshot belongs to, and false for one
// that nobody beats for.
func (s *Snapshot) Roster(i *Instance) (Roster, bool) {
	w := s.witnessID(i)
	return Roster{w, i.Timeouts.class(), i.Timeouts}, w != ""
}

// Roster returns the roster by which an agent without instances is judged.
func (a *Agent) Roster() Roster {
	return Roster{string(WitnessAgent(a.ID)), DefaultTimeouts.class(), DefaultTimeouts}
}

// Silence writes the verdict that a roster was not heard of in time. It was
// judged by the snapshot of revision seen: a witness that declared anything
// after it is alive, also when that came between two attempts to write, and
// nothing happens. Nothing happens either when nothing is left to judge.
//
// Instances for which another agent stands by go to that one in the same write.
func (r *Registry) Silence(ctx context.Context, ro Roster, seen int64) error {
	for again := true; again; {
		_, err := r.apply(ctx, func(p *plan) error {
			p.Judge, again = true, false
			members, agent := p.snap.roster(ro, seen)
			if agent != nil {
				if members, again = p.yield(members, agent); again {
					return nil
				}
			}
			if len(members) == 0 {
				return nil
			}
			v := &Verdict{Key: VerdictKey{ro.Witness, ro.Class}, Incarnation: p.snap.incarnation(members[0]), Since: time.Now().UTC()}
			stands, _ := p.snap.verdicts.Get(v.Key)
			if stands.record != nil && stands.record.Incarnation == v.Incarnation {
				return nil
			}
			if agent != nil {
				p.check(agent.RecordKey(), agent.Revision)
			} else {
				p.check(members[0].RecordKey(), members[0].Revision)
			}
			p.check(v.RecordKey(), stands.revision)
			p.put(v)
			// Who came to stand by while this was written is seen at once.
			again = agent != nil
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// yield hands over those of an agent's instances for which another one stands by,
// as many as go into one write, and returns the others, and whether there are more.
func (p *plan) yield(members []*Instance, agent *Agent) (stay []*Instance, more bool) {
	for _, i := range members {
		switch {
		case p.snap.successor(i.Key, i.Witness) == nil:
			stay = append(stay, i)
		case p.size()+2*perHandOver >= maxWrite || p.metadata >= maxWriteMetadata:
			more = true
		default:
			p.check(agent.RecordKey(), agent.Revision) // an agent that starts anew puts it
			p.handOver(i, i.Witness, nil)
		}
	}
	return stay, more
}

// Remove takes a roster's instances off the roll, unless their witness declared
// anything after the revision seen, as with [Registry.Silence], or took the verdict
// of silence back that comes before a removal. An agent that has none left goes with
// them.
func (r *Registry) Remove(ctx context.Context, ro Roster, seen int64) error {
	for {
		left := 0
		_, err := r.apply(ctx, func(p *plan) error {
			p.Judge, left = true, 0
			members, agent := p.snap.roster(ro, seen)
			if agent != nil {
				p.check(agent.RecordKey(), agent.Revision) // an agent that starts anew puts it
			}
			if len(members) > 0 {
				if ro.Unhealthy < ro.Delete && !members[0].Silent {
					return nil // it spoke since it was due
				}
				v := VerdictKey{ro.Witness, ro.Class}
				stands, _ := p.snap.verdicts.Get(v)
				p.check(v.record(), stands.revision) // a witness that speaks takes it back
			}
			for _, i := range members {
				if p.size()+2*perHandOver >= maxWrite || p.metadata >= maxWriteMetadata {
					left++
					continue
				}
				if agent != nil && p.handOver(i, i.Witness, nil) {
					continue
				}
				p.check(i.RecordKey(), i.Revision)
				if held, ok := p.snap.holdings.Get(i.Key); ok { // a client that comes back puts it alone
					p.check(i.Key.record(KindHolding), held.revision)
				}
				p.delete(i.RecordKey())
			}
			last := agent != nil && len(agent.Instances) == len(members)
			for n := 0; last && n < len(agent.Waits); n++ {
				if p.size()+perHandOver >= maxWrite {
					left++
					continue
				}
				p.await(p.snap.awaiting(agent.Waits[n], WitnessAgent(agent.ID), nil))
			}
			if left > 0 {
				return nil
			}
			p.deleteVerdict(VerdictKey{ro.Witness, ro.Class})
			if last && agent.Revision != 0 {
				p.delete(agent.RecordKey())
			}
			return nil
		})
		if err != nil || left == 0 {
			return err
		}
	}
}

// roster returns the instances of a roster, and the agent when one vouches;
// nothing at all when the witness changed a record after revision seen.
func (s *Snapshot) roster(ro Roster, seen int64) ([]*Instance, *Agent) {
	if id, ok := strings.CutPrefix(ro.Witness, witnessConnection); ok {
		return s.rosterOf(id, ro, seen), nil
	}
	id, ok := Witness(ro.Witness).Agent()
	if !ok {
		k, _ := parseInstanceKey(strings.TrimPrefix(ro.Witness, "http/"))
		i := s.Instance(k)
		if i == nil || i.Witness != WitnessHTTP || i.Timeouts.class() != ro.Class || i.Revision > seen {
			return nil, nil
		}
		return []*Instance{i}, nil
	}
	a := s.Agent(id)
	if a == nil || a.Revision > seen {
		return nil, nil
	}
	var members []*Instance
	for _, k := range a.Instances {
		i := s.Instance(k)
		if i == nil {
			continue
		}
		if i.Revision > seen {
			return nil, nil
		}
		if i.Timeouts.class() == ro.Class {
			members = append(members, i)
		}
	}
	return members, a
}

// Failed writes the verdict that a server-side check failed on an instance: the
// check whose [HealthCheck.ID] is given, and why in a few words. Nothing is written
// when that stands already, or the instance is gone or checked otherwise by now.
func (r *Registry) Failed(ctx context.Context, k InstanceKey, check, why string) (Receipt, error) {
	return r.apply(ctx, func(p *plan) error {
		p.Judge = true
		i, is := p.snap.checked(k)
		if is == nil || is.ID() != check {
			return nil
		}
		v := &Verdict{Key: k.checked(), Incarnation: check, Since: time.Now().UTC(), Why: why}
		stands, _ := p.snap.verdicts.Get(v.Key)
		if stands.record != nil && stands.record.Incarnation == check {
			return nil
		}
		p.check(i.RecordKey(), i.Revision)
		p.check(v.RecordKey(), stands.revision)
		p.put(v)
		return nil
	})
}

// Passed takes the verdict of a check on an instance back, and declares the
// instance healthy if its owner did not. It is else as [Registry.Failed].
func (r *Registry) Passed(ctx context.Context, k InstanceKey, check string) (Receipt, error) {
	return r.apply(ctx, func(p *plan) error {
		p.Judge = true
		i, is := p.snap.checked(k)
		if is == nil || is.ID() != check {
			return nil
		}
		if stands, ok := p.snap.verdicts.Get(k.checked()); ok {
			p.check(k.checked().record(), stands.revision)
			p.deleteVerdict(k.checked())
		}
		if !i.healthy {
			back := i.Declaration()
			back.Healthy = true
			p.check(back.RecordKey(), i.Revision)
			p.put(&back)
		}
		return nil
	})
}

// Failure returns the verdict of the check of an instance that fails, else nil.
func (s *Snapshot) Failure(i *Instance) *Verdict {
	if !i.Failing {
		return nil
	}
	v, _ := s.verdicts.Get(i.Key.checked())
	return v.record
}

// checked returns an instance with the check that is run for it, nil for one
// that is not there or not checked.
func (s *Snapshot) checked(k InstanceKey) (*Instance, *HealthCheck) {
	v := s.Service(k.Service)
	if v == nil {
		return nil, nil
	}
	i := v.Instance(k.Endpoint)
	if i == nil {
		return nil, nil
	}
	return i, v.Check(i)
}

// Bury removes a tombstone whose time is over: t is of those that
// [Snapshot.Tombstones] yields. A later one of the same instance stays.
func (r *Registry) Bury(ctx context.Context, t *Tombstone) error {
	_, err := r.apply(ctx, func(p *plan) error {
		p.Judge = true
		if stands, _ := p.snap.tombstones.Get(t.Key); stands.record == t {
			p.check(t.RecordKey(), stands.revision)
			p.delete(t.RecordKey())
		}
		return nil
	})
	return err
}

// Forget removes the override of an instance that is gone, unless it is pinned.
func (r *Registry) Forget(ctx context.Context, k InstanceKey) error {
	_, err := r.apply(ctx, func(p *plan) error {
		p.Judge = true
		if o, ok := p.snap.overrides.Get(k); ok && !o.record.Pinned && p.snap.Instance(k) == nil {
			p.check(o.record.RecordKey(), o.revision)
			p.check(k.record(KindRegistration), 0)
			p.delete(o.record.RecordKey())
		}
		return nil
	})
	return err
}
