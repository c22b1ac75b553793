package registry

import (
	"context"
	"fmt"
)

// MaxChange is how many instances one [Changes] may name: all of it is one
// conditional write, and a store takes so many operations at once.
const MaxChange = maxWrite / perInstance

// MaxRelied bounds what a decision may rest on beside what it changes: a name
// counts as two, an instance as one.
const MaxRelied = maxWrite

// Changes are instances that come and go together.
type Changes struct {
	Register   []Registration
	Deregister []InstanceKey

	// Names are base names of services, as in [Name], that the decision rests on:
	// who holds one, if anybody, and that no instance of the holder is new or
	// changed. Of an exact name that nobody has it cannot be foreseen who will.
	Names []string
	// Present are instances that the decision rests on: that they are there, as
	// they are.
	Present []InstanceKey
}

// Change makes what decide wants of a snapshot stand, all of it or nothing. It is
// asked again, of a newer snapshot, when what it changes or rests on had changed
// meanwhile, through whatever door; its error is returned as it is. Each registration counts as a beat and stands as
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
		p.rely(wanted)
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

// rely makes the plan's write conditional on what its decision rests on.
func (p *plan) rely(c Changes) {
	for _, base := range c.Names {
		held, _ := p.snap.claims.Get(base)
		p.check((&Claim{Folded: base}).RecordKey(), held.revision)
		if s := p.snap.ByName(base); s != nil {
			p.Settled = append(p.Settled, Settled{s.Key, p.snap.Revision()})
		}
	}
	for _, k := range c.Present {
		if i := p.snap.Instance(k); i != nil {
			p.check(i.RecordKey(), i.Revision)
		}
	}
}

// clean returns c with every instance checked.
func (c Changes) clean() (Changes, error) {
	if n := len(c.Register) + len(c.Deregister); n > MaxChange {
		return c, fmt.Errorf("%d instances are more than the %d that one change may name: %w", n, MaxChange, ErrInvalid)
	}
	if n := 2*len(c.Names) + len(c.Present); n > MaxRelied {
		return c, fmt.Errorf("%d names and %d instances are more than one change may rest on: %w", len(c.Names), len(c.Present), ErrInvalid)
	}
	named := map[InstanceKey]bool{}
	once := func(k InstanceKey) error {
		if named[k] {
			return invalid("instance", k.String(), "is named twice")
		}
		named[k] = true
		return nil
	}
	clean := Changes{Names: c.Names, Present: c.Present}
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
