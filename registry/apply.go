package registry

import (
	"maps"
	"slices"
	"strings"

	"github.com/musterhq/muster/internal/trie"
)

// Change is one record as it stands after a commit; a nil Record is a deletion,
// unless it is Unreadable.
type Change struct {
	Key      Key
	Record   Record
	Revision int64 // of the commit, above 0
	// Unreadable means that there is a record and nobody can tell what it says:
	// readers see none, but the digests count it, as they count what the store has.
	Unreadable bool
}

// Apply returns the snapshot at revision, after changes. The receiver may be nil
// (nothing is known yet, and there is no [Policy]); what it says does not change, and neither are the records, which
// the new snapshot keeps. Among changes of one record the last one stands. The
// order of different records does not matter.
func (s *Snapshot) Apply(revision int64, changes []Change) *Snapshot {
	if s != nil {
		s.follow()
	}
	return s.with(revision, changes)
}

// with is Apply for a snapshot that stays the newest one.
func (s *Snapshot) with(revision int64, changes []Change) *Snapshot {
	b := builder{Snapshot: &Snapshot{revision: revision}, e: new(trie.Edit), drafts: map[ServiceKey]*draft{}, editedAgents: map[string]*editedAgent{}, editedConnections: map[string]*gathering{}, witnesses: map[string]bool{}, moved: map[InstanceKey]bool{}}
	if s != nil {
		b.Snapshot = &Snapshot{
			revision: revision, policy: s.policy, profiles: s.profiles, instances: s.instances, namespaces: s.namespaces, services: s.services, agents: s.agents,
			claims: s.claims, released: s.released, empty: s.empty, settings: s.settings, shadowed: s.shadowed, types: s.types, exact: s.exact, overrides: s.overrides, tombstones: s.tombstones,
			standbys: s.standbys, holdings: s.holdings, connections: s.connections, verdicts: s.verdicts, names: s.names, populations: s.populations, addrs: s.addrs, networks: s.networks, unreadable: s.unreadable, digests: s.digests,
		}
	}
	if b.profiles == nil {
		b.profiles = new(profiles)
	}
	for _, c := range changes {
		b.record(c)
	}
	b.gather()
	b.rejoinWitnesses()
	b.rejoinMoved()
	for _, d := range b.drafts {
		b.finish(d)
	}
	for _, d := range b.drafts {
		b.rename(d)
	}
	return b.Snapshot
}

// builder is a snapshot in the making; the snapshot does not keep it alive.
type builder struct {
	*Snapshot

	e                 *trie.Edit
	drafts            map[ServiceKey]*draft
	editedAgents      map[string]*editedAgent
	editedConnections map[string]*gathering // their instances
	witnesses         map[string]bool       // whose verdict or incarnation changed
	moved             map[InstanceKey]bool  // whose connection changed
}

// editedAgent is an agent in the making.
type editedAgent struct {
	is               *Agent
	instances, waits gathering
}

// draft is a service in the making. Its instances are joined last, when all
// that bears on them is known.
type draft struct {
	was   *Service // nil for a new one
	is    *Service
	dirty map[Endpoint]kept[*Registration] // record nil: gone
}

func (b *builder) draft(k ServiceKey) *draft {
	if d := b.drafts[k]; d != nil {
		return d
	}
	d := &draft{is: &Service{ServiceRecord: ServiceRecord{Key: k}, policy: b.policy}, dirty: map[Endpoint]kept[*Registration]{}}
	if was := b.Service(k); was == nil {
		d.is.exact = k.Exact()
	} else {
		d.was = was
		d.is = &Service{
			ServiceRecord: was.ServiceRecord, Revision: was.Revision, Instances: was.Instances, Healthy: was.Healthy, facets: was.facets, exact: was.exact, policy: b.policy,
		}
	}
	b.drafts[k] = d
	return d
}

// record takes one change into the maps and marks what it bears on.
func (b *builder) record(c Change) {
	i, ok := c.Key.instance()
	if !ok { // another spelling must not touch the instance it would be read as
		c.Unreadable = c.Unreadable || c.Record != nil
	}
	if c.Unreadable {
		c.Record = nil
	}
	b.account(c, i)
	if !ok {
		return
	}
	n := c.Key.Name
	switch c.Key.Kind {
	case KindNamespace:
		r, _ := c.Record.(*Namespace)
		b.namespaces = set(b.namespaces, b.e, n[0], kept[*Namespace]{r, c.Revision}, r != nil)
	case KindClaim:
		r, _ := c.Record.(*Claim)
		if was, ok := b.claims.Get(n[0]); ok {
			b.draft(was.record.Service)
		}
		if r != nil {
			b.draft(r.Service)
		}
		b.claims = set(b.claims, b.e, n[0], kept[*Claim]{r, c.Revision}, r != nil)
		b.released = set(b.released, b.e, n[0], r, r != nil && r.Released)
	case KindService:
		d := b.draft(ServiceKey{n[0], n[1], n[2]})
		if r, _ := c.Record.(*ServiceRecord); r != nil {
			d.is.ServiceRecord, d.is.Revision = *r, c.Revision
		} else {
			d.is.ServiceRecord, d.is.Revision = ServiceRecord{Key: d.is.Key}, 0
		}
	case KindSettings:
		r, _ := c.Record.(*Settings)
		b.settings = set(b.settings, b.e, n[0], kept[*Settings]{r, c.Revision}, r != nil)
	case KindAgent:
		r, _ := c.Record.(*AgentRecord)
		b.agent(n[0], r, c.Revision)
	case KindVerdict:
		r, _ := c.Record.(*Verdict)
		b.verdicts = set(b.verdicts, b.e, VerdictKey{n[0], n[1]}, kept[*Verdict]{r, c.Revision}, r != nil)
		b.witnesses[n[0]] = true
	default:
		b.instanceRecord(c, i)
	}
}

func (b *builder) instanceRecord(c Change, k InstanceKey) {
	switch c.Key.Kind {
	case KindRegistration:
		r, _ := c.Record.(*Registration)
		d := b.draft(k.Service)
		k.Service = d.is.Key // else the text of each record's key is kept
		b.link(k, r)         // reads what stood before
		stands := kept[*Registration]{r, c.Revision}
		if r == nil {
			stands.revision = 0
		}
		d.dirty[k.Endpoint] = stands
	case KindOverride:
		r, _ := c.Record.(*Override)
		b.overrides = set(b.overrides, b.e, k, kept[*Override]{r, c.Revision}, r != nil)
		b.rejoin(k)
	case KindTombstone:
		r, _ := c.Record.(*Tombstone)
		b.tombstones = set(b.tombstones, b.e, k, kept[*Tombstone]{r, c.Revision}, r != nil)
	case KindStandby:
		r, _ := c.Record.(*Standby)
		b.wait(k, r) // reads what stood before
		b.standbys = set(b.standbys, b.e, k, kept[*Standby]{r, c.Revision}, r != nil)
	case KindHolding:
		r, _ := c.Record.(*Holding)
		b.holding(k, r) // reads what stood before
		b.holdings = set(b.holdings, b.e, k, kept[*Holding]{r, c.Revision}, r != nil)
	}
}

func set[K comparable, V any](t trie.Map[K, V], e *trie.Edit, k K, v V, present bool) trie.Map[K, V] {
	if present {
		return t.With(e, k, v)
	}
	return t.Without(e, k)
}

// agent replaces an agent's record, nil to remove it; the agent stays known for
// as long as instances name it.
func (b *builder) agent(id string, r *AgentRecord, revision int64) {
	a := b.editAgent(id).is
	if r == nil {
		a.AgentRecord, a.Revision = AgentRecord{ID: a.ID}, 0
	} else {
		a.AgentRecord, a.Revision = *r, revision
	}
	b.witnesses[string(WitnessAgent(id))] = true
}

func (b *builder) editAgent(id string) *editedAgent {
	if a := b.editedAgents[id]; a != nil {
		return a
	}
	w := WitnessAgent(id)
	id, _ = w.Agent()
	a := &editedAgent{is: &Agent{AgentRecord: AgentRecord{ID: id}, witness: w}}
	if was := b.Agent(id); was != nil {
		*a.is = *was
		a.instances.was, a.waits.was = was.Instances, was.Waits
	}
	b.editedAgents[id] = a
	return a
}

// gather puts agents and connections into the maps, when all their instances are known.
func (b *builder) gather() {
	for id, edited := range b.editedAgents {
		a := edited.is
		a.Instances, a.Waits = edited.instances.list(), edited.waits.list()
		b.agents = set(b.agents, b.e, id, a, a.Revision != 0 || len(a.Instances) > 0 || len(a.Waits) > 0)
	}
	for id, instances := range b.editedConnections {
		c := &Connection{id, instances.list()}
		b.connections = set(b.connections, b.e, id, c, len(c.Instances) > 0)
	}
}

// link moves an instance from the agent that vouched for it to the one that does.
func (b *builder) link(k InstanceKey, r *Registration) {
	var was, is string
	if stands := b.current(k).record; stands != nil {
		was, _ = stands.Witness.Agent()
	}
	if r != nil {
		is, _ = r.Witness.Agent()
	}
	if was == is {
		return
	}
	if was != "" {
		b.editAgent(was).instances.put(k, false)
	}
	if is != "" {
		b.editAgent(is).instances.put(k, true)
	}
}

// current returns the registration that stands in this edit so far, zero when
// there is none.
func (b *builder) current(k InstanceKey) kept[*Registration] {
	if d := b.drafts[k.Service]; d != nil {
		if r, ok := d.dirty[k.Endpoint]; ok {
			return r
		}
	}
	if i := b.Instance(k); i != nil {
		return i.declared()
	}
	return kept[*Registration]{}
}

// rejoin marks an instance whose own record did not change.
func (b *builder) rejoin(k InstanceKey) {
	d := b.draft(k.Service)
	if _, marked := d.dirty[k.Endpoint]; marked {
		return
	}
	if i := d.is.Instance(k.Endpoint); i != nil {
		d.dirty[k.Endpoint] = i.declared()
	}
}

func (b *builder) rejoinWitnesses() {
	for w := range b.witnesses {
		if id, ok := Witness(w).Agent(); ok {
			if a := b.Agent(id); a != nil {
				for _, k := range a.Instances {
					b.rejoin(k)
				}
			}
		} else if id, ok := strings.CutPrefix(w, witnessConnection); ok {
			if c := b.Connection(id); c != nil {
				for _, k := range c.Instances {
					b.rejoin(k)
				}
			}
		} else if _, name, ok := strings.Cut(w, "/"); ok {
			if k, ok := parseInstanceKey(name); ok {
				b.rejoin(k)
			}
		}
	}
}

// finish joins a draft's dirty instances and puts the service into the maps.
func (b *builder) finish(d *draft) {
	s := d.is
	s.selector, _ = s.Selector.parse() // what a newer version knows and this one does not narrows nothing
	b.recheck(d)
	changes := b.joined(d)
	s.Instances = s.Instances.with(changes)
	others := s.tally(b.e, changes)
	s.folded = b.claimed(d)
	b.empty = set(b.empty, b.e, s.Key, s, s.Revision != 0 && s.Instances.Len() == 0 && !s.Declared)
	if s.Revision == 0 && s.Instances.Len() == 0 {
		b.index(d.was, nil)
		b.services = b.services.Without(b.e, s.Key)
		return
	}
	if d.was == nil || others || s.folded != d.was.folded {
		s.types = s.ownTypes()
		s.names = s.ownNames() // of the types too
	} else {
		s.types, s.names = d.was.types, d.was.names
	}
	b.index(d.was, s)
	b.services = b.services.With(b.e, s.Key, s)
}

// claimed returns the folded name that a draft holds, "" for none.
func (b *builder) claimed(d *draft) string {
	k, folded := d.is.Key, ""
	if d.was != nil {
		folded = d.was.folded
	}
	if folded == "" {
		var ok bool
		if folded, ok = k.Folded(); !ok {
			return ""
		}
	}
	if c, held := b.claims.Get(folded); held && c.record.Service == k && !c.record.Released {
		return folded
	}
	return ""
}

// joined returns what comes to lie at the endpoints of a draft that are dirty, in order.
func (b *builder) joined(d *draft) []replacement {
	all := make([]replacement, 0, len(d.dirty))
	for e, r := range d.dirty {
		c := replacement{at: e, was: d.is.Instances.at(e)}
		if r.record != nil {
			c.is = b.join(d.is, e, r)
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b replacement) int { return a.at.compare(b.at) })
	return all
}

// recheck marks the instances whose health may be another one because their
// clusters are checked otherwise.
func (b *builder) recheck(d *draft) {
	if d.was == nil || d.is.Revision == d.was.Revision || maps.EqualFunc(d.was.Clusters, d.is.Clusters, Cluster.equal) {
		return
	}
	for i := range d.is.Instances.All() {
		if _, marked := d.dirty[i.Key.Endpoint]; !marked && !i.Ephemeral() {
			d.dirty[i.Key.Endpoint] = i.declared()
		}
	}
}
