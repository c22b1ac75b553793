package registry

import (
	"context"
	"errors"
	"time"
)

// Beat records a sign of life of an instance that beats for itself and returns
// when the next is expected. It writes only when the instance was declared or
// judged unhealthy. An unknown instance is registered from full when that is
// given, unless a fresh tombstone stands, and is ErrNotFound when it is not.
// Instances that others vouch for are left as they are.
func (r *Registry) Beat(ctx context.Context, k InstanceKey, full *Registration) (time.Duration, error) {
	k, err := k.clean()
	if err != nil {
		return 0, err
	}
	snap := r.Snapshot()
	if snap == nil {
		return 0, ErrUnavailable
	}
	i := snap.Instance(k)
	switch {
	case i == nil && full == nil:
		return 0, absent(k)
	case i == nil:
		return r.firstBeat(ctx, *full)
	case i.Witness != WitnessHTTP:
		return i.Timeouts.Interval, nil
	}
	if err := r.roll.Heard(i.witnessID()); err != nil {
		return 0, err
	}
	if i.healthy && !i.Silent {
		return i.Timeouts.Interval, nil
	}
	_, err = r.apply(ctx, func(p *plan) error {
		i := p.snap.Instance(k)
		if i == nil {
			return absent(k) // the judge removed it meanwhile
		}
		if i.Witness != WitnessHTTP {
			return nil
		}
		p.check(i.RecordKey(), i.Revision)
		p.clear(i)
		if !i.healthy {
			back := i.Declaration()
			back.Healthy = true
			p.put(&back)
		}
		return nil
	})
	if full != nil && errors.Is(err, ErrNotFound) {
		return r.firstBeat(ctx, *full)
	}
	return i.Timeouts.Interval, err
}

// firstBeat registers an instance that is not there, unless it has just left.
func (r *Registry) firstBeat(ctx context.Context, full Registration) (time.Duration, error) {
	full, err := full.clean()
	if err != nil {
		return 0, err
	}
	_, err = r.apply(ctx, func(p *plan) error {
		if _, late := p.snap.tombstones.Get(full.Key); late {
			return nil
		}
		return p.register(full)
	})
	return timeoutsOf(full.Metadata).Interval, err
}
