package server

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/registry"
)

// beats knows what the beats of agents are answered with. That follows from all that
// an agent has, and is worked out again for those alone of which some of it has changed:
// thousands beat a second, while others come and go beside what they have.
type beats struct {
	view *registry.View
	hold func(*registry.Service) time.Duration // how long answers of it may be kept
	told *atomic.Int64                         // changes when hold may say otherwise

	at    atomic.Pointer[registry.Snapshot] // that known is true of
	known sync.Map                          // id: *beaten; nobody of whom the snapshot does not know
	mu    sync.Mutex                        // held by who writes at or adds to known
}

// beaten is what is known of one agent. It does not change.
type beaten struct {
	agent   *registry.Agent
	witness string
	told    int64 // when hold was worked out
	silent  bool
	overdue bool

	digest, health string // of what it declared
	interval, hold time.Duration
	groups         []access.Resource // of what it has, and of what it waits for
}

// follow keeps up with the snapshots until ctx ends, whether or not anybody beats: else
// one would be kept that nobody needs any more.
func (b *beats) follow(ctx context.Context) error {
	for {
		changed := b.view.Changed()
		b.now()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// now returns the newest snapshot, once what is known is true of it; nil: there is none.
func (b *beats) now() *registry.Snapshot {
	if snap := b.view.Snapshot(); snap == b.at.Load() {
		return snap
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	was, is := b.at.Load(), b.view.Snapshot()
	if was != is {
		if was != nil {
			b.forgetChanged(was, is)
		}
		b.at.Store(is)
	}
	return is
}

// forgetChanged forgets the agents of which anything differs between two snapshots. The
// cost follows the number of changes. mu is held.
func (b *beats) forgetChanged(was, is *registry.Snapshot) {
	if _, _, agents := was.Counts(); agents == 0 {
		return
	}
	for was, is := range registry.DiffAgents(was, is) {
		if was != nil {
			b.known.Delete(was.ID)
		} else {
			b.known.Delete(is.ID)
		}
	}
	for was, is := range registry.Diff(was, is) {
		for was, is := range registry.DiffInstances(was, is) {
			b.forget(was)
			b.forget(is)
		}
		if was != nil && is != nil && b.hold(was) != b.hold(is) {
			for i := range is.Instances.All() {
				b.forget(i)
			}
		}
	}
}

// forget forgets the agent that vouches for an instance.
func (b *beats) forget(i *registry.Instance) {
	if i == nil {
		return
	}
	if id, ok := i.Witness.Agent(); ok {
		b.known.Delete(id)
	}
}

// of returns what is known of an agent, with the defaults of one that is not there, and a
// snapshot that it is true of; both are nil while there is no snapshot.
func (b *beats) of(id string) (*beaten, *registry.Snapshot) {
	snap := b.now()
	if snap == nil {
		return nil, nil
	}
	if known, ok := b.known.Load(id); ok {
		if is := known.(*beaten); is.told == b.told.Load() {
			return is, snap
		}
	}
	a := snap.Agent(id)
	if a == nil {
		return &beaten{interval: registry.DefaultTimeouts.Interval}, snap
	}
	is := b.workOut(snap, a)
	if len(a.Waits) == 0 { // what it waits for may change without it
		b.keep(snap, is)
	}
	return is, snap
}

// fine reports whether a beat of an incarnation changes nothing but the judge's timers.
func (is *beaten) fine(incarnation string) bool {
	return is.agent != nil && is.agent.Incarnation == incarnation && !is.silent
}

func (b *beats) workOut(snap *registry.Snapshot, a *registry.Agent) *beaten {
	is := &beaten{agent: a, witness: string(registry.WitnessAgent(a.ID)), told: b.told.Load(), interval: snap.BeatInterval(a),
		silent: snap.Silent(a), overdue: snap.Overdue(a)}
	is.covers(a.Instances)
	is.covers(a.Waits)
	seen := map[*registry.Service]bool{}
	set := make([]api.AgentInstance, 0, len(a.Instances))
	for _, k := range a.Instances {
		s := snap.Service(k.Service)
		if s == nil {
			continue
		}
		if !seen[s] {
			seen[s] = true
			is.hold = max(is.hold, b.hold(s))
		}
		if i := s.Instance(k.Endpoint); i != nil {
			set = append(set, memberOf(i.Declaration()))
		}
	}
	is.digest, is.health = api.Digest(set)
	return is
}

// covers notes the groups in which an agent has something. Most have one; who has each
// instance in another must not make this the work of thousands for each of them.
func (is *beaten) covers(all []registry.InstanceKey) {
	known := map[access.Resource]bool{}
	for _, k := range all {
		if group := namingIn(k.Service); !known[group] {
			known[group] = true
			is.groups = append(is.groups, group)
		}
	}
}

// allows returns nil if who beats for an agent may write all that this has. What it
// declared while its roles allowed that would otherwise live for as long as it beats.
func (is *beaten) allows(c *access.Caller) error {
	for _, group := range is.groups {
		if err := c.Check(access.Write, group); err != nil {
			return err
		}
	}
	return nil
}

// keep has what was worked out by a snapshot known, unless another one is followed now.
func (b *beats) keep(snap *registry.Snapshot, is *beaten) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.at.Load() == snap {
		b.known.Store(is.agent.ID, is)
	}
}

// agrees reports whether what the snapshot holds of an agent is what the agent
// believes it declared; whatever removed or changed an instance, the agent is
// asked for its set again.
func (is *beaten) agrees(b api.AgentBeat) bool {
	return is.agent != nil && is.digest == b.Digest && (b.Health == "" || is.health == b.Health) && !is.overdue
}
