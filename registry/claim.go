package registry

import (
	"context"
	"fmt"
	"iter"
	"time"
)

// newService is createService within the quota of the namespace, unless the service stands
// without a record.
func (p *plan) newService(stands *Service, rec ServiceRecord) error {
	if stands == nil {
		if err := p.settle(rec.Key.Namespace, Population{Services: 1}); err != nil {
			return err
		}
	}
	p.createService(rec)
	return nil
}

// createService puts a new service and claims its folded name, or marks the
// service as shadowed by whoever holds it. The claim is checked either way, so
// that two services created at once never both get the name.
func (p *plan) createService(rec ServiceRecord) {
	p.check(rec.Key.record(), 0)
	if folded, ok := rec.Key.Folded(); ok {
		claim := &Claim{Folded: folded, Service: rec.Key}
		held, taken := p.snap.claims.Get(folded)
		rec.Shadowed = taken && held.record.Service != rec.Key || p.planned[claim.RecordKey()]
		if !p.planned[claim.RecordKey()] {
			p.check(claim.RecordKey(), held.revision)
		}
		if !rec.Shadowed && (!taken || held.record.Released) {
			p.put(claim)
		}
	}
	p.put(&rec)
}

// release plans to keep the name of a service that goes from others, so that
// nobody who still has an answer of it is sent to another service.
func (p *plan) release(s *Service) {
	if s.folded == "" {
		return
	}
	claim := &Claim{Folded: s.folded, Service: s.Key, Released: true}
	if s.DNS.TTL != nil {
		claim.Keep = time.Duration(*s.DNS.TTL) * time.Second
	}
	held, _ := p.snap.claims.Get(s.folded)
	p.check(claim.RecordKey(), held.revision)
	p.put(claim)
}

// Free gives up a name that was kept after its service had gone: c is of those that
// [Snapshot.Released] yields. When it stands no more nothing happens: the service
// may have come back and gone again, and then the name is kept anew.
func (r *Registry) Free(ctx context.Context, c *Claim) error {
	_, err := r.apply(ctx, func(p *plan) error {
		p.Judge = true
		if stands, _ := p.snap.claims.Get(c.Folded); stands.record == c && c.Released {
			p.check(c.RecordKey(), stands.revision)
			p.delete(c.RecordKey())
		}
		return nil
	})
	return err
}

// TakeName makes a service the holder of its folded name, whoever holds it now:
// that one keeps its exact name alone. It is an operator's decision, as clients of
// the name meet another service from then on. The error is ErrNotFound for an
// unknown service and ErrConflict for one that has no folded name.
func (r *Registry) TakeName(ctx context.Context, k ServiceKey) (Receipt, error) {
	return r.apply(ctx, func(p *plan) error {
		s := p.snap.Service(k)
		if s == nil || s.Revision == 0 {
			return fmt.Errorf("service %s: %w", k, ErrNotFound)
		}
		folded, ok := k.Folded()
		if !ok {
			return fmt.Errorf("service %s has no DNS name but its exact one: %w", k, ErrConflict)
		}
		if s.folded == folded {
			return nil
		}
		claim := &Claim{Folded: folded, Service: k}
		held, _ := p.snap.claims.Get(folded)
		p.check(claim.RecordKey(), held.revision)
		p.put(claim)
		p.shadow(s, false)
		if held.record != nil {
			if loser := p.snap.Service(held.record.Service); loser != nil && loser.Revision != 0 {
				p.shadow(loser, true)
			}
		}
		return nil
	})
}

// shadow plans to say of a service whether another one holds its name.
func (p *plan) shadow(s *Service, shadowed bool) {
	rec := s.ServiceRecord
	rec.Shadowed = shadowed
	p.check(rec.RecordKey(), s.Revision)
	p.put(&rec)
}

// Holder returns the service that a folded name was claimed for, and false when
// it is free. Released means that the service is gone and the name is kept.
func (s *Snapshot) Holder(folded string) (k ServiceKey, released, ok bool) {
	c, ok := s.claims.Get(folded)
	if !ok {
		return k, false, false
	}
	return c.record.Service, c.record.Released, true
}

// Released yields the claims of services that are gone, in no order.
func (s *Snapshot) Released() iter.Seq[*Claim] {
	return func(yield func(*Claim) bool) {
		for _, c := range s.released.All() {
			if !yield(c) {
				return
			}
		}
	}
}

// Shadowed returns how many services have their exact name alone as another one
// holds the folded one.
func (s *Snapshot) Shadowed() int { return s.shadowed }
