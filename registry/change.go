package registry

import (
	"context"
	"fmt"
)

// MaxChange is how many instances one [Changes] may name: all of it is one
// conditional write, and a store takes so many operations at once.
const MaxChange = maxWrite / perInstance

// Changes are instances that come and go together.
type Changes struct {
	Register   []Registration
	Deregister []InstanceKey
}

// Change makes what decide wants of a snapshot stand, all of it or nothing. It is
// asked again, of a newer snapshot, when what it changes had changed meanwhile;
// its error is returned as it is. Each registration counts as a beat and stands as
// [Registry.Register] has it; an instance to deregister that is not there changes
// nothing. The error is that of the first instance that is refused.
func (r *Registry) Change(ctx context.Context, decide func(*Snapshot) (Changes, error)) (Receipt, error) {
	return r.apply(ctx, func(p *plan) error {
		wanted, err := decide(p.snap)
		if err != nil {
			return err
		}
		if wanted, err = wanted.clean(); err != nil {
			return err
		}
		for _, reg := range wanted.Register { // those that stand as they are declared here beat by it
			if w := reg.witnessID(); w != "" {
				if err := r.roll.Heard(w); err != nil {
					return err
				}
			}
		}
		for _, k := range wanted.Deregister {
			if i := p.snap.Instance(k); i != nil {
				p.deregister(i)
			}
		}
		for _, reg := range wanted.Register {
			if err := p.register(reg); err != nil {
				return err
			}
		}
		return nil
	})
}

// clean returns c with every instance checked.
func (c Changes) clean() (Changes, error) {
	if n := len(c.Register) + len(c.Deregister); n > MaxChange {
		return c, fmt.Errorf("%d instances are more than the %d that one change may name: %w", n, MaxChange, ErrInvalid)
	}
	named := map[InstanceKey]bool{}
	once := func(k InstanceKey) error {
		if named[k] {
			return invalid("instance", k.String(), "is named twice")
		}
		named[k] = true
		return nil
	}
	var clean Changes
	for _, reg := range c.Register {
		reg, err := reg.clean()
		if err == nil {
			err = once(reg.Key)
		}
		if err != nil {
			return c, err
		}
		clean.Register = append(clean.Register, reg)
	}
	for _, k := range c.Deregister {
		k, err := k.clean()
		if err == nil {
			err = once(k)
		}
		if err != nil {
			return c, err
		}
		clean.Deregister = append(clean.Deregister, k)
	}
	return clean, nil
}
