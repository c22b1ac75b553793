package zone

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/answer"
	"github.com/musterhq/muster/registry"
)

// State is what the zones answer from.
type State struct {
	Snapshot *registry.Snapshot
	Epoch    uint32 // added to the snapshot's revision it makes the serial
	Stale    bool   // the snapshot may be out of date
}

// staleTTL bounds how long an answer is kept that may be out of date (RFC 8767, 5).
const staleTTL = 30

// bounded returns a time to live, shortened while the roll may be out of date.
func (s State) bounded(ttl uint32) uint32 {
	if s.Stale {
		return min(ttl, staleTTL)
	}
	return ttl
}

// Serial returns the SOA serial. It wraps around, as serials do (RFC 1982).
func (s State) Serial() uint32 { return uint32(s.Snapshot.Revision()) + s.Epoch }

// Question is what is asked.
type Question struct {
	Owner string // fully qualified, in a zone of ours, spelled as it is asked
	Type  uint16
	Room  int          // octets that the reply may have
	From  answer.Place // of who asks; zero: nobody knows
}

// Result is what is found.
type Result struct {
	Status answer.Status
	Reason answer.Reason
	Placed bool     // it depends on where the question came from
	Cut    bool     // there is more than fits into any message
	Answer []dns.RR // as Question.Owner spells its name
	Ns     []dns.RR // the SOA when nothing is found
	Extra  []dns.RR // addresses of what the answer points to
}

// lookup is one question on its way, at the name it has led to.
type lookup struct {
	*Finder
	State
	Question
	Result

	zone  *Zone  // that the name lies in
	owner string // the name
	ttl   uint32 // of names that are of no service
}

// Lookup answers a question in z. An alias that leads to a name of ours is
// followed, as the client may be a stub that does not; one that leads back ends
// the answer.
func (zs *Zones) Lookup(st State, z *Zone, q Question) Result {
	finder := zs.finders.Get().(*Finder)
	defer zs.finders.Put(finder)
	l := lookup{Finder: finder, State: st, Question: q}
	l.ttl = l.bounded(zs.cfg.TTL)
	l.follow(z)
	if l.Status != answer.Found {
		// Of the lesser of MINIMUM and the record's own (RFC 2308, 5).
		l.Ns = []dns.RR{l.soa(l.bounded(zs.cfg.NegativeTTL))}
	}
	return l.Result
}

func (l *lookup) follow(z *Zone) {
	alias := l.find(z, l.Owner)
	for range maxAliases {
		if alias == "" || l.Type == dns.TypeCNAME || slices.ContainsFunc(l.Answer, owns(dns.Fqdn(alias))) {
			return
		}
		if z = l.Match(strings.ToLower(dns.Fqdn(alias))); z == nil {
			return
		}
		alias = l.find(z, dns.Fqdn(alias))
	}
}

// maxAliases bounds how many aliases are followed: each could be a new one.
const maxAliases = 8

func owns(name string) func(dns.RR) bool {
	return func(rr dns.RR) bool { return strings.EqualFold(rr.Header().Name, name) }
}

// find takes in what there is at owner. It returns the name that stands for it,
// if there is one.
func (l *lookup) find(z *Zone, owner string) (alias string) {
	name := strings.ToLower(owner)
	l.zone, l.owner, l.Status, l.Reason = z, owner, answer.NoData, answer.Plain
	switch l.place(z, name) {
	case atApex:
		l.apex()
	case atHost:
		l.host(l.hosts.addrs[name])
	case inReverse:
		l.reverse(name)
		if l.Status == answer.NoName && l.hosts.above[name] {
			l.Status = answer.NoData
		}
	case inRoll:
		return l.service(name)
	}
	return ""
}

// apex answers for the zone itself.
func (l *lookup) apex() {
	switch l.Type {
	case dns.TypeSOA:
		l.add(l.soa(l.ttl))
	case dns.TypeNS:
		l.Status = answer.Found
		l.Answer, l.Extra = l.zone.ns(l.owner, l.ttl)
	case dns.TypeANY:
		l.any()
	case dns.TypePTR:
		if l.zone.reverse { // the zone may be of one address
			l.reverse(l.zone.Name)
		}
		if l.Status == answer.NoName {
			l.Status = answer.NoData // the zone itself is there
		}
	}
}

// host answers for a name server.
func (l *lookup) host(addrs []netip.Addr) {
	for _, a := range addrs {
		if l.Type == dns.TypeA && a.Is4() || l.Type == dns.TypeAAAA && a.Is6() {
			l.add(address(l.owner, l.ttl, a))
		}
	}
	if l.Type == dns.TypeANY && len(addrs) > 0 {
		l.any()
	}
}

// reverse answers for a name of a reverse zone. What leads to addresses exists: "no
// such name" would be an end to a resolver on its way down. Of IPv6 nobody counts
// where there are any, so there all of it does.
func (l *lookup) reverse(name string) {
	network, ok := ParseReverse(name)
	switch {
	case !ok:
		l.Status = answer.NoName
	case !network.IsSingleIP():
		if network.Addr().Is4() && !l.Snapshot.HasAddrIn(network) {
			l.Status = answer.NoName
		}
	case !l.Snapshot.HasAddr(network.Addr()):
		l.Status = answer.NoName
	case l.Type == dns.TypePTR:
		l.add(pointer(l.owner, l.ttl, addressName(network.Addr(), l.forward.Name)))
	case l.Type == dns.TypeANY:
		l.any()
	}
}

// service answers for a name of the roll.
func (l *lookup) service(name string) (alias string) {
	typ := TypeOf(l.Type)
	var a answer.Answer
	l.ask(&a, &l.State, l.zone, name, typ, l.Room, l.From)
	l.Status, l.Reason, l.Cut, l.Placed = a.Status, a.Reason, a.Cut, l.Placed || a.Placed
	if a.Status != answer.Found {
		return ""
	}
	ttl := l.bounded(l.TTL(a.Service))
	switch {
	case typ == answer.Any:
		l.any()
	case a.Alias != "":
		l.add(&dns.CNAME{Hdr: header(l.owner, dns.TypeCNAME, ttl), Target: hostName(a.Alias)})
	case typ == answer.SRV:
		l.Answer = srv(l.owner, l.zone.Name, ttl, a.Servers)
		if !a.Cut && least(l.Answer) < l.Room { // else there is no room for it
			l.Extra = glue(l.Answer, l.ttl, a.Servers)
		}
	case typ == answer.SVCB:
		l.Answer = svcb(l.owner, l.zone.Name, l.Type, ttl, a.Servers)
		l.Extra = glue(l.Answer, l.ttl, a.Servers)
	case typ == answer.TXT:
		l.Answer = texts(l.owner, ttl, a)
	case typ == answer.PTR:
		for _, name := range a.Names {
			if name = qualified(name, l.zone.Name); fits(name) {
				l.Answer = append(l.Answer, pointer(l.owner, ttl, name))
			}
		}
		if len(l.Answer) == 0 {
			l.Status = answer.NoData
		}
	default:
		l.Answer = addresses(l.Answer, l.owner, ttl, a.Addrs)
	}
	return a.Alias
}

// least returns how many octets SRV records take at least.
func least(records []dns.RR) (octets int) {
	for _, rr := range records {
		octets += leastServer + len(targetOf(rr))
	}
	return octets
}

// TypeOf returns what a type of records is to package answer.
func TypeOf(qtype uint16) answer.Type {
	switch qtype {
	case dns.TypeA:
		return answer.A
	case dns.TypeAAAA:
		return answer.AAAA
	case dns.TypeSRV:
		return answer.SRV
	case dns.TypeCNAME:
		return answer.CNAME
	case dns.TypeTXT:
		return answer.TXT
	case dns.TypePTR:
		return answer.PTR
	case dns.TypeSVCB, dns.TypeHTTPS:
		return answer.SVCB
	case dns.TypeANY:
		return answer.Any
	}
	return answer.Other
}

func (l *lookup) add(rr dns.RR) {
	l.Status = answer.Found
	l.Answer = append(l.Answer, rr)
}

// any answers ANY for a name that holds something, without telling all of it
// (RFC 8482, 4.2).
func (l *lookup) any() {
	l.add(&dns.HINFO{Hdr: header(l.owner, dns.TypeHINFO, l.ttl), Cpu: "RFC8482"})
}

// soa returns the SOA record of the zone, spelled as the question has it.
func (l *lookup) soa(ttl uint32) *dns.SOA {
	return l.zone.soa(l.owner[len(l.owner)-len(l.zone.Name):], ttl, l.cfg.NegativeTTL, l.Serial())
}
