package registry

import (
	"context"
	"fmt"
	"maps"
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
	if stands != nil && stands.Declared.equal(&reg) {
		p.clear(stands)
		return nil
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
			return fmt.Errorf("instance %s: %w", k, ErrNotFound)
		}
		p.deregister(i)
		return nil
	})
}

func (p *plan) deregister(i *Instance) {
	p.remove(i)
	p.deleteVerdict(i.Key.checked())
	if i.Witness == WitnessHTTP {
		p.put(&Tombstone{i.Key, max(2*i.Timeouts.Interval, time.Second)})
	} else if ro, judged := i.Roster(); judged && i.Silent {
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

// Edit is an operator's change to an instance; nil leaves a part alone.
type Edit struct {
	Weight   *float64
	Enabled  *bool
	Healthy  *bool             // of a persistent instance that no server checks, else ErrConflict
	Metadata map[string]string // merged over the owner's; nil leaves it alone
	Replace  bool              // Metadata replaces what the operator said before, instead of adding to it
	Drop     []string          // metadata keys that the operator says nothing of any more
	Pinned   *bool             // whether it is kept when the instance is gone
}

// Override lays an operator's say over an instance; its owner does not undo it.
// The error is ErrNotFound when the instance is not there.
func (r *Registry) Override(ctx context.Context, k InstanceKey, e Edit) (Receipt, error) {
	k, err := k.clean()
	if err != nil {
		return Receipt{}, err
	}
	if e.Weight != nil {
		w, err := CleanWeight(*e.Weight)
		if err != nil {
			return Receipt{}, err
		}
		e.Weight = &w
	}
	if err := validateMetadata(e.Metadata); err != nil {
		return Receipt{}, err
	}
	return r.apply(ctx, func(p *plan) error {
		i := p.snap.Instance(k)
		if i == nil {
			return fmt.Errorf("instance %s: %w", k, ErrNotFound)
		}
		s := p.snap.Service(k.Service)
		if e.Healthy != nil && (i.Ephemeral() || s.Check(i) != nil) {
			return &CheckedError{k.Service, i.Cluster}
		}
		stands, _ := p.snap.overrides.Get(k)
		o := e.over(k, stands.record)
		if err := validateMetadata(o.Metadata); err != nil {
			return err
		}
		if stands.record != nil && o.equal(stands.record) {
			return nil
		}
		p.check(o.RecordKey(), stands.revision)
		p.check(i.RecordKey(), i.Revision)
		if e.Healthy != nil {
			p.check(k.Service.record(), s.Revision)
		}
		p.put(o)
		return nil
	})
}

// ClearOverride takes back all that an operator said of an instance. The error
// is ErrNotFound when nothing was said.
func (r *Registry) ClearOverride(ctx context.Context, k InstanceKey) (Receipt, error) {
	k, err := k.clean()
	if err != nil {
		return Receipt{}, err
	}
	return r.apply(ctx, func(p *plan) error {
		o, ok := p.snap.overrides.Get(k)
		if !ok {
			return fmt.Errorf("override of instance %s: %w", k, ErrNotFound)
		}
		p.check(o.record.RecordKey(), o.revision)
		p.delete(o.record.RecordKey())
		return nil
	})
}

// CheckedError refuses an operator's say about the health of an instance whose
// health is found out. It is ErrConflict.
type CheckedError struct {
	Service ServiceKey
	Cluster string
}

func (e *CheckedError) Error() string {
	return fmt.Sprintf("the health of instances of service %s in cluster %s is checked, or lives by beats", e.Service, e.Cluster)
}

// Unwrap returns ErrConflict.
func (e *CheckedError) Unwrap() error { return ErrConflict }

// over returns the override that stands after e is applied to what stood.
func (e Edit) over(k InstanceKey, stood *Override) *Override {
	o := &Override{Key: k}
	if stood != nil {
		*o = *stood
	}
	if e.Weight != nil {
		o.Weight = e.Weight
	}
	if e.Enabled != nil {
		o.Enabled = e.Enabled
	}
	if e.Healthy != nil {
		o.Healthy = e.Healthy
	}
	if e.Pinned != nil {
		o.Pinned = *e.Pinned
	}
	if e.Metadata != nil || len(e.Drop) > 0 {
		merged := map[string]string{}
		if !e.Replace {
			maps.Copy(merged, o.Metadata)
		}
		maps.Copy(merged, e.Metadata)
		for _, key := range e.Drop {
			delete(merged, key)
		}
		o.Metadata = merged
	}
	return o
}

func (o *Override) equal(p *Override) bool {
	return same(o.Weight, p.Weight) && same(o.Enabled, p.Enabled) && same(o.Healthy, p.Healthy) && o.Pinned == p.Pinned && maps.Equal(o.Metadata, p.Metadata)
}

func same[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}
