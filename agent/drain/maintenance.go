package drain

import (
	"fmt"
	"slices"
	"time"

	"github.com/musterhq/muster/agent/roll"
)

// Target names what maintenance is about.
type Target struct {
	// Name is that of a service, or of a registration of the local API.
	Name string
	// Registration has Name be that of a registration, whatever services there are.
	Registration bool
	// Namespace and Group of the service; empty means any.
	Namespace, Group string
	// Address and Port choose one instance of the service; 0 means all.
	Address string
	Port    uint16
}

// Maintain takes what t names out of rotation, for a reason, or puts it back;
// also over restarts. It returns the instances that it is about now. The error is
// ErrUnknown when nothing has the name, and ErrNotKept.
func (d *Drainer) Maintain(t Target, on bool, reason string) ([]roll.Key, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	parts := d.parts(t)
	if len(parts) == 0 {
		return nil, fmt.Errorf("%w as %q", ErrUnknown, t.Name)
	}
	resting := slices.Clone(d.kept.Resting)
	for _, p := range parts {
		p.Reason, p.Since = reason, time.Now().UTC().Truncate(time.Second)
		if !on {
			resting = slices.DeleteFunc(resting, p.Holds)
			continue
		}
		if i := slices.IndexFunc(resting, p.Same); i < 0 {
			resting = append(resting, p)
		} else {
			p.Since = resting[i].Since
			resting[i] = p
		}
	}
	about := d.cfg.Roll.Find(func(k roll.Key, origin string) bool {
		return slices.ContainsFunc(parts, func(p roll.Rest) bool { return p.Covers(k, origin) })
	})
	if slices.Equal(resting, d.kept.Resting) {
		return about, nil
	}
	d.kept.Resting = resting
	err := d.keep()
	d.cfg.Roll.Rest(resting)
	d.cfg.Logger.Info("maintenance", "on", on, "name", t.Name, "instances", len(about), "reason", reason)
	return about, err
}

// parts returns the parts of the roll that t names: of what is declared, and of
// what rests though it is declared no more. d.mu is held.
func (d *Drainer) parts(t Target) (parts []roll.Rest) {
	add := func(p roll.Rest) {
		if !slices.ContainsFunc(parts, p.Same) {
			parts = append(parts, p)
		}
	}
	app := "app " + t.Name
	if !t.Registration {
		d.services(t, add)
	}
	if len(parts) > 0 || t.Port != 0 {
		return parts
	}
	known := d.cfg.Roll.Find(func(_ roll.Key, origin string) bool { return origin == app })
	rests := func(p roll.Rest) bool { return p.Origin == app }
	if len(known) > 0 || slices.ContainsFunc(d.kept.Resting, rests) {
		add(roll.Rest{Origin: app})
	}
	return parts
}

// services adds the parts that t names as those of services. d.mu is held.
func (d *Drainer) services(t Target, add func(roll.Rest)) {
	fits := func(p roll.Rest) bool {
		return p.Service == t.Name && (t.Namespace == "" || p.Namespace == t.Namespace) && (t.Group == "" || p.Group == t.Group) &&
			p.Address == t.Address && p.Port == t.Port
	}
	d.cfg.Roll.Find(func(k roll.Key, origin string) bool {
		if p := (roll.Rest{Namespace: k.Namespace, Group: k.Group, Service: k.Service, Address: t.Address, Port: t.Port}); fits(p) && p.Covers(k, origin) {
			add(p)
		}
		return false
	})
	for _, p := range d.kept.Resting {
		if fits(p) {
			add(p)
		}
	}
}
