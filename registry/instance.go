package registry

import (
	"maps"
	"net/netip"
	"slices"
	"sort"
	"sync/atomic"
)

// Instance is one instance as readers see it: what its owner declared, with the
// operator's override and the judge's verdict applied. It is immutable.
type Instance struct {
	Registration // Weight, Enabled, Healthy and Metadata are the effective values
	Declared     *Registration
	Revision     int64 // of the registration's last change
	Edited       int64 // revision of the last change of the operator's say; 0: there is none
	Timeouts     Timeouts
	Silent       bool       // a verdict of silence stands
	Failing      bool       // a verdict of a server-side check stands
	Addr         netip.Addr // invalid for a host name

	cluster, version string // folded, for scoped names
}

// Ephemeral reports whether the instance lives by beats.
func (i *Instance) Ephemeral() bool { return i.Witness != "" }

// eligible reports whether the instance may be answered at all.
func (i *Instance) eligible() bool { return i.Enabled && i.Weight > 0 }

// Service is one service with its instances at one revision. It is immutable.
type Service struct {
	ServiceRecord
	Revision  int64       // of the service record's last change
	Instances []*Instance // ordered by endpoint; not to be modified
	Healthy   int         // how many instances are healthy and enabled
	folded    string      // claimed name, empty when it has none or is shadowed
	names     []string    // as of ownNames
	types     []AppType   // as of ownTypes
	policy    Policy
	selector  []labelPair

	memo atomic.Value // as Memo has it
}

// DNSName returns the folded name below the zone, "" when another service holds
// it or the identity folds to nothing.
func (s *Service) DNSName() string { return s.folded }

// Instance returns the instance at e, or nil.
func (s *Service) Instance(e Endpoint) *Instance {
	i, ok := s.find(e)
	if !ok {
		return nil
	}
	return s.Instances[i]
}

// At returns the instances at a host, ordered by port; not to be modified.
func (s *Service) At(host string) []*Instance {
	first := sort.Search(len(s.Instances), func(n int) bool { return s.Instances[n].Key.Endpoint.Host >= host })
	past := first
	for past < len(s.Instances) && s.Instances[past].Key.Endpoint.Host == host {
		past++
	}
	return s.Instances[first:past:past]
}

func (s *Service) find(e Endpoint) (int, bool) {
	return slices.BinarySearchFunc(s.Instances, e, func(i *Instance, e Endpoint) int {
		return i.Key.Endpoint.compare(e)
	})
}

// Filter narrows a selection; an empty field does not.
type Filter struct {
	Cluster string // folded
	Version string // folded value of the metadata key version
	Type    AppType
	Wants   Wants // of the consumer; it chooses among those admitted
}

// Admits reports whether the instance is among those the filter is for.
func (f Filter) Admits(i *Instance) bool {
	if f.Cluster != "" && f.Cluster != i.cluster || f.Version != "" && f.Version != i.version {
		return false
	}
	if f.Type == (AppType{}) {
		return true
	}
	t, ok := i.Type()
	return ok && t == f.Type
}

// Selection is the set of a service's instances that every door answers.
type Selection struct {
	Instances []*Instance // not to be modified
	Named     int         // instances the filter admits, eligible or not
	All       int         // of these, enabled with weight above 0, and suiting the consumer
	Protected bool        // the threshold holds: Instances are all of All, healthy or not
}

// Select returns the eligible set (dns.md 3): enabled, weight above 0, healthy;
// or all of these, flagged, when healthy/all is at or below the service's
// protect threshold. A threshold of 0 protects nothing, unless [Policy] says so.
// A selector narrows the eligible ones first, to those that suit the consumer.
func (s *Service) Select(f Filter) Selection { return s.SelectIn(nil, f) }

// SelectIn is Select with room for a set that is not that of all instances. Nil room
// is fine.
func (s *Service) SelectIn(room []*Instance, f Filter) Selection {
	var sel Selection
	healthy := 0
	for _, i := range s.Instances {
		if f.Admits(i) {
			sel.Named++
			if i.eligible() {
				sel.All++
				healthy += b2i(i.Healthy)
			}
		}
	}
	if f.Wants != "" {
		return s.suited(sel, f)
	}
	sel.Protected = s.protects(healthy, sel.All)
	answered := sel.All
	if !sel.Protected {
		answered = healthy
	}
	if answered == len(s.Instances) {
		sel.Instances = slices.Clip(s.Instances)
		return sel
	}
	sel.Instances = slices.Grow(room[:0], answered)
	for _, i := range s.Instances {
		if i.eligible() && (i.Healthy || sel.Protected) && f.Admits(i) {
			sel.Instances = append(sel.Instances, i)
		}
	}
	sel.Instances = slices.Clip(sel.Instances)
	return sel
}

// suited is the selection of those that suit a consumer.
func (s *Service) suited(sel Selection, f Filter) Selection {
	all := make([]*Instance, 0, sel.All)
	for _, i := range s.Instances {
		if f.Admits(i) && i.eligible() {
			all = append(all, i)
		}
	}
	all = s.Suiting(all, f.Wants)
	sel.All = len(all)
	healthy := 0
	for _, i := range all {
		healthy += b2i(i.Healthy)
	}
	if sel.Protected = s.protects(healthy, sel.All); !sel.Protected {
		all = slices.DeleteFunc(all, func(i *Instance) bool { return !i.Healthy })
	}
	sel.Instances = slices.Clip(all)
	return sel
}

// join makes the instance that readers see, before any verdict.
func join(r *Registration, revision int64, o kept[*Override]) *Instance {
	i := &Instance{Registration: *r, Revision: revision, Edited: o.revision}
	i.Declared = &i.Registration
	if o.record != nil {
		i.Declared = r
		i.override(o.record)
	}
	i.Timeouts = timeoutsOf(i.Metadata)
	i.Addr, _ = r.Key.Endpoint.Addr()
	i.cluster, i.version = scopeLabel(i.Cluster), scopeLabel(i.Metadata[MetaVersion])
	return i
}

func (i *Instance) override(o *Override) {
	if o.Weight != nil {
		i.Weight = *o.Weight
	}
	if o.Enabled != nil {
		i.Enabled = *o.Enabled
	}
	if len(o.Metadata) > 0 {
		merged := make(map[string]string, len(i.Metadata)+len(o.Metadata))
		maps.Copy(merged, i.Metadata)
		maps.Copy(merged, o.Metadata)
		i.Metadata = merged
	}
}

// health sets a health that is not declared. The declared one must stay
// readable, so what was declared is set apart first.
func (i *Instance) health(healthy bool) {
	if i.Healthy == healthy {
		return
	}
	if i.Declared == &i.Registration {
		declared := i.Registration
		i.Declared = &declared
	}
	i.Healthy = healthy
}

// Version returns the revision at which the instance was last declared or
// overridden; verdicts do not count.
func (i *Instance) Version() int64 { return max(i.Revision, i.Edited) }

// ClusterFilter returns the filter for one cluster as its owner spells it; empty
// is any.
func ClusterFilter(cluster string) Filter { return Filter{Cluster: foldLabel(cluster)} }
