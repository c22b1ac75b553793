package registry

import (
	"context"
	"fmt"
)

// MaxChange is how many instances one [Registry.Change] may name: all of it is one
// conditional write, and a store takes so many operations at once.
const MaxChange = maxWrite / perInstance

// Change registers and deregisters instances, all of them or none. Each
// registration counts as a beat and stands as [Registry.Register] has it; an
// instance to deregister that is not there changes nothing. The error is the one
// of the first instance that is refused.
func (r *Registry) Change(ctx context.Context, register []Registration, deregister []InstanceKey) (Receipt, error) {
	if n := len(register) + len(deregister); n > MaxChange {
		return Receipt{}, fmt.Errorf("%d instances are more than the %d that one change may name: %w", n, MaxChange, ErrInvalid)
	}
	named := map[InstanceKey]bool{}
	once := func(k InstanceKey) error {
		if named[k] {
			return invalid("instance", k.String(), "is named twice")
		}
		named[k] = true
		return nil
	}
	clean := make([]Registration, 0, len(register))
	for _, reg := range register {
		reg, err := reg.clean()
		if err == nil {
			err = once(reg.Key)
		}
		if err != nil {
			return Receipt{}, err
		}
		clean = append(clean, reg)
	}
	gone := make([]InstanceKey, 0, len(deregister))
	for _, k := range deregister {
		k, err := k.clean()
		if err == nil {
			err = once(k)
		}
		if err != nil {
			return Receipt{}, err
		}
		gone = append(gone, k)
	}
	for _, reg := range clean { // those that stand as they are declared here beat by it
		if w := reg.witnessID(); w != "" {
			if err := r.roll.Heard(w); err != nil {
				return Receipt{}, err
			}
		}
	}
	return r.apply(ctx, func(p *plan) error {
		for _, k := range gone {
			if i := p.snap.Instance(k); i != nil {
				p.deregister(i)
			}
		}
		for _, reg := range clean {
			if err := p.register(reg); err != nil {
				return err
			}
		}
		return nil
	})
}
