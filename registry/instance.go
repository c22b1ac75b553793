package registry

import (
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/musterhq/muster/internal/ldh"
)

// Instance is one instance as readers see it: what its owner declared, with the
// operator's override and the judge's verdict applied. It is immutable.
type Instance struct {
	Key      InstanceKey
	*profile // Cluster, Metadata and Timeouts
	Witness  Witness
	Weight   float64
	Revision int64      // of the registration's last change
	Edited   int64      // revision of the last change of the operator's say; 0: there is none
	Addr     netip.Addr // invalid for a host name
	Enabled  bool
	Healthy  bool
	Checked  bool // as in [Registration]
	Silent   bool // a verdict of silence stands
	Failing  bool // a verdict of a server-side check stands

	healthy bool      // as declared
	owner   *original // nil: what readers see is what is declared, but for the health
}

// original is what the owner declares of what the operator's override may change.
type original struct {
	weight   float64
	enabled  bool
	metadata Metadata
}

// Declaration returns the instance as its owner declares it.
func (i *Instance) Declaration() Registration {
	r := Registration{
		Key: i.Key, Cluster: i.Cluster, Weight: i.Weight, Enabled: i.Enabled, Healthy: i.healthy, Checked: i.Checked,
		Metadata: i.Metadata, Witness: i.Witness,
	}
	if o := i.owner; o != nil {
		r.Weight, r.Enabled, r.Metadata = o.weight, o.enabled, o.metadata
	}
	return r
}

func (i *Instance) declared() kept[*Registration] {
	return kept[*Registration]{new(i.Declaration()), i.Revision}
}

// Altered reports whether readers may see something else than its owner declares.
func (i *Instance) Altered() bool { return i.owner != nil || i.Healthy != i.healthy }

// RecordKey returns where the registration is kept.
func (i *Instance) RecordKey() Key { return i.Key.record(KindRegistration) }

func (i *Instance) witnessID() string { return i.Witness.of(i.Key) }

// Ephemeral reports whether the instance lives by beats.
func (i *Instance) Ephemeral() bool { return i.Witness != "" }

// eligible reports whether the instance may be answered at all.
func (i *Instance) eligible() bool { return i.Enabled && i.Weight > 0 }

// Service is one service with its instances at one revision. It is immutable.
type Service struct {
	// Memo's comes first, and beside it the selector: most questions read no more of a
	// service, and so one cache line.
	memo     atomic.Value
	selector []labelPair

	ServiceRecord
	Revision  int64 // of the service record's last change
	Instances Instances
	Healthy   int       // how many instances are healthy and enabled
	folded    string    // claimed name, empty when it has none or is shadowed
	exact     string    // name
	names     []string  // as of ownNames
	types     []AppType // as of ownTypes
	facets    facets
	policy    Policy
}

// DNSName returns the folded name below the zone, "" when another service holds
// it or the identity folds to nothing.
func (s *Service) DNSName() string { return s.folded }

// Instance returns the instance at e, or nil.
func (s *Service) Instance(e Endpoint) *Instance { return s.Instances.at(e) }

// At returns the instances at a host, ordered by port; not to be modified.
func (s *Service) At(host string) []*Instance { return s.Instances.on(host) }

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
	for i := range s.Instances.All() {
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
	if answered == s.Instances.Len() {
		sel.Instances = s.Instances.List()
		return sel
	}
	sel.Instances = slices.Grow(room[:0], answered)
	for i := range s.Instances.All() {
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
	for i := range s.Instances.All() {
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

// Version returns the revision at which the instance was last declared or
// overridden; verdicts do not count.
func (i *Instance) Version() int64 { return max(i.Revision, i.Edited) }

// ClusterFilter returns the filter for one cluster as its owner spells it; empty
// is any.
func ClusterFilter(cluster string) Filter { return Filter{Cluster: ldh.Label(cluster)} }
