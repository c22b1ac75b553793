package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
)

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
	if e, err = e.clean(); err != nil {
		return Receipt{}, err
	}
	return r.apply(ctx, func(p *plan) error { return p.override(k, e) })
}

// OverrideEach is Override for many instances at once: all of them or none, up to
// thirty; more, or with much metadata, in as many writes as it takes, one after
// another. One that is not there is left out. It returns those over which e lies
// now, also where a later write failed.
func (r *Registry) OverrideEach(ctx context.Context, keys []InstanceKey, e Edit) (lies []InstanceKey, receipt Receipt, err error) {
	if e, err = e.clean(); err != nil {
		return nil, Receipt{}, err
	}
	clean := make([]InstanceKey, len(keys))
	for n, k := range keys {
		if clean[n], err = k.clean(); err != nil {
			return nil, Receipt{}, err
		}
	}
	for len(clean) > 0 {
		var some []InstanceKey
		seen, wrote := 0, receipt.Wrote
		receipt, err = r.apply(ctx, func(p *plan) (err error) {
			some, seen, err = p.overrideSome(clean, e)
			return err
		})
		if err != nil {
			return lies, receipt, err
		}
		receipt.Wrote = receipt.Wrote || wrote
		lies, clean = append(lies, some...), clean[seen:]
	}
	return lies, receipt, nil
}

// overrideSome plans as much as one write takes, and returns what it has planned
// and how many it has seen.
func (p *plan) overrideSome(keys []InstanceKey, e Edit) (some []InstanceKey, seen int, err error) {
	for _, k := range keys {
		if p.size()+perOverride > maxWrite || p.metadata >= maxWriteMetadata {
			break
		}
		seen++
		switch err := p.override(k, e); {
		case err == nil:
			some = append(some, k)
		case !errors.Is(err, ErrNotFound):
			return nil, 0, err
		}
	}
	return some, seen, nil
}

const perOverride = 2 // checks: of what was said before and of the instance

// clean returns e checked.
func (e Edit) clean() (Edit, error) {
	if e.Weight != nil {
		w, err := CleanWeight(*e.Weight)
		if err != nil {
			return e, err
		}
		e.Weight = &w
	}
	return e, validateMetadata(e.Metadata)
}

// override plans an operator's say over one instance.
func (p *plan) override(k InstanceKey, e Edit) error {
	i := p.snap.Instance(k)
	if i == nil {
		return absent(k)
	}
	s := p.snap.Service(k.Service)
	if e.Healthy != nil && (i.Ephemeral() || s.Check(i) != nil) {
		return &CheckedError{k.Service, i.Cluster}
	}
	stands, _ := p.snap.overrides.Get(k)
	stood := stands.record
	if stood == nil {
		stood = &Override{Key: k} // which says nothing
	}
	o := e.over(stood)
	if err := validateMetadata(o.Metadata); err != nil {
		return err
	}
	if o.equal(stood) {
		return nil
	}
	p.check(o.RecordKey(), stands.revision)
	p.check(i.RecordKey(), i.Revision)
	if e.Healthy != nil {
		p.check(k.Service.record(), s.Revision)
	}
	p.put(o)
	return nil
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
func (e Edit) over(stood *Override) *Override {
	o := new(*stood)
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
