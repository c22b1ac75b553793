package zone

import (
	"iter"
	"net/netip"
	"slices"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/answer"
	"github.com/musterhq/muster/registry"
)

// batch is about how many records of a whole zone come at once.
const batch = 256

// Whole yields all records of a zone in one state: the SOA first, and again as the
// last one, as a transfer has it (RFC 5936, 2.2). It is made on the way, service
// by service, so that a large zone takes no memory. Nothing of it is drawn or
// left to chance, and a stale state is told with the times to live of a fresh one,
// so that it is the same wherever the same revision is known.
func (zs *Zones) Whole(st State, z *Zone) iter.Seq[[]dns.RR] {
	return func(yield func([]dns.RR) bool) {
		c := content{zs, z, st.Snapshot}
		soa := zs.SOA(st, z)
		records := append([]dns.RR{soa}, c.apex()...)
		for part := range c.parts() {
			if records = append(records, part...); len(records) >= batch {
				if !yield(records) {
					return
				}
				records = make([]dns.RR, 0, batch)
			}
		}
		yield(append(records, soa))
	}
}

// SOA returns the SOA record of a zone in a state.
func (zs *Zones) SOA(st State, z *Zone) dns.RR {
	return z.soa(z.Name, zs.cfg.TTL, zs.cfg.NegativeTTL, st.Serial())
}

// content is what a zone holds of a snapshot.
type content struct {
	*Zones

	zone *Zone
	snap *registry.Snapshot
}

// parts yields the records that depend on the snapshot, by what they follow from.
func (c content) parts() iter.Seq[[]dns.RR] {
	return func(yield func([]dns.RR) bool) {
		for a := range c.snap.Addrs() {
			if !yield(c.at(a)) {
				return
			}
		}
		if c.zone.reverse {
			return
		}
		for label := range c.snap.Browsable() {
			if !yield(c.overview(label)) {
				return
			}
		}
		for s := range c.snap.Each() {
			if !yield(c.of(s)) {
				return
			}
		}
	}
}

// apex returns what no snapshot changes: name servers, those of zones of ours
// that begin below this one too, and their addresses.
func (c content) apex() []dns.RR {
	records, _ := c.zone.ns(c.zone.Name, c.cfg.TTL)
	cuts := []*Zone{c.zone}
	for _, below := range c.all {
		if c.outer(below) == c.zone {
			cut, _ := below.ns(below.Name, c.cfg.TTL)
			records, cuts = append(records, cut...), append(cuts, below)
		}
	}
	told := map[string]bool{}
	for _, of := range c.all {
		for _, server := range of.servers {
			if told[server.Name] || !slices.Contains(cuts, c.Match(server.Name)) {
				continue
			}
			told[server.Name] = true
			for _, a := range server.Addrs {
				records = append(records, address(server.Name, c.cfg.TTL, a))
			}
		}
	}
	return records
}

// holds reports whether a name that names in the roll lead to is the zone's: not
// one of another zone below it, nor a name server's, nor too long for a name.
func (c content) holds(name string) bool {
	_, server := c.hosts.addrs[name]
	return !server && fits(name) && c.Match(name) == c.zone
}

// fits reports whether a name can be one (RFC 1035, 2.3.4).
func fits(name string) bool {
	_, ok := dns.IsDomainName(name)
	return ok
}

// at returns the record that follows from an address being registered.
func (c content) at(a netip.Addr) []dns.RR {
	owner := addressName(a, c.zone.Name)
	if c.zone.reverse {
		owner = reverseName(a)
	}
	switch {
	case !c.holds(owner):
		return nil
	case c.zone.reverse:
		return []dns.RR{pointer(owner, c.cfg.TTL, addressName(a, c.forward.Name))}
	}
	return []dns.RR{address(owner, c.cfg.TTL, a)}
}

// of returns the records that follow from a service.
func (c content) of(s *registry.Service) (records []dns.RR) {
	ttl := c.TTL(s)
	for held := range answer.Whole(c.snap, s, nil) {
		records = c.held(records, ttl, c.fit(held))
	}
	return append(records, c.entries(s)...)
}

// entries returns the entries of a service in lists to browse, but of lists that
// are too long those of some services alone.
func (c content) entries(s *registry.Service) (records []dns.RR) {
	label, _ := answer.Browsing(s)
	for e := range answer.Entries(c.snap, s) {
		if part := c.part(label, e.Type); part == 0 || s.Key.Hash()>>(64-part) == 0 {
			records = c.entry(records, e.List, e.Name)
		}
	}
	return records
}

// part returns of how many bits the hash of a service must be zero for it to be in
// the list of those in a namespace that speak t: each one halves the list.
func (c content) part(label string, t registry.AppType) (bits int) {
	const most = fullMessage / (sizeEntry + maxLabel + 1 + 2) // what follows the label is compressed
	_, n := c.snap.Speaking(label, t)
	for n > most {
		n >>= 1
		bits++
	}
	return bits
}

// held appends what one name holds, if it is the zone's.
func (c content) held(records []dns.RR, ttl uint32, held answer.Held) []dns.RR {
	owner := qualified(held.Name, c.zone.Name)
	if !c.holds(owner) {
		return records
	}
	if held.Alias != "" {
		return append(records, &dns.CNAME{Hdr: header(owner, dns.TypeCNAME, ttl), Target: hostName(held.Alias)})
	}
	for _, a := range held.Addrs {
		records = append(records, address(owner, ttl, a))
	}
	records = append(records, once(srv(owner, c.zone.Name, ttl, held.Servers), held.Servers)...)
	if len(held.Secure) > 0 {
		for _, qtype := range []uint16{dns.TypeSVCB, dns.TypeHTTPS} {
			records = append(records, once(svcb(owner, c.zone.Name, qtype, ttl, held.Secure), held.Secure)...)
		}
	}
	if held.Metadata != nil {
		records = append(records, texts(owner, ttl, answer.Answer{Metadata: held.Metadata, Listed: held.Listed})...)
	}
	return records
}

// once drops records that say what another one says: a host name may be
// registered in two spellings.
func once(records []dns.RR, servers []answer.Server) []dns.RR {
	if !slices.ContainsFunc(servers, byName) {
		return records
	}
	seen := make(map[string]bool, len(records))
	return slices.DeleteFunc(records, func(rr dns.RR) bool {
		k := canonical(rr)
		was := seen[k]
		seen[k] = true
		return was
	})
}

// byName reports whether a server is found by a host name.
func byName(s answer.Server) bool { return s.Host != "" }

// overview returns the records by which a namespace is known to be browsed.
func (c content) overview(label string) (records []dns.RR) {
	for list, name := range answer.Overview(c.snap, label) {
		records = c.entry(records, list, name)
	}
	return records
}

// entry appends an entry of a list to browse.
func (c content) entry(records []dns.RR, list, name string) []dns.RR {
	owner, target := qualified(list, c.zone.Name), qualified(name, c.zone.Name)
	if !c.holds(owner) || !fits(target) {
		return records
	}
	return append(records, pointer(owner, c.cfg.TTL, target))
}
