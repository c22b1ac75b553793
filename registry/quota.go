package registry

import (
	"errors"
	"fmt"

	"github.com/musterhq/muster/internal/trie"
)

// ErrQuota is what every [*QuotaError] unwraps to.
var ErrQuota = errors.New("over quota")

// Quota is how many services and instances a namespace may have; 0 bounds nothing.
type Quota struct{ Services, Instances int }

// QuotaError refuses what would be one too many in a namespace.
type QuotaError struct {
	Namespace string
	What      string // services or instances
	Limit     int
}

func (e *QuotaError) Error() string {
	return fmt.Sprintf("quota of namespace %s: it has %d %s, and may have no more", e.Namespace, e.Limit, e.What)
}

// Unwrap returns ErrQuota.
func (e *QuotaError) Unwrap() error { return ErrQuota }

// Population is how many services and instances there are in a namespace.
type Population struct{ Services, Instances int }

// Population returns that of a namespace.
func (s *Snapshot) Population(namespace string) Population {
	n, _ := s.populations.Get(namespace)
	return n
}

// Populations yields the namespaces that have services, in no order.
func (s *Snapshot) Populations() func(yield func(namespace string, n Population) bool) {
	return s.populations.All()
}

// populate moves the counts of a namespace from what a service was to what it is.
func (b *builder) populate(was, is *Service) {
	k, by := ServiceKey{}, Population{}
	if was != nil {
		k, by = was.Key, Population{-1, -was.Instances.Len()}
	}
	if is != nil {
		k, by = is.Key, Population{by.Services + 1, by.Instances + is.Instances.Len()}
	}
	if by == (Population{}) {
		return
	}
	n, _ := b.populations.Get(k.Namespace)
	n.Services, n.Instances = n.Services+by.Services, n.Instances+by.Instances
	b.populations = set(b.populations, b.e, k.Namespace, n, n != Population{})
}

type populations = trie.Map[string, Population]

// settle returns a [*QuotaError] if a namespace has no room for what comes new: services,
// instances. It is judged by what the snapshot shows and the plan brings, so that of writes at
// once some more may come in.
func (p *plan) settle(namespace string, come Population) error {
	if p.snap.policy.Quota == nil {
		return nil
	}
	if p.come == nil {
		p.come = map[string]Population{}
	}
	is, more, may := p.snap.Population(namespace), p.come[namespace], p.snap.policy.Quota(namespace)
	more.Services, more.Instances = more.Services+come.Services, more.Instances+come.Instances
	switch {
	case come.Services > 0 && may.Services > 0 && is.Services+more.Services > may.Services:
		return &QuotaError{namespace, "services", may.Services}
	case come.Instances > 0 && may.Instances > 0 && is.Instances+more.Instances > may.Instances:
		return &QuotaError{namespace, "instances", may.Instances}
	}
	p.come[namespace] = more
	return nil
}
