package plugin

import (
	"net/netip"
	"slices"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/answer"
)

func header(owner string, rrtype uint16, ttl uint32) dns.RR_Header {
	return dns.RR_Header{Name: owner, Rrtype: rrtype, Class: dns.ClassINET, Ttl: ttl}
}

// addresses appends one A or AAAA record for each address. The records are
// made in one piece: this is what most queries ask for.
func addresses(dst []dns.RR, owner string, ttl uint32, addrs []netip.Addr) []dns.RR {
	if len(addrs) == 0 {
		return dst
	}
	dst = slices.Grow(dst, len(addrs))
	ips := make([]byte, 0, len(addrs)*len(netip.Addr{}.As16()))
	if addrs[0].Is6() {
		records := make([]dns.AAAA, len(addrs))
		for i, a := range addrs {
			b := a.As16()
			ips = append(ips, b[:]...)
			records[i] = dns.AAAA{Hdr: header(owner, dns.TypeAAAA, ttl), AAAA: ips[len(ips)-len(b) : len(ips) : len(ips)]}
			dst = append(dst, &records[i])
		}
		return dst
	}
	records := make([]dns.A, len(addrs))
	for i, a := range addrs {
		b := a.As4()
		ips = append(ips, b[:]...)
		records[i] = dns.A{Hdr: header(owner, dns.TypeA, ttl), A: ips[len(ips)-len(b) : len(ips) : len(ips)]}
		dst = append(dst, &records[i])
	}
	return dst
}

// address returns one A or AAAA record.
func address(owner string, ttl uint32, a netip.Addr) dns.RR {
	if a.Is6() {
		return &dns.AAAA{Hdr: header(owner, dns.TypeAAAA, ttl), AAAA: a.AsSlice()}
	}
	return &dns.A{Hdr: header(owner, dns.TypeA, ttl), A: a.AsSlice()}
}

// srv returns an SRV record for each server.
func srv(owner, zone string, ttl uint32, servers []answer.Server) []dns.RR {
	made := make([]dns.SRV, len(servers))
	records := make([]dns.RR, len(servers))
	var spell [96]byte
	for i, s := range servers {
		target := s.Host
		if s.Addr.IsValid() {
			target = string(append(append(answer.AppendAddress(spell[:0], s.Addr), '.'), zone...))
		}
		made[i] = dns.SRV{
			Hdr: header(owner, dns.TypeSRV, ttl), Weight: s.Weight, Port: s.Port, Target: dns.Fqdn(target),
		}
		records[i] = &made[i]
	}
	return records
}

// glue returns the addresses of those targets of records that are names of
// ours, each once; records are what srv made of servers.
func glue(records []dns.RR, ttl uint32, servers []answer.Server) []dns.RR {
	order := make([]int, 0, len(servers))
	for i, s := range servers {
		if s.Addr.IsValid() {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int { return servers[a].Addr.Compare(servers[b].Addr) })
	order = slices.CompactFunc(order, func(a, b int) bool { return servers[a].Addr == servers[b].Addr })
	extra := make([]dns.RR, 0, len(order)+1) // and an OPT
	for _, i := range order {
		extra = append(extra, address(records[i].(*dns.SRV).Target, ttl, servers[i].Addr))
	}
	return extra
}

// soa returns the zone's SOA record. Its owner is spelled as the question has it.
func (z *zone) soa(owner string, ttl, minimum, serial uint32) *dns.SOA {
	return &dns.SOA{
		Hdr: header(owner, dns.TypeSOA, ttl), Ns: z.servers[0].name, Mbox: z.mbox, Serial: serial,
		Refresh: 60, Retry: 10, Expire: 86400, Minttl: minimum,
	}
}

// ns returns the zone's NS records, and the addresses of the name servers.
func (z *zone) ns(owner string, ttl uint32) (records, extra []dns.RR) {
	for _, server := range z.servers {
		records = append(records, &dns.NS{Hdr: header(owner, dns.TypeNS, ttl), Ns: server.name})
		for _, a := range server.addrs {
			extra = append(extra, address(server.name, ttl, a))
		}
	}
	return records, extra
}
