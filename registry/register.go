package registry

import (
	"context"
	"slices"
	"time"
)

// Register makes reg stand, creating its service when there is none. It counts
// as a beat, clears a tombstone and a verdict of silence, and writes nothing
// when all of it stands already. A service of the other kind is a [*KindError].
func (r *Registry) Register(ctx context.Context, reg Registration) (Receipt, error) {
	reg, err := reg.clean()
	if err != nil {
		return Receipt{}, err
	}
	receipt, err := r.apply(ctx, func(p *plan) error { return p.register(reg) })
	if err != nil {
		return receipt, err
	}
	if w := reg.witnessID(); w != "" && !receipt.Wrote && !r.terms.DryRun {
		return receipt, r.roll.Heard(w) // a write restarts the timers by itself: they follow the snapshot
	}
	return receipt, nil
}

// register plans one registration.
func (p *plan) register(reg Registration) error {
	key := reg.RecordKey()
	stands := p.snap.Instance(reg.Key)
	if stands != nil && stands.Declaration() == reg {
		p.clear(stands)
		return nil
	}
	if stands == nil {
		if err := p.settle(reg.Key.Service.Namespace, Population{Instances: 1}); err != nil {
			return err
		}
	}
	if err := p.ensureService(reg.Key.Service, reg.Witness != ""); err != nil {
		return err
	}
	if stands != nil {
		p.check(key, stands.Revision)
		p.clear(stands)
	} else {
		p.check(key, 0)
		p.deleteVerdict(reg.Key.checked()) // of one that was there before
	}
	if t, ok := p.snap.tombstones.Get(reg.Key); ok {
		p.delete(t.record.RecordKey())
	}
	p.put(&reg)
	return nil
}

// clear drops the verdict on an instance that vouches for itself.
func (p *plan) clear(i *Instance) {
	if i.Witness == WitnessHTTP {
		p.deleteVerdict(VerdictKey{i.witnessID(), i.Timeouts.class()})
	}
}

// Deregister removes an instance of the given kind; one that is not there, or is
// of the other kind, changes nothing. An ephemeral one leaves a tombstone for
// two beats, so that a beat still on its way does not bring it back.
func (r *Registry) Deregister(ctx context.Context, k InstanceKey, ephemeral bool) (Receipt, error) {
	k, err := k.clean()
	if err != nil {
		return Receipt{}, err
	}
	return r.apply(ctx, func(p *plan) error {
		if i := p.snap.Instance(k); i != nil && i.Ephemeral() == ephemeral {
			p.deregister(i)
		}
		return nil
	})
}

// Withdraw removes an instance as [Registry.Deregister] does, of either kind. The
// error is ErrNotFound when it is not there.
func (r *Registry) Withdraw(ctx context.Context, k InstanceKey) (Receipt, error) {
	k, err := k.clean()
	if err != nil {
		return Receipt{}, err
	}
	return r.apply(ctx, func(p *plan) error {
		i := p.snap.Instance(k)
		if i == nil {
			return absent(k)
		}
		p.deregister(i)
		return nil
	})
}

func (p *plan) deregister(i *Instance) {
	p.remove(i)
	p.deleteVerdict(i.Key.checked())
	if i.Witness == WitnessHTTP || i.Witness == WitnessConnection {
		p.put(&Tombstone{i.Key, max(2*i.Timeouts.Interval, time.Second)})
	} else if ro, judged := p.snap.Roster(i); judged && i.Silent {
		members, _ := p.snap.roster(ro, p.snap.Revision())
		stays := func(m *Instance) bool { return !slices.Contains(p.Deletes, m.RecordKey()) }
		if !slices.ContainsFunc(members, stays) {
			p.deleteVerdict(VerdictKey{ro.Witness, ro.Class}) // it was on nobody else
		}
	}
}

// remove plans the removal of an instance as the snapshot shows it.
func (p *plan) remove(i *Instance) {
	p.check(i.RecordKey(), i.Revision)
	p.delete(i.RecordKey())
	p.clear(i)
}

func (k InstanceKey) clean() (InstanceKey, error) {
	if err := k.Service.Validate(); err != nil {
		return k, err
	}
	host, err := CanonicalHost(k.Endpoint.Host)
	k.Endpoint.Host = host
	return k, err
}
