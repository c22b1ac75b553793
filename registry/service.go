package registry

import (
	"context"
	"fmt"
	"maps"
	"strconv"
)

// ServiceSpec is what a caller sets of a service.
type ServiceSpec struct {
	Ephemeral        *bool // fixed at creation, where nil is false: one that is of the other kind is a *KindError
	ProtectThreshold float64
	Metadata         map[string]string
	DNS              *DNSOptions        // nil: none at creation, and left alone by an update
	Selector         *Selector          // likewise
	Clusters         map[string]Cluster // likewise; all that is said of clusters, passwords as in UpdateCluster
}

// over lays what the caller sets over a service as it stands.
func (spec ServiceSpec) over(rec ServiceRecord) ServiceRecord {
	rec.Declared, rec.ProtectThreshold, rec.Metadata = true, spec.ProtectThreshold, maps.Clone(spec.Metadata)
	if spec.DNS != nil {
		rec.DNS = *spec.DNS
	}
	if spec.Selector != nil {
		rec.Selector = *spec.Selector
	}
	if spec.Clusters != nil {
		clusters := make(map[string]Cluster, len(spec.Clusters))
		for name, c := range spec.Clusters {
			clusters[name] = c.over(rec.Clusters[name])
		}
		rec.Clusters = clusters
	}
	return rec
}

func (s *ServiceRecord) equal(o *ServiceRecord) bool {
	return s.Key == o.Key && s.Ephemeral == o.Ephemeral && s.Declared == o.Declared && s.Shadowed == o.Shadowed &&
		s.ProtectThreshold == o.ProtectThreshold && maps.Equal(s.Metadata, o.Metadata) && s.DNS.equal(o.DNS) &&
		s.Selector == o.Selector && maps.EqualFunc(s.Clusters, o.Clusters, Cluster.equal)
}

// PutService declares a service, or replaces threshold, metadata and whatever else
// spec sets of one that exists.
func (r *Registry) PutService(ctx context.Context, k ServiceKey, spec ServiceSpec) (Receipt, error) {
	return r.service(ctx, k, spec, func(*Service) error { return nil })
}

// CreateService declares a service before it has instances; one that exists is
// an error that is ErrConflict.
func (r *Registry) CreateService(ctx context.Context, k ServiceKey, spec ServiceSpec) (Receipt, error) {
	return r.service(ctx, k, spec, func(stands *Service) error {
		if stands != nil && stands.Revision != 0 {
			return fmt.Errorf("service %s exists already: %w", k, ErrConflict)
		}
		return nil
	})
}

// UpdateService is PutService for a service that exists, else the error is
// ErrNotFound.
func (r *Registry) UpdateService(ctx context.Context, k ServiceKey, spec ServiceSpec) (Receipt, error) {
	return r.service(ctx, k, spec, func(stands *Service) error {
		if stands == nil {
			return fmt.Errorf("service %s: %w", k, ErrNotFound)
		}
		return nil
	})
}

// service puts what spec says if may allows it, knowing what stands.
func (r *Registry) service(ctx context.Context, k ServiceKey, spec ServiceSpec, may func(*Service) error) (Receipt, error) {
	if err := spec.validate(k); err != nil {
		return Receipt{}, err
	}
	return r.apply(ctx, func(p *plan) error {
		s := p.snap.Service(k)
		if err := may(s); err != nil {
			return err
		}
		if s == nil || s.Revision == 0 {
			return p.newService(s, spec.over(ServiceRecord{Key: k, Ephemeral: spec.Ephemeral != nil && *spec.Ephemeral}))
		}
		if spec.Ephemeral != nil && *spec.Ephemeral != s.Ephemeral {
			return &KindError{k, s.Ephemeral}
		}
		rec := spec.over(s.ServiceRecord)
		if rec.equal(&s.ServiceRecord) {
			return nil
		}
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
		if s.Instances.Len() > 0 {
			return fmt.Errorf("service %s still has %d instances: %w", k, s.Instances.Len(), ErrConflict)
		}
		p.deleteService(s)
		return nil
	})
}

// deleteService plans the end of a service without instances. Of a registration
// that comes at the same time one loses: it checks the service record that is
// deleted here, or it came first.
func (p *plan) deleteService(s *Service) {
	p.check(s.Key.record(), s.Revision)
	p.Settled = append(p.Settled, Settled{Service: s.Key})
	p.delete(s.Key.record())
	p.release(s)
}

// Clear removes a service that came with an instance and has none any more: s is
// of those that [Snapshot.Empty] yields. One that changed since stays.
func (r *Registry) Clear(ctx context.Context, s *Service) error {
	_, err := r.apply(ctx, func(p *plan) error {
		p.Judge = true
		if stands, ok := p.snap.empty.Get(s.Key); ok && stands.Revision == s.Revision {
			p.deleteService(stands)
		}
		return nil
	})
	return err
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
	if spec.Selector != nil {
		if _, err := spec.Selector.parse(); err != nil {
			return err
		}
	}
	if err := validateClusters(spec.Clusters); err != nil {
		return err
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
		return p.newService(s, ServiceRecord{Key: k, Ephemeral: ephemeral})
	}
	if s.Ephemeral != ephemeral && (s.Instances.Len() > 0 || s.Declared) {
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
