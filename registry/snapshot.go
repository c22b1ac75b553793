package registry

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/musterhq/muster/internal/trie"
	"github.com/musterhq/muster/internal/view"
)

// Snapshot is the roll at one revision. It never changes; [Snapshot.Apply]
// returns another one that shares what did not change.
type Snapshot struct {
	revision    int64
	policy      Policy
	profiles    *profiles // shared by all snapshots that follow on each other
	instances   int
	namespaces  trie.Map[string, kept[*Namespace]]
	services    trie.Map[ServiceKey, *Service]
	agents      trie.Map[string, *Agent]
	connections trie.Map[string, *Connection]
	claims      trie.Map[string, kept[*Claim]]
	released    trie.Map[string, *Claim] // those among the claims
	shadowed    int                      // services
	empty       trie.Map[ServiceKey, *Service]
	settings    trie.Map[string, kept[*Settings]]
	types       trie.Map[string, browsing] // by namespace
	exact       trie.Map[string, ServiceKey]
	overrides   trie.Map[InstanceKey, kept[*Override]]
	tombstones  trie.Map[InstanceKey, kept[*Tombstone]]
	standbys    trie.Map[InstanceKey, kept[*Standby]]
	holdings    trie.Map[InstanceKey, kept[*Holding]]
	verdicts    trie.Map[VerdictKey, kept[*Verdict]]
	names       trie.Map[string, named]     // every name below the zone that holds or leads to something
	addrs       trie.Map[netip.Addr, int]   // how many instances have the address
	populations populations                 // by namespace
	networks    trie.Map[netip.Prefix, int] // how many IPv4 addresses lie in it, for lengths of 8, 16 and 24
	unreadable  trie.Map[Key, int64]        // revisions of records that readers see as absent
	digests     Digests

	sorting  sync.Mutex                 // held by the one who sorts
	sorted   atomic.Pointer[[]*Service] // cache of the services in order, until followed
	followed atomic.Bool                // another snapshot was made of this one
}

// View holds the current snapshot.
type View = view.View[Snapshot, *Snapshot]

// kept is a record with the revision of its last change, for later checks.
type kept[R any] struct {
	record   R
	revision int64
}

// Agent is an agent with the instances it vouches for. It is immutable.
type Agent struct {
	AgentRecord
	Revision  int64         // of the record's last change; 0: instances name it, but it has no record
	Instances []InstanceKey // not to be modified
	Waits     []InstanceKey // of others, for which it stands by; not to be modified

	witness Witness
}

// Silent reports whether a verdict of silence stands on any of the agent's instances.
func (s *Snapshot) Silent(a *Agent) bool {
	return slices.ContainsFunc(a.Instances, func(k InstanceKey) bool {
		i := s.Instance(k)
		return i != nil && i.Silent
	})
}

// Revision returns the store's revision this snapshot shows: every change up to
// it, none after.
func (s *Snapshot) Revision() int64 { return s.revision }

// Digests tells which records the snapshot holds.
func (s *Snapshot) Digests() Digests { return s.digests }

// Service returns the service, or nil.
func (s *Snapshot) Service(k ServiceKey) *Service {
	v, _ := s.services.Get(k)
	return v
}

// Instance returns the instance, or nil.
func (s *Snapshot) Instance(k InstanceKey) *Instance {
	if v := s.Service(k.Service); v != nil {
		return v.Instance(k.Endpoint)
	}
	return nil
}

// Agent returns the agent, or nil.
func (s *Snapshot) Agent(id string) *Agent {
	v, _ := s.agents.Get(id)
	return v
}

// Override returns the operator's say over an instance, or nil.
func (s *Snapshot) Override(k InstanceKey) *Override {
	v, _ := s.overrides.Get(k)
	return v.record
}

// Tombstones yields the tombstones that stand, in no order.
func (s *Snapshot) Tombstones() iter.Seq[*Tombstone] {
	return func(yield func(*Tombstone) bool) {
		for _, t := range s.tombstones.All() {
			if !yield(t.record) {
				return
			}
		}
	}
}

// Overrides yields the keys of all overrides, in no order.
func (s *Snapshot) Overrides() iter.Seq[InstanceKey] {
	return func(yield func(InstanceKey) bool) {
		for k := range s.overrides.All() {
			if !yield(k) {
				return
			}
		}
	}
}

// Empty yields the services that came with an instance and have none any more,
// in no order.
func (s *Snapshot) Empty() iter.Seq[*Service] {
	return func(yield func(*Service) bool) {
		for _, v := range s.empty.All() {
			if !yield(v) {
				return
			}
		}
	}
}

// Namespace returns the declared namespace, or nil.
func (s *Snapshot) Namespace(id string) *Namespace {
	n, _ := s.namespaces.Get(id)
	return n.record
}

// Settings returns the settings of a name, not to be modified, and the revision of
// their last change, 0 when nothing was set.
func (s *Snapshot) Settings(name string) (values map[string]string, revision int64) {
	if kept, ok := s.settings.Get(name); ok {
		return kept.record.Values, kept.revision
	}
	return nil, 0
}

// Agents returns all agents ordered by id.
func (s *Snapshot) Agents() []*Agent {
	out := make([]*Agent, 0, s.agents.Len())
	for _, a := range s.agents.All() {
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b *Agent) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// Namespaces returns the declared namespaces ordered by id.
func (s *Snapshot) Namespaces() []*Namespace {
	out := make([]*Namespace, 0, s.namespaces.Len())
	for _, n := range s.namespaces.All() {
		out = append(out, n.record)
	}
	slices.SortFunc(out, func(a, b *Namespace) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// Services returns all services ordered by namespace, group and name; the slice
// is shared and not to be modified. They are sorted once for the newest snapshot
// and each time for an older one, of which many may be kept.
func (s *Snapshot) Services() []*Service {
	if list := s.sorted.Load(); list != nil {
		return *list
	}
	s.sorting.Lock()
	defer s.sorting.Unlock()
	if list := s.sorted.Load(); list != nil {
		return *list
	}
	list := make([]*Service, 0, s.services.Len())
	for _, v := range s.services.All() {
		list = append(list, v)
	}
	slices.SortFunc(list, func(a, b *Service) int {
		return cmp.Or(strings.Compare(a.Key.Namespace, b.Key.Namespace),
			strings.Compare(a.Key.Group, b.Key.Group), strings.Compare(a.Key.Name, b.Key.Name))
	})
	s.sorted.Store(&list)
	if s.followed.Load() { // since, or before: whoever follows drops what is there
		s.sorted.Store(nil)
	}
	return list
}

// follow has the snapshot keep nothing that can be made again.
func (s *Snapshot) follow() {
	s.followed.Store(true)
	s.sorted.Store(nil)
}

// Each yields all services, in no order: unlike [Snapshot.Services] it keeps nothing.
func (s *Snapshot) Each() iter.Seq[*Service] {
	return func(yield func(*Service) bool) {
		for _, v := range s.services.All() {
			if !yield(v) {
				return
			}
		}
	}
}

// Addrs yields the addresses at which an instance is registered, in no order.
func (s *Snapshot) Addrs() iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for a := range s.addrs.All() {
			if !yield(a) {
				return
			}
		}
	}
}

// Counts returns how many services, instances and agents there are.
func (s *Snapshot) Counts() (services, instances, agents int) {
	return s.services.Len(), s.instances, s.agents.Len()
}

// named is what there is to know of a name below the zone.
type named struct {
	holder *Service // that owns it as a base name, nil: none does
	times  int      // how often it holds or leads to something
}

// ByName returns the service that owns a base name below the zone (a claimed
// folded name or an exact one), or nil.
func (s *Snapshot) ByName(base string) *Service {
	n, _ := s.names.Get(base)
	return n.holder
}

// Named returns what [Snapshot.ByName] and [Snapshot.HasName] say of a name, which may
// be a text that is changed afterwards.
func (s *Snapshot) Named(name string) (owner *Service, known bool) {
	n, ok := s.names.Get(name)
	return n.holder, ok || name == LabelAddress && s.HasName(name)
}

// HasName reports whether a name below the zone holds something or has a name
// below it that does (an empty non-terminal).
func (s *Snapshot) HasName(name string) bool {
	if name == LabelAddress {
		return s.addrs.Len() > 0
	}
	n, _ := s.names.Get(name)
	return n.times > 0
}

// HasAddr reports whether an instance is registered at a now.
func (s *Snapshot) HasAddr(a netip.Addr) bool {
	_, ok := s.addrs.Get(a)
	return ok
}

// HasAddrIn reports whether an instance is registered in an IPv4 network now, whose
// length is that of a reverse name: 8, 16 or 24.
func (s *Snapshot) HasAddrIn(network netip.Prefix) bool {
	_, ok := s.networks.Get(network)
	return ok
}

// Diff yields the services that differ between two snapshots, as they were and
// as they are; nil means absent. The cost follows the number of changes.
func Diff(was, is *Snapshot) iter.Seq2[*Service, *Service] {
	return func(yield func(was, is *Service) bool) {
		more := true
		trie.Diff(was.services, is.services, func(_ ServiceKey, a, b *Service) {
			if more && a != b {
				more = yield(a, b)
			}
		})
	}
}

// DiffAgents yields the agents that differ between two snapshots.
func DiffAgents(was, is *Snapshot) iter.Seq2[*Agent, *Agent] {
	return func(yield func(was, is *Agent) bool) {
		more := true
		trie.Diff(was.agents, is.agents, func(_ string, a, b *Agent) {
			if more && a != b {
				more = yield(a, b)
			}
		})
	}
}
