package plugin

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/answer"
	"github.com/musterhq/muster/registry"
)

// query is one question in one of our zones, and what is found for it.
type query struct {
	*Muster
	qtype  uint16
	snap   *registry.Snapshot
	epoch  uint32 // what makes its revision a serial
	stale  bool
	ttl    uint32
	room   int    // octets that the reply may have, for SRV
	zone   *zone  // that the name looked up last lies in
	owner  string // that name, as asked
	status answer.Status
	reason answer.Reason
	cut    bool // there are more servers than fit into any message
	answer []dns.RR
	extra  []dns.RR
}

// leastServer is how many octets an SRV record takes at least: a pointer to the
// owner, the fixed fields, and a target of one letter.
const leastServer = 2 + 10 + 6 + 3

// query returns a question about one snapshot, and false when there is none yet.
func (m *Muster) query(qtype uint16) (query, bool) {
	q := query{Muster: m, qtype: qtype, ttl: m.ttl}
	// Epoch and snapshot change together, when etcd was restored: the snapshot
	// between two equal epochs is the one they belong to.
	for before := m.source.Epoch(); ; before = q.epoch {
		q.snap, q.epoch = m.source.Snapshot(), m.source.Epoch()
		if q.epoch == before {
			break
		}
	}
	if q.snap == nil {
		return q, false
	}
	if _, q.stale = m.source.Stale(); q.stale {
		q.ttl = min(q.ttl, staleTTL)
	}
	return q, true
}

// lookup answers for owner, which lies in z. An alias that leads to a name of
// ours is followed, as the client may be a stub that does not; one that leads
// back ends the answer.
func (q *query) lookup(z *zone, owner string) {
	alias := q.find(z, owner)
	for range maxAliases {
		if alias == "" || q.qtype == dns.TypeCNAME || slices.ContainsFunc(q.answer, owns(dns.Fqdn(alias))) {
			return
		}
		if z = q.zones.match(strings.ToLower(dns.Fqdn(alias))); z == nil {
			return
		}
		alias = q.find(z, dns.Fqdn(alias))
	}
}

// maxAliases bounds how many aliases are followed: each could be a new one.
const maxAliases = 8

func owns(name string) func(dns.RR) bool {
	return func(rr dns.RR) bool { return strings.EqualFold(rr.Header().Name, name) }
}

// find takes in what there is at owner. It returns the name that stands for it,
// if there is one.
func (q *query) find(z *zone, owner string) (alias string) {
	name := strings.ToLower(owner)
	q.zone, q.owner, q.status = z, owner, answer.NoData
	if name == z.name {
		q.apex()
		return ""
	}
	if addrs, ok := q.hosts.addrs[name]; ok {
		q.host(addrs)
		return ""
	}
	if z.reverse {
		q.reverse(name)
	} else {
		alias = q.service(owner[:len(owner)-len(z.name)-1])
	}
	if q.status == answer.NoName && q.hosts.above[name] {
		q.status = answer.NoData
	}
	return alias
}

// apex answers for the zone itself.
func (q *query) apex() {
	switch q.qtype {
	case dns.TypeSOA:
		q.add(q.soa(q.ttl))
	case dns.TypeNS:
		q.status = answer.Found
		q.answer, q.extra = q.zone.ns(q.owner, q.ttl)
	case dns.TypeANY:
		q.any()
	}
}

// host answers for a name server.
func (q *query) host(addrs []netip.Addr) {
	for _, a := range addrs {
		if q.qtype == dns.TypeA && a.Is4() || q.qtype == dns.TypeAAAA && a.Is6() {
			q.add(address(q.owner, q.ttl, a))
		}
	}
	if q.qtype == dns.TypeANY && len(addrs) > 0 {
		q.any()
	}
}

// reverse answers for a name of a reverse zone. What only leads to addresses
// exists, whether or not one of them is registered: "no such name" would be an
// end to a resolver on its way down.
func (q *query) reverse(name string) {
	addr, ok := parseReverse(name)
	switch {
	case ok && !addr.IsValid():
	case !ok || !q.snap.HasAddr(addr):
		q.status = answer.NoName
	case q.qtype == dns.TypePTR:
		target := append(answer.AppendAddress(nil, addr), '.')
		q.add(&dns.PTR{Hdr: header(q.owner, dns.TypePTR, q.ttl), Ptr: string(append(target, q.zones.forward.name...))})
	case q.qtype == dns.TypeANY:
		q.any()
	}
}

// service answers for a name below the zone from the roll.
func (q *query) service(below string) (alias string) {
	ask := answer.Question{Name: below, Type: answerType(q.qtype), Raw: q.raw, Max: q.answers}
	if ask.Type == answer.SRV {
		ask.Max = q.room / leastServer
	}
	a := q.resolver.Resolve(q.snap, ask, answer.Random)
	q.status, q.reason, q.cut = a.Status, a.Reason, a.Cut
	switch {
	case a.Status != answer.Found:
	case ask.Type == answer.Any:
		q.any()
	case a.Alias != "":
		q.add(&dns.CNAME{Hdr: header(q.owner, dns.TypeCNAME, q.ttl), Target: dns.Fqdn(a.Alias)})
	case ask.Type == answer.SRV:
		q.answer = srv(q.owner, q.zone.name, q.ttl, a.Servers)
		if !a.Cut { // else there is no room for it
			q.extra = glue(q.answer, q.ttl, a.Servers)
		}
	default:
		q.answer = addresses(q.answer, q.owner, q.ttl, a.Addrs)
	}
	return a.Alias
}

func answerType(qtype uint16) answer.Type {
	switch qtype {
	case dns.TypeA:
		return answer.A
	case dns.TypeAAAA:
		return answer.AAAA
	case dns.TypeSRV:
		return answer.SRV
	case dns.TypeCNAME:
		return answer.CNAME
	case dns.TypeANY:
		return answer.Any
	}
	return answer.Other
}

func (q *query) add(rr dns.RR) {
	q.status = answer.Found
	q.answer = append(q.answer, rr)
}

// any answers ANY for a name that holds something, without telling all of it
// (RFC 8482, 4.2).
func (q *query) any() {
	q.add(&dns.HINFO{Hdr: header(q.owner, dns.TypeHINFO, q.ttl), Cpu: "RFC8482"})
}

// soa returns the SOA record of the zone, spelled as the question has it.
func (q *query) soa(ttl uint32) *dns.SOA {
	owner := q.owner[len(q.owner)-len(q.zone.name):]
	serial := uint32(q.snap.Revision()) + q.epoch // wraps around, as serials do (RFC 1982)
	return q.zone.soa(owner, ttl, q.negativeTTL, serial)
}

// reply returns the message that says what was found.
func (q *query) reply(r *dns.Msg) *dns.Msg {
	m := new(dns.Msg).SetReply(r)
	m.Authoritative = true
	m.Answer, m.Extra, m.Truncated = q.answer, q.extra, q.cut
	if q.status == answer.NoName {
		m.Rcode = dns.RcodeNameError
	}
	if q.status != answer.Found {
		ttl := q.negativeTTL // the lesser of MINIMUM and the record's own (RFC 2308, 5)
		if q.stale {
			ttl = min(ttl, staleTTL)
		}
		m.Ns = []dns.RR{q.soa(ttl)}
	}
	return m
}

// errors returns what RFC 8914 has a code for.
func (q *query) errors() (errors []*dns.EDNS0_EDE) {
	if q.stale {
		errors = append(errors, extended(dns.ExtendedErrorCodeStaleAnswer, ""))
	}
	switch q.reason {
	case answer.NoneHealthy:
		errors = append(errors, extended(dns.ExtendedErrorCodeOther, "no healthy instance"))
	case answer.Protected:
		errors = append(errors, extended(dns.ExtendedErrorCodeOther, "protected"))
	}
	return errors
}
