package zone

import (
	"net/netip"

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
		d.service(s, s)
	}
	for label := range labels {
		d.compare(d.was.overviewIn(label), d.is.overviewIn(label))
	}
	for a := range addrs {
		d.address(a)
	}
	return len(d.deleted)+len(d.added) <= d.most
}

func (d *difference) service(was, is *registry.Service) bool {
	if d.is.zone.reverse {
		return true
	}
	var before, after []dns.RR
	if was != nil {
		before = d.was.of(was)
	}
	if is != nil {
		after = d.is.of(is)
	}
	d.compare(before, after)
	return len(d.deleted)+len(d.added) <= d.most
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
