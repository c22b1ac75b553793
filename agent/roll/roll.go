// Package roll is what an agent declares: the instances of its host, each with
// the health that its checks find.
package roll

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/probe"
)

// Key tells instances apart.
type Key struct {
	Namespace, Group, Service, Address string
	Port                               uint16
}

func (k Key) String() string {
	return client.Name{Namespace: k.Namespace, Group: k.Group, Name: k.Service}.String() + "/" + client.Endpoint(k.Address, k.Port)
}

// Compare orders keys by namespace, group, service, address and port.
func (k Key) Compare(o Key) int {
	return cmp.Or(strings.Compare(k.Namespace, o.Namespace), strings.Compare(k.Group, o.Group),
		strings.Compare(k.Service, o.Service), strings.Compare(k.Address, o.Address), cmp.Compare(k.Port, o.Port))
}

// Member is one instance as it is to be registered.
type Member struct {
	Instance api.AgentInstance // without health
	Checks   []probe.Check
	Origin   string // the file or registration it comes from
	// Health is what whoever declares it knows of its health; empty means passing.
	// The worst of it and of what the checks find counts.
	Health string
}

// member is one instance of the roll.
type member struct {
	Member

	running []*check
	health  string
}

// check is one check of one member.
type check struct {
	definition probe.Check
	loop       *probe.Loop
	state      probe.State        // under Roll.mu
	cancel     context.CancelFunc // nil until Run has started it; under Roll.mu
	gone       bool               // its member wants it no more; under Roll.mu
}

// Roll is the agent's declared set with the health of each member. Run runs
// the checks; everything else may be called by several goroutines.
type Roll struct {
	log     *slog.Logger
	changed chan struct{} // something the server must learn, one is enough
	started chan struct{} // checks wait to be started, one is enough

	mu       sync.Mutex
	members  map[Key]*member
	waiting  []*check
	draining bool
	version  uint64        // grows with each change the server must learn
	news     chan struct{} // closed when version grows; under mu
}

// New returns an empty Roll.
func New(log *slog.Logger) *Roll {
	return &Roll{
		log: log, members: make(map[Key]*member), version: 1,
		changed: make(chan struct{}, 1), started: make(chan struct{}, 1), news: make(chan struct{}),
	}
}

// Changed returns a channel on which there is something when the server must
// learn of a change.
func (r *Roll) Changed() <-chan struct{} { return r.changed }

// Version returns a number that grows with every change of the roll, and a
// channel that is closed at the next one.
func (r *Roll) Version() (uint64, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.version, r.news
}

// bump notes a change. r.mu is held.
func (r *Roll) bump() {
	r.version++
	close(r.news)
	r.news = make(chan struct{})
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is on already
	}
}

// Run runs the checks of the members until ctx ends, and returns nil then. It
// may be called once.
func (r *Roll) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		r.mu.Lock()
		for _, c := range r.waiting {
			if c.gone {
				continue
			}
			own, cancel := context.WithCancel(ctx)
			c.cancel = cancel
			wg.Go(func() {
				defer cancel()
				_ = c.loop.Run(own) // nil: it ends when own does
			})
		}
		r.waiting = nil
		r.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case <-r.started:
		}
	}
}

// Declare makes want the declared set. Members and checks that are in it
// unchanged go on as if nothing had happened.
func (r *Roll) Declare(want map[Key]Member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.version
	for k, m := range r.members {
		if _, ok := want[k]; !ok {
			for _, c := range m.running {
				c.stop()
			}
			delete(r.members, k)
			r.bump()
			r.log.Info("instance withdrawn", "instance", k.String(), "origin", m.Origin)
		}
	}
	for k, d := range want {
		m := r.members[k]
		if m == nil {
			m = &member{}
			r.members[k] = m
			r.log.Info("instance declared", "instance", k.String(), "origin", d.Origin, "checks", len(d.Checks))
		}
		if !reflect.DeepEqual(m.Instance, d.Instance) {
			r.bump()
		}
		m.Member = d
		r.recheck(k, m)
		r.judge(k, m, nil)
	}
	if r.version != before {
		signal(r.changed)
	}
	signal(r.started)
}

// recheck makes the running checks of m those that it declares. r.mu is held.
func (r *Roll) recheck(k Key, m *member) {
	old := m.running
	m.running = nil
	for _, def := range m.Checks {
		i := slices.IndexFunc(old, func(c *check) bool { return reflect.DeepEqual(c.definition, def) })
		if i >= 0 {
			m.running = append(m.running, old[i])
			old = slices.Delete(old, i, i+1)
			continue
		}
		c := &check{definition: def, state: probe.Unknown}
		loop, err := def.Loop(func(s probe.State, err error) { r.observe(k, c, s, err) })
		if err != nil {
			// Definitions are valid when they come here.
			r.log.Error("check cannot run", "instance", k.String(), "err", err)
			c.state, c.gone = probe.Critical, true
		}
		c.loop = loop
		m.running = append(m.running, c)
		r.waiting = append(r.waiting, c)
	}
	for _, c := range old {
		c.stop()
	}
}

// stop ends the check. The roll's mutex is held.
func (c *check) stop() {
	c.gone = true
	if c.cancel != nil {
		c.cancel()
	}
}

// observe takes up a new verdict of a check.
func (r *Roll) observe(k Key, c *check, s probe.State, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.members[k]
	if m == nil || c.gone {
		return
	}
	c.state = s
	if r.judge(k, m, err) {
		signal(r.changed)
	}
}

// judge sets the health of m from its checks and reports whether it changed.
// cause is what the latest check met. r.mu is held.
func (r *Roll) judge(k Key, m *member, cause error) bool {
	health := cmp.Or(m.Health, api.HealthPassing)
	for _, c := range m.running {
		if c.state == probe.Critical {
			health = api.HealthCritical
			break
		}
		if c.state == probe.Unknown && health == api.HealthPassing {
			health = api.HealthUnknown
		}
	}
	if health == m.health {
		return false
	}
	if m.health != "" && health != api.HealthUnknown {
		log := r.log.With("instance", k.String(), "health", health)
		if cause != nil {
			log = log.With("err", cause)
		}
		log.Info("instance health")
	}
	m.health = health
	r.bump()
	return true
}

// Drain gives every member weight 0 from now on. It returns how many there
// are and the version that says so.
func (r *Roll) Drain() (members int, version uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.draining = true
	r.bump()
	signal(r.changed)
	return len(r.members), r.version
}

// Set returns the declared set in a fixed order, and its version.
func (r *Roll) Set() (set []api.AgentInstance, version uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	set = make([]api.AgentInstance, 0, len(r.members))
	for _, k := range slices.SortedFunc(maps.Keys(r.members), Key.Compare) {
		m := r.members[k]
		i := m.Instance
		i.Health = m.health
		if r.draining {
			i.Weight = new(0.0)
		}
		set = append(set, i)
	}
	return set, r.version
}

// Origin returns where the instance k comes from, if it is declared.
func (r *Roll) Origin(k Key) (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.members[k]; m != nil {
		return m.Origin, true
	}
	return "", false
}
