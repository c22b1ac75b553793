package roll

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/probe"
)

// check is one check of one member.
type check struct {
	definition probe.Check
	loop       *probe.Loop // nil for one that cannot run
	result     probe.Result
	gone       bool // its member wants it no more; under Roll.mu
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
		c := &check{definition: def, result: probe.Result{State: probe.Unknown}}
		loop, err := r.runner.Check(def, func(is probe.Result) { r.observe(k, c, is) })
		if err != nil {
			// Definitions are valid when they come here.
			r.log.Error("check cannot run", "instance", k.String(), "err", err)
			c.result.State, c.gone = probe.Critical, true
		}
		c.loop = loop
		m.running = append(m.running, c)
	}
	for _, c := range old {
		c.stop()
	}
}

// stop ends the check. The roll's mutex is held.
func (c *check) stop() {
	c.gone = true
	if c.loop != nil {
		c.loop.Stop()
	}
}

// observe takes up what is new of a check.
func (r *Roll) observe(k Key, c *check, is probe.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.members[k]
	if m == nil || c.gone {
		return
	}
	if is.Flapping != c.result.Flapping {
		r.log.Warn("check changes too often, it stays critical until it is steady", "instance", k.String(), "check", c.definition, "flapping", is.Flapping)
	}
	c.result = is
	if r.judge(k, m, is.Err) {
		signal(r.changed)
	}
}

// judge sets the health of m from its checks, withdraws it while they have failed
// for too long, and reports whether anything of it changed. cause is what the
// latest check met. r.mu is held.
func (r *Roll) judge(k Key, m *member, cause error) bool {
	before, was := m.health, m.withdrawn
	m.health = m.worst()
	switch {
	case m.health == api.HealthPassing:
		m.withdrawn = false
	case slices.ContainsFunc(m.running, func(c *check) bool { return c.result.Overdue }):
		m.withdrawn = true
	}
	if m.health == before && m.withdrawn == was {
		return false
	}
	log := r.log.With("instance", k.String(), "health", m.health)
	if cause != nil {
		log = log.With("err", cause)
	}
	if m.health != before && before != "" && m.health != api.HealthUnknown {
		log.Info("instance health")
	}
	if m.withdrawn && !was {
		log.Warn("instance withdrawn until its checks pass, one has been critical for its deregister_after")
	}
	r.bump()
	return true
}

// worst returns the worst of what is known of the health of m.
func (m *member) worst() string {
	health := m.Health
	if health == "" {
		health = api.HealthPassing
	}
	for _, c := range m.running {
		switch {
		case c.result.State == probe.Critical:
			return api.HealthCritical
		case c.result.State == probe.Unknown && health == api.HealthPassing:
			health = api.HealthUnknown
		}
	}
	return health
}

// Errors of Tell.
var (
	ErrNoInstance = errors.New("no such instance is declared here")
	ErrNoCheck    = errors.New("no such check that is told")
)

// Tell takes up word for a ttl check of the instance k: whether it passes, and a
// note for the status, which may be empty. The check is named by its name, or by
// its place among all checks of the instance, from 0; an empty name means the only
// ttl check that there is. The error unwraps to ErrNoInstance or ErrNoCheck, and
// says what there is.
func (r *Roll) Tell(k Key, name string, passes bool, note string) error {
	loop, err := r.told(k, name)
	if err != nil {
		return err
	}
	return loop.Tell(passes, note) // without the mutex, which the result takes
}

// told returns the loop of a ttl check.
func (r *Roll) told(k Key, name string) (*probe.Loop, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.members[k]
	if m == nil {
		return nil, fmt.Errorf("%s: %w", k, ErrNoInstance)
	}
	var found []*check
	for _, c := range m.running {
		if c.definition.TTL != 0 && c.loop != nil && (name == "" || c.definition.Name == name) {
			found = append(found, c)
		}
	}
	if place, err := strconv.Atoi(name); err == nil && len(found) == 0 && place >= 0 && place < len(m.running) {
		if c := m.running[place]; c.definition.TTL != 0 && c.loop != nil {
			found = append(found, c)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("%s: %w: %q is no ttl check of it", k, ErrNoCheck, name)
	case 1:
		return found[0].loop, nil
	}
	return nil, fmt.Errorf("%s: %w: %d are called %q, a name or the place must tell them apart", k, ErrNoCheck, len(found), name)
}

// status returns the check's latest result.
func (c *check) status() CheckStatus {
	is := c.result
	if c.loop != nil {
		is = c.loop.Last()
	}
	s := CheckStatus{
		Name: c.definition.Name, Check: c.definition.String(), State: is.State, Error: text(is.Err), Note: is.Note,
		Since: is.Since, Flapping: is.Flapping, At: is.At,
	}
	if is.Took > 0 {
		s.Took = is.Took.String()
	}
	return s
}
