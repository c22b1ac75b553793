package registry

import (
	"github.com/musterhq/muster/internal/digest"
	"github.com/musterhq/muster/internal/trie"
)

// Digests tells by namespace which records stand and at which revisions. Under
// the empty name lies what belongs to no namespace.
type Digests = digest.Digests

// RecordDigest returns what a record that was last changed at revision adds to
// the digest of its namespace. The sum is the same in every process and version.
func RecordDigest(k Key, revision int64) (namespace string, sum uint64) {
	return k.namespace(), k.hash().At(revision)
}

// namespace returns the namespace a key names; claims, verdicts, agents and what a
// connection holds belong to none, whatever they speak of.
func (k Key) namespace() string {
	switch k.Kind {
	case KindNamespace, KindService, KindRegistration, KindOverride, KindTombstone, KindStandby:
		return k.Name[0]
	}
	return ""
}

func (k Key) hash() digest.Hash { return digest.Key(string(k.Kind), k.Name[:k.Kind.Parts()]...) }

// instance returns the instance that a key of four parts names. It is false for
// a key that no record can lie under: one that names no endpoint, spells it
// otherwise than [Endpoint.String] does, or is of no known kind.
func (k Key) instance() (InstanceKey, bool) {
	switch k.Kind.Parts() {
	case 0:
		return InstanceKey{}, false
	case 1, 2, 3:
		return InstanceKey{}, true
	}
	n := k.Name
	e, err := ParseEndpoint(n[3])
	if err != nil || e.String() != n[3] {
		return InstanceKey{}, false
	}
	return InstanceKey{ServiceKey{n[0], n[1], n[2]}, e}, true
}

// account moves the digest, and the list of what cannot be read, from what stood
// under the key of c to what does now.
func (b *builder) account(c Change, i InstanceKey) {
	was, is := b.standing(c.Key, i), int64(0)
	if c.Record != nil || c.Unreadable {
		is = c.Revision
	}
	b.unreadable = set(b.unreadable, b.e, c.Key, is, c.Unreadable)
	var sum uint64
	h := c.Key.hash()
	if was != 0 {
		sum -= h.At(was)
	}
	if is != 0 {
		sum += h.At(is)
	}
	b.digests = b.digests.Add(b.e, c.Key.namespace(), sum)
}

// standing returns the revision of what lies under k in this edit so far, 0 for
// nothing; i is the instance that k names, if it names one.
func (b *builder) standing(k Key, i InstanceKey) int64 {
	if revision, ok := b.unreadable.Get(k); ok {
		return revision
	}
	n := k.Name
	switch k.Kind {
	case KindNamespace:
		return revisionOf(b.namespaces, n[0])
	case KindClaim:
		return revisionOf(b.claims, n[0])
	case KindService:
		return b.serviceRevision(ServiceKey{n[0], n[1], n[2]})
	case KindRegistration:
		return b.current(i).revision
	case KindOverride:
		return revisionOf(b.overrides, i)
	case KindTombstone:
		return revisionOf(b.tombstones, i)
	case KindStandby:
		return revisionOf(b.standbys, i)
	case KindHolding:
		return revisionOf(b.holdings, i)
	case KindVerdict:
		return revisionOf(b.verdicts, VerdictKey{n[0], n[1]})
	case KindSettings:
		return revisionOf(b.settings, n[0])
	case KindAgent:
		return b.agentRevision(n[0])
	}
	return 0
}

func (b *builder) agentRevision(id string) int64 {
	if a := b.editedAgents[id]; a != nil {
		return a.is.Revision
	}
	if a := b.Agent(id); a != nil {
		return a.Revision
	}
	return 0
}

func (b *builder) serviceRevision(k ServiceKey) int64 {
	if d := b.drafts[k]; d != nil {
		return d.is.Revision
	}
	if s := b.Service(k); s != nil {
		return s.Revision
	}
	return 0
}

func revisionOf[K comparable, R any](m trie.Map[K, kept[R]], k K) int64 {
	r, _ := m.Get(k)
	return r.revision
}
