// Package answer decides what a DNS question is answered: a pure function of a
// snapshot, the name asked for and a random source.
//
// It speaks of names below a zone and of instances; records, messages and time
// to live are the business of whoever asks. Nothing is remembered between two
// questions but what follows from a service alone.
package answer

import (
	"math/rand/v2"
	"net/netip"

	"github.com/musterhq/muster/registry"
)

// Type is the kind of records asked for.
type Type uint8

// The types of which there is something to answer.
const (
	Other Type = iota // any type that no name of ours holds
	A
	AAAA
	SRV
	CNAME
	TXT
	PTR
	SVCB // and HTTPS, which says the same
	Any  // whatever there is: Found says that there is something
)

// Question is what is asked of a snapshot.
type Question struct {
	Name string // below the zone, without a dot at the end, escaped as in zone files; empty for the apex
	Type Type
	Raw  bool   // fold a name that is spelled with the bytes of its identity (dns.md, F7)
	Max  int    // how many addresses, servers or names at most; 0: all
	Mode string // how addresses are chosen, as registry.ModeOrdered; empty is that one
	From Place  // where the one who asks is; zero: nobody knows
}

// Place is where somebody is, as far as that is known.
type Place struct {
	Zone, Region string
	// Network is whose labels say what else is known; invalid: nobody's.
	Network netip.Prefix
}

// labelled says where the place is by its labels, unless that is known otherwise:
// they have the names of the metadata that says where an instance is.
func (p Place) labelled(snap *registry.Snapshot) Place {
	if p.Zone == "" && p.Region == "" {
		labels, _ := snap.LabelsOf(p.Network)
		p.Zone, p.Region = labels[registry.MetaZone], labels[registry.MetaRegion]
	}
	p.Network = netip.Prefix{}
	return p
}

// Status is the outcome as DNS has it.
type Status uint8

// The outcomes.
const (
	Found  Status = iota
	NoData        // the name exists, nothing of this type is there
	NoName        // the name does not exist, and none below it
)

// Reason explains an outcome that the health of a service brought about.
type Reason uint8

// The reasons.
const (
	Plain       Reason = iota
	NoneHealthy        // instances may be answered, but none of them is healthy
	Protected          // the protect threshold holds: unhealthy ones are among those answered
)

// Answer is what to answer.
type Answer struct {
	Status   Status
	Reason   Reason
	Service  *registry.Service   // that the name is of, nil when it is of none
	Usual    bool                // Service says nothing itself of how it is answered, nor to whom
	Placed   bool                // the answer depends on where the question came from
	Addrs    []netip.Addr        // to A and AAAA: each once, the first is the one to use
	Alias    string              // to A, AAAA and CNAME: the host name that stands for a service without addresses
	Servers  []Server            // to SRV and SVCB
	Shared   bool                // some of Servers may have one address
	Metadata []map[string]string // to TXT: of the service, or of the instances at an address
	Listed   bool                // to TXT: in one record, which is there also when it says nothing (RFC 6763, 6.1)
	Names    []string            // to PTR: names below the zone, escaped, without a dot at the end; empty is the zone
	Cut      bool                // Servers or Names are not all there are, but a fair choice of Max
}

// Server is one instance in answer to SRV or SVCB.
type Server struct {
	Addr     netip.Addr // invalid when Host says where it is
	Host     string     // host name as registered, empty when there is an Addr
	Port     uint16
	Weight   uint16
	Priority uint16 // 0, or 0 to 2 by nearness where a service wants that
	ALPN     string // to SVCB: as registered
}

// MetaALPN is the metadata key by which an instance says which protocols it speaks
// over TLS, separated by commas, the best one first (RFC 9460, 7.1).
const MetaALPN = "alpn"

// Random is the random source for answers that nobody can foresee. It is safe
// for concurrent use and shares no lock.
var Random = rand.New(shared{})

// shared draws from the generator that the runtime keeps for each thread.
type shared struct{}

func (shared) Uint64() uint64 { return rand.Uint64() }

// Resolver answers questions, one at a time. It is the room in which an answer is
// made: what is in one is good until the next, and once there was one as large nothing
// is allocated. The zero Resolver is ready.
type Resolver struct {
	labels       [maxLabels]string
	name, scoped [2 * maxName]byte // texts of names
	whole        set               // of small services, as far as these are not kept
	near         [tiersInAll]set
	shares       []share
	addresses    []netip.Addr
	served       []Server
	found        []*registry.Instance // at an address
}

// Bounds of a name (RFC 1035, 2.3.4).
const (
	maxName   = 255
	maxLabels = maxName / 2
)

// Resolve returns what snap has to say to q, with chances drawn from rnd. The text of
// the name may be changed afterwards.
func (r *Resolver) Resolve(snap *registry.Snapshot, q Question, rnd *rand.Rand) (a Answer) {
	r.ResolveTo(&a, snap, &q, rnd)
	return a
}

// ResolveTo is Resolve into an Answer that is zero.
func (r *Resolver) ResolveTo(a *Answer, snap *registry.Snapshot, q *Question, rnd *rand.Rand) {
	var t target
	r.find(&t, snap, q.Name, q.Raw)
	r.resolve(a, snap, &t, q, rnd)
}

func (r *Resolver) resolve(a *Answer, snap *registry.Snapshot, t *target, q *Question, rnd *rand.Rand) {
	switch t.kind {
	case service:
		r.service(a, snap, t, q, rnd)
		if a.Status == NoName { // of no instance in that scope, but of another service there
			*a = Answer{Status: absent(snap, registry.Lower(q.Name)).status()}
		}
	case instance:
		r.ofInstances(a, t, q, rnd)
	case addressed:
		r.ofAddress(a, t.addr, q.Type)
	case browsed:
		*a = browse(snap, t, q, rnd)
	default:
		a.Status = t.kind.status()
	}
}

// service answers for the instances of a service that its filter admits.
func (r *Resolver) service(a *Answer, snap *registry.Snapshot, t *target, q *Question, rnd *rand.Rand) {
	s := t.service
	scoped := t.filter != registry.Filter{}
	whole := r.wholeSet(t, scoped, q.From)
	a.Service = s
	switch {
	case whole.named == 0 && scoped:
		a.Status = NoName
		return
	case t.selected && q.Type != SRV && q.Type != TXT && q.Type != Any || q.Type == Other || q.Type == PTR:
		a.Status = NoData
		return
	case q.Type == TXT:
		a.text(t, len(whole.members) == 0)
		return
	}
	mode := q.Mode
	if a.Usual = whole.usual; !a.Usual {
		if mode == "" || s.DNS.Mode != "" {
			mode = s.DNS.Mode
		}
		a.Placed = s.DNS.Topology != "" || s.Selector != registry.Selector{}
	}
	var near [tiersInAll]tier
	tiers := r.tiers(near[:0], snap, t, whole, &q.From)
	if len(tiers) == 0 {
		if q.Type != Any { // for that there is TXT
			a.Status = NoData
		}
		if whole.all > 0 && len(whole.members) == 0 { // else they are elsewhere
			a.Reason = NoneHealthy
		}
		return
	}
	if r.of(a, tiers, draws{q.Type, q.Max, mode, rnd}); a.Status == Found && whole.protected {
		a.Reason = Protected
	}
}

// wholeSet returns the set of all instances that the filter of t admits and that suit
// who asks.
func (r *Resolver) wholeSet(t *target, scoped bool, from Place) *set {
	if t.filter.Wants = t.service.WantsOf(from.Network); !scoped && t.filter.Wants == "" {
		return &registry.Memo(t.service, keep).whole
	}
	return setOf(t.service, part{Filter: t.filter}, &r.whole)
}

// draws says what is drawn for an answer, and how.
type draws struct {
	typ    Type
	max    int // 0: all
	mode   string
	random *rand.Rand
}

// of answers from sets of which the nearest one comes first.
func (r *Resolver) of(a *Answer, tiers []tier, d draws) {
	switch d.typ {
	case Any:
		return
	case SRV:
		a.Servers, a.Cut = r.servers(tiers, d)
		a.Shared = len(tiers) > 1 || tiers[0].shared
	case SVCB:
		a.Servers = r.endpoints(tiers, d)
		a.Shared = len(a.Servers) > 1
	case A:
		a.Addrs = r.addrs(tiers, v4, d)
	case AAAA:
		a.Addrs = r.addrs(tiers, v6, d)
	}
	if len(a.Addrs) == 0 && len(a.Servers) == 0 && d.typ != SRV && d.typ != SVCB {
		a.Alias = r.alias(tiers, d)
	}
	if len(a.Addrs) == 0 && len(a.Servers) == 0 && a.Alias == "" {
		a.Status = NoData
	}
}

// text answers with metadata. Without any there is no record, but in a list and
// at a name that holds nothing else: there an empty one shows that it exists, to
// those too who have the zone and cannot ask us (decision 0010).
func (a *Answer) text(t *target, empty bool) {
	metadata := t.service.Metadata
	if t.selected && !t.listed {
		metadata = nil
	}
	if a.Listed = t.listed || empty && silent(metadata); !a.Listed && silent(metadata) {
		a.Status = NoData
		return
	}
	a.Metadata = append(a.Metadata, metadata)
}

// silent reports whether metadata says nothing: a pair needs a key (RFC 1464).
func silent(metadata map[string]string) bool {
	_, nameless := metadata[""]
	return len(metadata) == 0 || nameless && len(metadata) == 1
}

// ofAddress answers a name that spells an address.
func (r *Resolver) ofAddress(a *Answer, addr netip.Addr, t Type) {
	if t == Any || t == A && addr.Is4() || t == AAAA && addr.Is6() {
		r.addresses = append(r.addresses[:0], addr)
		a.Addrs = r.addresses
		return
	}
	a.Status = NoData
}

// ofInstances answers for what a service has at one address, whatever its health:
// who asks for it by name wants to know where it is.
func (r *Resolver) ofInstances(a *Answer, t *target, q *Question, rnd *rand.Rand) {
	a.Service = t.service
	switch q.Type {
	case A, AAAA, Any:
		r.ofAddress(a, t.addr, q.Type)
		return
	case SRV, SVCB:
		r.whole.take(t.instances, t.selection())
		r.of(a, []tier{{set: &r.whole, all: t.instances}}, draws{q.Type, q.Max, q.Mode, rnd})
		return
	case TXT:
		for _, i := range t.instances {
			if says := i.Metadata.Map(); !silent(says) {
				a.Metadata = append(a.Metadata, says)
			}
		}
	}
	if len(a.Metadata) == 0 {
		a.Status = NoData
	}
}
