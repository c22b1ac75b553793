package zone

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/answer"
	"github.com/musterhq/muster/registry"
)

// canonical returns what makes two records the same, and their time to live: the
// wire form without compression (RFC 4034, 6.2), as our names are in lower case.
func canonical(rr dns.RR) string {
	wire := make([]byte, dns.Len(rr))
	n, err := dns.PackRR(rr, wire, 0, nil, false)
	if err != nil {
		return rr.String() // it cannot be sent either, and whoever sends it says so
	}
	return string(wire[:n])
}

// difference is what one state of a zone has more or less than another one.
type difference struct {
	was, is content
	most    int // records, then it is not worth it

	deleted, added []dns.RR
}

// Difference returns the records that a zone has in one state and not in the
// other, its SOA aside: those to delete, and those to add. A record with another
// time to live is another one. The cost follows the number of changes; the answer
// is false when there are more than most records.
func (zs *Zones) Difference(was, is State, z *Zone, most int) (deleted, added []dns.RR, ok bool) {
	d := difference{was: content{zs, z, was.Snapshot}, is: content{zs, z, is.Snapshot}, most: most}
	if !d.services() {
		return nil, nil, false
	}
	return d.deleted, d.added, true
}

// services compares all that follows from services that changed: their names,
// and what they share with others, each of that once.
func (d *difference) services() bool {
	labels, addrs, renamed := map[string]bool{}, map[netip.Addr]bool{}, map[*registry.Service]bool{}
	for was, is := range registry.Diff(d.was.snap, d.is.snap) {
		for _, s := range []*registry.Service{was, is} {
			if s == nil {
				continue
			}
			if label, ok := answer.Browsing(s); ok {
				labels[label] = true
			}
			d.heir(s, renamed)
		}
		for old, now := range registry.DiffInstances(was, is) {
			if old == nil || now == nil {
				addrs[addrOf(old, now)] = true
			}
		}
		if !d.service(was, is) {
			return false
		}
	}
	for s := range renamed {
		d.names(s)
	}
	for label := range labels {
		d.compare(d.was.overviewIn(label), d.is.overviewIn(label))
		d.lists(label)
	}
	for a := range addrs {
		d.address(a)
	}
	return len(d.deleted)+len(d.added) <= d.most
}

// service compares what follows from a service; nil means absent. Names of its
// instances are left aside where nothing changed, so that one of many costs little.
func (d *difference) service(was, is *registry.Service) bool {
	if d.is.zone.reverse {
		return true
	}
	var at map[netip.Addr]bool
	var sameTTL bool
	if was != nil && is != nil {
		if sameTTL = d.is.TTL(was) == d.is.TTL(is); sameTTL && was.DNSName() == is.DNSName() && d.was.exact(was) == d.is.exact(is) {
			at = map[netip.Addr]bool{}
			for old, now := range registry.DiffInstances(was, is) {
				at[addrOf(old, now)] = true
			}
		}
	}
	var gone, come []dns.RR
	before := map[string]answer.Held{}
	if was != nil {
		for h := range answer.Whole(d.was.snap, was, at) {
			before[h.Name] = d.was.fit(h)
		}
		gone = d.was.entries(was)
	}
	if is != nil {
		for h := range answer.Whole(d.is.snap, is, at) {
			h = d.is.fit(h)
			old, there := before[h.Name]
			if delete(before, h.Name); there {
				if sameTTL {
					old, h = apart(old, h)
				}
				gone = d.was.held(gone, d.is.TTL(was), old)
			}
			come = d.is.held(come, d.is.TTL(is), h)
		}
		come = append(come, d.is.entries(is)...)
	}
	for _, h := range before {
		gone = d.was.held(gone, d.is.TTL(was), h)
	}
	d.compare(gone, come)
	return len(d.deleted)+len(d.added) <= d.most
}

// exact reports whether a service has its exact name.
func (c content) exact(s *registry.Service) bool { return c.snap.ByName(s.Key.Exact()) == s }

// apart returns two states of one name without what they share; they may still
// share some of it.
func apart(was, is answer.Held) (answer.Held, answer.Held) {
	if was.Alias == is.Alias {
		was.Alias, is.Alias = "", ""
	}
	if was.Listed == is.Listed && slices.EqualFunc(was.Metadata, is.Metadata, maps.Equal) {
		was.Metadata, is.Metadata = nil, nil
	}
	was.Addrs, is.Addrs = unshared(was.Addrs, is.Addrs)
	// Two spellings of a host make one record, which is there as long as one of them is.
	if !slices.ContainsFunc(was.Servers, byName) && !slices.ContainsFunc(is.Servers, byName) {
		was.Servers, is.Servers = unshared(was.Servers, is.Servers)
		was.Secure, is.Secure = unshared(was.Secure, is.Secure)
	}
	return was, is
}

// unshared returns two lists without what stands in both. Most of that stands at
// the same place from the beginning or from the end.
func unshared[T comparable](was, is []T) (gone, come []T) {
	for len(was) > 0 && len(is) > 0 && was[0] == is[0] {
		was, is = was[1:], is[1:]
	}
	for len(was) > 0 && len(is) > 0 && was[len(was)-1] == is[len(is)-1] {
		was, is = was[:len(was)-1], is[:len(is)-1]
	}
	if len(was) == 0 || len(is) == 0 {
		return was, is
	}
	return without(was, is), without(is, was)
}

// without returns what of list is not among others.
func without[T comparable](list, others []T) (rest []T) {
	set := make(map[T]bool, len(others))
	for _, v := range others {
		set[v] = true
	}
	for _, v := range list {
		if !set[v] {
			rest = append(rest, v)
		}
	}
	return rest
}

// names compares the names of a service that did not change itself.
func (d *difference) names(s *registry.Service) {
	if !d.is.zone.reverse {
		d.compare(d.was.of(s), d.is.of(s))
	}
}

// lists compares the entries of services that did not change in lists of which
// another part is told than before.
func (d *difference) lists(label string) {
	if d.is.zone.reverse {
		return
	}
	moved := map[*registry.Service]bool{}
	for _, t := range d.was.snap.Types(label) {
		if d.was.part(label, t) == d.is.part(label, t) {
			continue
		}
		services, _ := d.was.snap.Speaking(label, t)
		for k := range services {
			if s := d.was.snap.Service(k); d.is.snap.Service(k) == s {
				moved[s] = true
			}
		}
	}
	for s := range moved {
		d.compare(d.was.entries(s), d.is.entries(s))
	}
}

// heir notes the service that did not change itself, but got the exact name of s,
// or lost its own to it.
func (d *difference) heir(s *registry.Service, renamed map[*registry.Service]bool) {
	was, is := d.was.snap.ByName(s.Key.Exact()), d.is.snap.ByName(s.Key.Exact())
	for _, other := range []*registry.Service{was, is} {
		if other != nil && d.was.snap.Service(other.Key) == d.is.snap.Service(other.Key) && was != is {
			renamed[other] = true
		}
	}
}

func (c content) overviewIn(label string) []dns.RR {
	if c.zone.reverse {
		return nil
	}
	return c.overview(label)
}

// address compares what follows from an address being registered, or not.
func (d *difference) address(a netip.Addr) {
	if !a.IsValid() {
		return
	}
	was, is := d.was.snap.HasAddr(a), d.is.snap.HasAddr(a)
	switch {
	case was && !is:
		d.deleted = append(d.deleted, d.was.at(a)...)
	case is && !was:
		d.added = append(d.added, d.is.at(a)...)
	}
}

// addrOf returns the address of whichever instance there is.
func addrOf(was, is *registry.Instance) netip.Addr {
	if was != nil {
		return was.Addr
	}
	return is.Addr
}

// compare takes in what two sets of records do not share.
func (d *difference) compare(was, is []dns.RR) {
	before := make(map[string]dns.RR, len(was))
	for _, rr := range was {
		before[canonical(rr)] = rr
	}
	for _, rr := range is {
		k := canonical(rr)
		if _, both := before[k]; both {
			delete(before, k)
			continue
		}
		d.added = append(d.added, rr)
	}
	for _, rr := range was { // in their order
		if _, gone := before[canonical(rr)]; gone {
			d.deleted = append(d.deleted, rr)
		}
	}
}
