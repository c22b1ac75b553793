package registry

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Standby names the agents that declare an instance which another one has, with
// what they declare. When that one falls silent, leaves or gives it weight 0, one
// of them has it in the same write, so that nobody is answered without it.
//
// It is one record for an instance, not one for an agent, so that whoever removes
// the instance can check it: an agent that comes to stand by meanwhile is not
// overlooked.
type Standby struct {
	Key    InstanceKey    `json:"-"`
	Agents []Registration `json:"agents"` // of the instance, by who declares it, in the order of the witnesses
}

// RecordKey returns where the record is kept.
func (s *Standby) RecordKey() Key { return s.Key.record(KindStandby) }

// maxStandby bounds how many agents stand by for one instance.
const maxStandby = 8

// StandbyError tells an agent that it stands by for an instance of another one.
// It is ErrConflict.
type StandbyError struct {
	Instance InstanceKey
	Agent    string
	Host     string // of that agent
}

func (e *StandbyError) Error() string {
	at := ""
	if e.Host != "" {
		at = " on host " + e.Host
	}
	return fmt.Sprintf("instance %s is declared by agent %s%s: standing by until that is silent, drains or leaves", e.Instance, e.Agent, at)
}

// Unwrap returns ErrConflict.
func (e *StandbyError) Unwrap() error { return ErrConflict }

// TakenError refuses an agent's set since another incarnation is alive. It is
// ErrConflict.
type TakenError struct{ Agent, Host string }

func (e *TakenError) Error() string {
	at := "elsewhere"
	if e.Host != "" {
		at = "on host " + e.Host
	}
	return fmt.Sprintf("agent %s runs %s: was its data directory copied, or the same id set twice?", e.Agent, at)
}

// Unwrap returns ErrConflict.
func (e *TakenError) Unwrap() error { return ErrConflict }

var errStandbyFull = errors.New("enough agents stand by for it")

// waiting returns what stands by for an instance, with the revision of it.
func (s *Snapshot) waiting(k InstanceKey) kept[*Standby] {
	w, _ := s.standbys.Get(k)
	return w
}

// waits returns what an agent declares of an instance for which it stands by, nil
// when it does not.
func (s *Snapshot) waits(k InstanceKey, w Witness) *Registration {
	if is := s.waiting(k).record; is != nil {
		for _, r := range is.Agents {
			if r.Witness == w {
				r.Key = k // which the record names once for all
				return &r
			}
		}
	}
	return nil
}

// alive reports whether an agent has a record, and no verdict of silence.
func (s *Snapshot) alive(id string) bool {
	a := s.Agent(id)
	return a != nil && a.Revision != 0 && !s.Silent(a)
}

// Overdue reports whether an agent stands by for an instance that it could have,
// or that is gone: then it must declare its set again.
func (s *Snapshot) Overdue(a *Agent) bool {
	return slices.ContainsFunc(a.Waits, func(k InstanceKey) bool {
		i := s.Instance(k)
		return i == nil || i.Silent || i.Witness == WitnessAgent(a.ID)
	})
}

// BeatInterval returns how often an agent is to be heard of: as the most demanding
// wants of what it has, and of what it could have from one moment to the next, whose
// timeouts run from its last beat then. [DefaultTimeouts] say it of one without any.
func (s *Snapshot) BeatInterval(a *Agent) time.Duration {
	least := DefaultTimeouts.Interval
	wants := func(t Timeouts) {
		if t.Interval > 0 {
			least = min(least, t.Interval)
		}
	}
	for _, k := range a.Instances {
		if i := s.Instance(k); i != nil {
			wants(i.Timeouts)
		}
	}
	for _, k := range a.Waits {
		if r := s.waits(k, WitnessAgent(a.ID)); r != nil {
			wants(timeoutsOf(r.Metadata))
		}
	}
	return least
}

// successor returns what is declared by the one who is to have an instance after
// its witness, nil when nobody can: of those alive the first that has weight and is
// healthy, else the first with weight, else the first.
func (s *Snapshot) successor(k InstanceKey, after Witness) (next *Registration) {
	w := s.waiting(k)
	if w.record == nil {
		return nil
	}
	worth := func(r *Registration) int {
		switch {
		case r.Weight == 0 || !r.Enabled:
			return 0
		case !r.Healthy:
			return 1
		}
		return 2
	}
	for i := range w.record.Agents {
		r := &w.record.Agents[i]
		id, _ := r.Witness.Agent()
		if r.Witness == after || !s.alive(id) {
			continue
		}
		if next == nil || worth(r) > worth(next) {
			next = r
		}
	}
	return next
}

// awaiting returns the standby record of k as it is to be, with one agent less and,
// unless nil, one more.
func (s *Snapshot) awaiting(k InstanceKey, without Witness, with *Registration) *Standby {
	is := &Standby{Key: k}
	if w := s.waiting(k); w.record != nil {
		for _, r := range w.record.Agents {
			if r.Witness == without || with != nil && r.Witness == with.Witness {
				continue
			}
			is.Agents = append(is.Agents, r)
		}
	}
	if with != nil {
		is.Agents = append(is.Agents, *with)
		slices.SortFunc(is.Agents, func(a, b Registration) int { return cmp.Compare(a.Witness, b.Witness) })
	}
	return is
}

// await plans that is stands by; nobody on it is no record.
func (p *plan) await(is *Standby) {
	stands := p.snap.waiting(is.Key)
	p.check(is.RecordKey(), stands.revision)
	switch {
	case len(is.Agents) == 0 && stands.record == nil:
	case len(is.Agents) == 0:
		p.delete(is.RecordKey())
	default:
		p.put(is)
	}
}

const perHandOver = 2 // checks: of the registration and of who stands by

// handOver plans that who stands by has an instance whose witness does not go on
// with it, and reports whether anybody does. Else who comes to stand by meanwhile
// has the write fail.
func (p *plan) handOver(i *Instance, gone Witness, yields *Registration) bool {
	next := p.snap.successor(i.Key, gone)
	if next == nil {
		p.check(i.Key.record(KindStandby), p.snap.waiting(i.Key).revision)
		return false
	}
	p.check(i.RecordKey(), i.Revision)
	p.await(p.snap.awaiting(i.Key, next.Witness, yields))
	p.deleteVerdict(VerdictKey{string(next.Witness), timeoutsOf(next.Metadata).class()}) // one that outlived its last instance
	reg := *next
	reg.Key = i.Key
	p.put(&reg)
	return true
}

// release plans the end of all that an agent stands by for, but for what is named.
func (p *agentPlans) release(a *Agent, named map[InstanceKey]bool) {
	for _, k := range a.Waits {
		if !named[k] {
			p.room(perHandOver).await(p.snap.awaiting(k, WitnessAgent(a.ID), nil))
		}
	}
}

// wait keeps the agents in step with a standby record, nil for none.
func (b *builder) wait(k InstanceKey, is *Standby) {
	ids := map[string]bool{}
	if was, ok := b.standbys.Get(k); ok {
		for _, r := range was.record.Agents {
			id, _ := r.Witness.Agent()
			ids[id] = false
		}
	}
	if is != nil {
		for _, r := range is.Agents {
			id, _ := r.Witness.Agent()
			ids[id] = true
		}
	}
	for id, waits := range ids {
		if id != "" {
			b.editAgent(id).waits.put(k, waits)
		}
	}
}
