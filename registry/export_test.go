package registry

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
)

// Dump is all that a snapshot knows, in a form that can be compared.
type Dump struct {
	Populations map[string]Population
	Instances   int
	Namespaces  map[string]DumpedRecord
	Settings    map[string]DumpedRecord
	Services    map[ServiceKey]DumpedService
	Agents      map[string]Agent
	Connections map[string]Connection
	Holdings    map[InstanceKey]DumpedRecord
	Claims      map[string]DumpedRecord
	Released    []string
	Shadowed    int
	Empty       []string
	Browsed     map[string]map[AppType][]string
	Exact       map[string]ServiceKey
	Overrides   map[InstanceKey]DumpedRecord
	Tombstones  map[InstanceKey]DumpedRecord
	Verdicts    map[VerdictKey]DumpedRecord
	Names       map[string]int
	Holders     map[string]ServiceKey
	Addrs       map[netip.Addr]int
	Networks    map[netip.Prefix]int
	Unreadable  map[Key]int64
	Digests     map[string]uint64
	Digest      uint64
}

// DumpedRecord is a record with its revision.
type DumpedRecord struct {
	Record   any
	Revision int64
}

// DumpedService is a service with what follows from its instances.
type DumpedService struct {
	Record    ServiceRecord
	Revision  int64
	Healthy   int
	Folded    string
	Names     []string
	Instances []DumpedInstance
}

// DumpedInstance is an instance without pointers to itself.
type DumpedInstance struct {
	Effective, Declared Registration
	Revision            int64
	Edited              int64
	Timeouts            Timeouts
	Silent, Failing     bool
	Addr                netip.Addr
	Cluster, Version    string
}

// Dump returns all that the snapshot knows but its own revision.
func (s *Snapshot) Dump() Dump {
	d := Dump{
		Instances: s.instances, Namespaces: map[string]DumpedRecord{}, Settings: map[string]DumpedRecord{}, Services: map[ServiceKey]DumpedService{},
		Agents: map[string]Agent{}, Connections: map[string]Connection{}, Holdings: map[InstanceKey]DumpedRecord{}, Claims: map[string]DumpedRecord{}, Exact: maps.Collect(s.exact.All()),
		Overrides: map[InstanceKey]DumpedRecord{}, Tombstones: map[InstanceKey]DumpedRecord{},
		Verdicts: map[VerdictKey]DumpedRecord{}, Names: map[string]int{}, Holders: map[string]ServiceKey{}, Addrs: maps.Collect(s.addrs.All()), Networks: maps.Collect(s.networks.All()),
		Unreadable: maps.Collect(s.unreadable.All()), Digests: maps.Collect(s.digests.All()), Digest: s.digests.Sum(),
	}
	d.Shadowed = s.shadowed
	d.Populations = maps.Collect(s.Populations())
	for k := range s.empty.All() {
		d.Empty = append(d.Empty, k.String())
	}
	slices.Sort(d.Empty)
	for k := range s.released.All() {
		d.Released = append(d.Released, k)
	}
	slices.Sort(d.Released)
	d.Browsed = map[string]map[AppType][]string{}
	for label, of := range s.types.All() {
		d.Browsed[label] = map[AppType][]string{}
		for t, services := range of.All() {
			for k := range services.All() {
				d.Browsed[label][t] = append(d.Browsed[label][t], k.String())
			}
			slices.Sort(d.Browsed[label][t])
		}
	}
	for name, n := range s.names.All() {
		if n.times > 0 {
			d.Names[name] = n.times
		}
		if n.holder != nil && n.holder == s.Service(n.holder.Key) { // else it is not the one of this snapshot
			d.Holders[name] = n.holder.Key
		}
	}
	for k, n := range s.namespaces.All() {
		d.Namespaces[k] = DumpedRecord{*n.record, n.revision}
	}
	for k, n := range s.settings.All() {
		d.Settings[k] = DumpedRecord{*n.record, n.revision}
	}
	for k, v := range s.services.All() {
		d.Services[k] = v.dump()
	}
	for k, a := range s.agents.All() {
		c := *a
		c.Instances = slices.SortedFunc(slices.Values(a.Instances), func(a, b InstanceKey) int { return cmp.Compare(a.String(), b.String()) })
		d.Agents[k] = c
	}
	for k, c := range s.connections.All() {
		d.Connections[k] = Connection{c.ID, slices.SortedFunc(slices.Values(c.Instances), func(a, b InstanceKey) int { return cmp.Compare(a.String(), b.String()) })}
	}
	for k, h := range s.holdings.All() {
		d.Holdings[k] = DumpedRecord{*h.record, h.revision}
	}
	for k, c := range s.claims.All() {
		d.Claims[k] = DumpedRecord{*c.record, c.revision}
	}
	for k, o := range s.overrides.All() {
		d.Overrides[k] = DumpedRecord{*o.record, o.revision}
	}
	for k, t := range s.tombstones.All() {
		d.Tombstones[k] = DumpedRecord{*t.record, t.revision}
	}
	for k, v := range s.verdicts.All() {
		d.Verdicts[k] = DumpedRecord{*v.record, v.revision}
	}
	return d
}

func (s *Service) dump() DumpedService {
	d := DumpedService{s.ServiceRecord, s.Revision, s.Healthy, s.folded, s.names, nil}
	for i := range s.Instances.All() {
		d.Instances = append(d.Instances, DumpedInstance{i.Registration(), i.Declaration(), i.Revision, i.Edited, i.Timeouts, i.Silent,
			i.Failing, i.Addr, i.cluster, i.version})
	}
	return d
}

// Heir returns which of services that share an exact name gets it after its holder
// has gone, when some of them come at the same time.
func Heir(there, come []ServiceKey) (ServiceKey, bool) {
	b := builder{drafts: map[ServiceKey]*draft{}}
	for _, k := range come {
		b.drafts[k] = &draft{}
	}
	return b.heir(slices.Values(slices.Concat(come, there)))
}

// Registration returns the instance as readers see it.
func (i *Instance) Registration() Registration {
	return Registration{i.Key, i.Cluster, i.Weight, i.Enabled, i.Healthy, i.Checked, i.Metadata, i.Witness}
}

// First returns the first instance.
func (l Instances) First() *Instance { return l.parts[0].list[0] }
