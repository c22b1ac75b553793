package agent

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

// key tells instances apart.
type key struct {
	namespace, group, service, address string
	port                               uint16
}

func (k key) String() string {
	return client.Name{Namespace: k.namespace, Group: k.group, Name: k.service}.String() + "/" + client.Endpoint(k.address, k.port)
}

func (k key) compare(o key) int {
	return cmp.Or(strings.Compare(k.namespace, o.namespace), strings.Compare(k.group, o.group),
		strings.Compare(k.service, o.service), strings.Compare(k.address, o.address), cmp.Compare(k.port, o.port))
}

// declared is one instance as it is to be registered.
type declared struct {
	instance api.AgentInstance // without health
	checks   []probe.Check
	origin   string // the file or registration it comes from
}

// member is one instance of the roll.
type member struct {
	declared
	running []*check
	health  string
}

// check is one check of one member.
type check struct {
	definition probe.Check
	loop       *probe.Loop
	state      probe.State        // under roll.mu
	cancel     context.CancelFunc // nil until run has started it; under roll.mu
	gone       bool               // its member wants it no more; under roll.mu
}

// roll is the agent's declared set with the health of each member. run runs
// the checks; everything else may be called from anywhere.
type roll struct {
	log     *slog.Logger
	changed chan struct{} // something the server must learn, one is enough
	started chan struct{} // checks wait to be started, one is enough

	mu       sync.Mutex
	members  map[key]*member
	waiting  []*check
	draining bool
	version  uint64 // grows with each change the server must learn
}

func newRoll(log *slog.Logger) *roll {
	return &roll{
		log: log, members: make(map[key]*member), version: 1,
		changed: make(chan struct{}, 1), started: make(chan struct{}, 1),
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is on already
	}
}

// run runs the checks of the members until ctx ends.
func (r *roll) run(ctx context.Context) error {
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

// declare makes want the declared set. Members and checks that are in it
// unchanged go on as if nothing had happened.
func (r *roll) declare(want map[key]declared) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.version
	for k, m := range r.members {
		if _, ok := want[k]; !ok {
			for _, c := range m.running {
				c.stop()
			}
			delete(r.members, k)
			r.version++
			r.log.Info("instance withdrawn", "instance", k.String(), "origin", m.origin)
		}
	}
	for k, d := range want {
		m := r.members[k]
		if m == nil {
			m = &member{}
			r.members[k] = m
			r.log.Info("instance declared", "instance", k.String(), "origin", d.origin, "checks", len(d.checks))
		}
		if !reflect.DeepEqual(m.instance, d.instance) {
			r.version++
		}
		m.declared = d
		r.recheck(k, m)
		r.judge(k, m, nil)
	}
	if r.version != before {
		signal(r.changed)
	}
	signal(r.started)
}

// recheck makes the running checks of m those that it declares. r.mu is held.
func (r *roll) recheck(k key, m *member) {
	old := m.running
	m.running = nil
	for _, def := range m.checks {
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
func (r *roll) observe(k key, c *check, s probe.State, err error) {
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
func (r *roll) judge(k key, m *member, cause error) bool {
	health := api.HealthPassing
	for _, c := range m.running {
		if c.state == probe.Critical {
			health = api.HealthCritical
			break
		}
		if c.state == probe.Unknown {
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
	r.version++
	return true
}

// drain gives every member weight 0 from now on. It returns how many there
// are and the version that says so.
func (r *roll) drain() (members int, version uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.draining = true
	r.version++
	signal(r.changed)
	return len(r.members), r.version
}

// set returns the declared set in a fixed order, and its version.
func (r *roll) set() (set []api.AgentInstance, version uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	set = make([]api.AgentInstance, 0, len(r.members))
	for _, k := range slices.SortedFunc(maps.Keys(r.members), key.compare) {
		m := r.members[k]
		i := m.instance
		i.Health = m.health
		if r.draining {
			i.Weight = new(0.0)
		}
		set = append(set, i)
	}
	return set, r.version
}

// origin returns where the instance k comes from, if it is declared.
func (r *roll) origin(k key) (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.members[k]; m != nil {
		return m.origin, true
	}
	return "", false
}
