package server

import (
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/registry"
)

// beats knows what the beats of agents are answered with. That follows from all that
// an agent has, and is worked out when some of it has changed: thousands beat a second.
type beats struct {
	hold func(*registry.Service) time.Duration // how long answers of it may be kept
	told *atomic.Int64                         // changes when hold may say otherwise

	known sync.Map // id: *beaten
	size  int      // of known, at the most; guarded by mu
	mu    sync.Mutex
}

// beaten is what is known of one agent. It does not change, but for when it was looked at.
type beaten struct {
	agent    *registry.Agent
	services []weak.Pointer[registry.Service] // of its instances, as they were
	told     int64                            // when hold was worked out
	silent   bool
	overdue  bool
	looked   atomic.Int64 // revision of a snapshot that has them

	digest, health string // of what it declared
	interval, hold time.Duration
}

// spare is how many agents that are gone may be known beside those that are there.
const spare = 1000

// of returns what is known of an agent by a snapshot, with the defaults of one that is
// not there.
func (b *beats) of(snap *registry.Snapshot, id string) *beaten {
	a := snap.Agent(id)
	if a == nil {
		return &beaten{interval: registry.DefaultTimeouts.Interval}
	}
	if known, ok := b.known.Load(id); ok {
		if is := known.(*beaten); is.told == b.told.Load() && is.stands(snap, a) {
			return is
		}
	}
	is := b.workOut(snap, a)
	if len(a.Waits) == 0 { // what it waits for may change without it
		b.keep(snap, is)
	}
	return is
}

// stands reports whether all that it was worked out from is in a snapshot unchanged.
func (is *beaten) stands(snap *registry.Snapshot, a *registry.Agent) bool {
	if is.agent != a {
		return false
	}
	if is.looked.Load() == snap.Revision() {
		return true
	}
	for _, was := range is.services {
		if s := was.Value(); s == nil || snap.Service(s.Key) != s {
			return false
		}
	}
	is.looked.Store(snap.Revision())
	return true
}

// fine reports whether a beat of an incarnation changes nothing but the judge's timers.
func (is *beaten) fine(incarnation string) bool {
	return is.agent != nil && is.agent.Incarnation == incarnation && !is.silent
}

func (b *beats) workOut(snap *registry.Snapshot, a *registry.Agent) *beaten {
	is := &beaten{agent: a, told: b.told.Load(), interval: snap.BeatInterval(a), silent: snap.Silent(a), overdue: snap.Overdue(a)}
	seen := map[*registry.Service]bool{}
	set := make([]api.AgentInstance, 0, len(a.Instances))
	for _, k := range a.Instances {
		s := snap.Service(k.Service)
		if s == nil {
			continue
		}
		if !seen[s] {
			seen[s] = true
			is.services = append(is.services, weak.Make(s))
			is.hold = max(is.hold, b.hold(s))
		}
		if i := s.Instance(k.Endpoint); i != nil {
			set = append(set, memberOf(i.Declaration()))
		}
	}
	is.digest, is.health = api.Digest(set)
	return is
}

func (b *beats) keep(snap *registry.Snapshot, is *beaten) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, _, agents := snap.Counts(); b.size > 2*agents+spare {
		b.known.Clear()
		b.size = 0
	}
	if _, was := b.known.Swap(is.agent.ID, is); !was {
		b.size++
	}
}

// agrees reports whether what the snapshot holds of an agent is what the agent
// believes it declared; whatever removed or changed an instance, the agent is
// asked for its set again.
func (is *beaten) agrees(b api.AgentBeat) bool {
	return is.agent != nil && is.digest == b.Digest && (b.Health == "" || is.health == b.Health) && !is.overdue
}
