package registry

import (
	"context"
	"fmt"
	"maps"
	"strconv"
)

// ServiceSpec is what a caller sets of a service.
type ServiceSpec struct {
	Ephemeral        bool // fixed at creation
	ProtectThreshold float64
	Metadata         map[string]string
	DNS              *DNSOptions // nil: none at creation, and left alone by an update
}

// CreateService declares a service before it has instances; one that exists is
// an error that is ErrConflict.
func (r *Registry) CreateService(ctx context.Context, k ServiceKey, spec ServiceSpec) (Receipt, error) {
	if err := spec.validate(k); err != nil {
		return Receipt{}, err
	}
	var options DNSOptions
	if spec.DNS != nil {
		options = *spec.DNS
	}
	return r.apply(ctx, func(p *plan) error {
		if s := p.snap.Service(k); s != nil && s.Revision != 0 {
			return fmt.Errorf("service %s exists already: %w", k, ErrConflict)
		}
		p.createService(ServiceRecord{Key: k, Ephemeral: spec.Ephemeral, Declared: true,
			ProtectThreshold: spec.ProtectThreshold, Metadata: maps.Clone(spec.Metadata), DNS: options})
		return nil
	})
}

// UpdateService replaces threshold, metadata and, if there are any in spec, DNS
// options of a service that exists, else the error is ErrNotFound. Its kind does
// not change.
func (r *Registry) UpdateService(ctx context.Context, k ServiceKey, spec ServiceSpec) (Receipt, error) {
	if err := spec.validate(k); err != nil {
		return Receipt{}, err
	}
	return r.apply(ctx, func(p *plan) error {
		s := p.snap.Service(k)
		if s == nil {
			return fmt.Errorf("service %s: %w", k, ErrNotFound)
		}
		rec, options := s.ServiceRecord, s.DNS
		if spec.DNS != nil {
			options = *spec.DNS
		}
		if rec.Declared && rec.ProtectThreshold == spec.ProtectThreshold && maps.Equal(rec.Metadata, spec.Metadata) && rec.DNS.equal(options) {
			return nil
		}
		rec.Declared, rec.ProtectThreshold, rec.Metadata, rec.DNS = true, spec.ProtectThreshold, maps.Clone(spec.Metadata), options
		p.check(k.record(), s.Revision)
		p.put(&rec)
		return nil
	})
}

// DeleteService removes a service without instances. Its DNS name is kept from
// others until nobody has an answer of it any more; the service itself gets it
// back when it returns. One with instances is an error that is ErrConflict, an unknown one ErrNotFound.
func (r *Registry) DeleteService(ctx context.Context, k ServiceKey) (Receipt, error) {
	return r.apply(ctx, func(p *plan) error {
		s := p.snap.Service(k)
		if s == nil {
			return fmt.Errorf("service %s: %w", k, ErrNotFound)
		}
		if len(s.Instances) > 0 {
			return fmt.Errorf("service %s still has %d instances: %w", k, len(s.Instances), ErrConflict)
		}
		// Of a registration that comes at the same time one loses: it checks the
		// service record that is deleted here, or it came first.
		p.check(k.record(), s.Revision)
		p.Settled = append(p.Settled, Settled{Service: k})
		p.delete(k.record())
		p.release(s)
		return nil
	})
}

func (spec ServiceSpec) validate(k ServiceKey) error {
	if err := k.Validate(); err != nil {
		return err
	}
	if t := spec.ProtectThreshold; !(t >= 0 && t <= 1) { // also refuses NaN
		return invalid("protectThreshold", strconv.FormatFloat(t, 'g', -1, 64), "is not between 0 and 1")
	}
	if spec.DNS != nil {
		if err := spec.DNS.validate(); err != nil {
			return err
		}
	}
	return validateMetadata(spec.Metadata)
}

// ensureService makes sure that the service of an instance stands, and is of
// the instance's kind.
func (p *plan) ensureService(k ServiceKey, ephemeral bool) error {
	if p.planned[k.record()] {
		return nil
	}
	s := p.snap.Service(k)
	if s == nil || s.Revision == 0 {
		p.createService(ServiceRecord{Key: k, Ephemeral: ephemeral})
		return nil
	}
	if s.Ephemeral != ephemeral && (len(s.Instances) > 0 || s.Declared) {
		return &KindError{k, s.Ephemeral}
	}
	p.check(k.record(), s.Revision)
	if s.Ephemeral != ephemeral { // what is left of a service that came with its instances: the first one decides anew
		p.Settled = append(p.Settled, Settled{Service: k})
		rec := s.ServiceRecord
		rec.Ephemeral = ephemeral
		p.put(&rec)
	}
	return nil
}

// KindError refuses an instance of the other kind than its service. It is ErrConflict.
type KindError struct {
	Service   ServiceKey
	Ephemeral bool // the kind of the service
}

func (e *KindError) Error() string {
	kind := "persistent"
	if e.Ephemeral {
		kind = "ephemeral"
	}
	return fmt.Sprintf("service %s is %s and takes no instance of the other kind", e.Service, kind)
}

// Unwrap returns ErrConflict.
func (e *KindError) Unwrap() error { return ErrConflict }
