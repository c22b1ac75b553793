package registry

import (
	"context"
	"fmt"
	"maps"
)

// Cluster is what an operator says of a cluster of a service.
type Cluster struct {
	Check    *HealthCheck      `json:"check,omitempty"` // of its persistent instances; nil: as each asks for
	Metadata map[string]string `json:"metadata,omitempty"`
}

// over lays what a caller says of a cluster over what stands. A password is never
// shown, so who writes back what was read does not have it: it stays.
func (c Cluster) over(stands Cluster) Cluster {
	if is, was := c.Check, stands.Check; is != nil && was != nil && is.Password == "" && is.Kind == was.Kind && is.User == was.User {
		with := *is
		with.Password = was.Password
		c.Check = &with
	}
	return c
}

// maxClusters bounds the clusters of one service that an operator says something of.
const maxClusters = 64

func (c Cluster) equal(o Cluster) bool {
	return c.Check.Equal(o.Check) && maps.Equal(c.Metadata, o.Metadata)
}

func validateClusters(all map[string]Cluster) error {
	if len(all) > maxClusters {
		return invalid("clusters", fmt.Sprint(len(all)), "are more than 64")
	}
	for name, c := range all {
		if !clusterForm.MatchString(name) {
			return invalid("cluster", name, "must be 1 to 64 letters, digits or -")
		}
		if c.Check != nil {
			if err := c.Check.Validate(); err != nil {
				return err
			}
		}
		if err := validateMetadata(c.Metadata); err != nil {
			return err
		}
	}
	return nil
}

// UpdateCluster replaces what is said of one cluster of a service that exists,
// else the error is ErrNotFound. A check without a password keeps that of one of
// the same kind and user.
func (r *Registry) UpdateCluster(ctx context.Context, k ServiceKey, name string, c Cluster) (Receipt, error) {
	if err := validateClusters(map[string]Cluster{name: c}); err != nil {
		return Receipt{}, err
	}
	return r.apply(ctx, func(p *plan) error {
		s := p.snap.Service(k)
		if s == nil {
			return fmt.Errorf("service %s: %w", k, ErrNotFound)
		}
		stands, ok := s.Clusters[name]
		said := c.over(stands)
		if ok && stands.equal(said) {
			return nil
		}
		rec := s.ServiceRecord
		rec.Clusters = maps.Clone(rec.Clusters)
		if rec.Clusters == nil {
			rec.Clusters = map[string]Cluster{}
		}
		rec.Clusters[name], rec.Declared = said, true
		if err := validateClusters(rec.Clusters); err != nil {
			return err
		}
		p.check(k.record(), s.Revision)
		p.put(&rec)
		return nil
	})
}
