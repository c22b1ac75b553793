package zone

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

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

// pointer returns a PTR record.
func pointer(owner string, ttl uint32, to string) dns.RR {
	return &dns.PTR{Hdr: header(owner, dns.TypePTR, ttl), Ptr: to}
}

// qualified returns a name below a zone in full; empty is the zone itself.
func qualified(below, zone string) string {
	if below == "" {
		return zone
	}
	return below + "." + zone
}

// srv returns an SRV record for each server.
func srv(owner, zone string, ttl uint32, servers []answer.Server) []dns.RR {
	made := make([]dns.SRV, len(servers))
	records := make([]dns.RR, len(servers))
	for i, s := range servers {
		made[i] = dns.SRV{
			Hdr: header(owner, dns.TypeSRV, ttl), Priority: s.Priority, Weight: s.Weight, Port: s.Port, Target: target(s, zone),
		}
		records[i] = &made[i]
	}
	return records
}

// target returns the name at which a server is found.
func target(s answer.Server, zone string) string {
	if !s.Addr.IsValid() {
		return hostName(s.Host)
	}
	return addressName(s.Addr, zone)
}

// hostName returns a host name in full. One that is registered in two spellings
// is one name (RFC 4343).
func hostName(host string) string { return strings.ToLower(dns.Fqdn(host)) }

// addressName returns the name of an address in a zone.
func addressName(a netip.Addr, zone string) string {
	var spell [96]byte
	return string(append(append(answer.AppendAddress(spell[:0], a), '.'), zone...))
}

// glue returns the addresses of those targets of records that are names of
// ours, each once; records were made of servers, one of each.
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
		extra = append(extra, address(targetOf(records[i]), ttl, servers[i].Addr))
	}
	return extra
}

// targetOf returns the name that an SRV, SVCB or HTTPS record points to.
func targetOf(rr dns.RR) string {
	switch rr := rr.(type) {
	case *dns.SRV:
		return rr.Target
	case *dns.SVCB:
		return rr.Target
	case *dns.HTTPS:
		return rr.Target
	}
	return ""
}

// pack makes what the zone has in octets.
func (z *Zone) pack(minimum uint32) error {
	var msg [4 * 256]byte // of three names at the most
	end, err := dns.PackDomainName(z.Name, msg[:], 0, nil, false)
	if err != nil {
		return fmt.Errorf("zone %s: %w", z.Name, err)
	}
	z.wire = slices.Clone(msg[:end])
	const numbers = 5 * 4
	if end, err = dns.PackRR(z.soa(".", 0, minimum, 0), msg[:], 0, nil, false); err != nil {
		return fmt.Errorf("zone %s: %w", z.Name, err)
	}
	data := slices.Clone(msg[1+10 : end]) // behind an owner of the root and the fixed fields
	z.soaNames, z.soaTimes = data[:len(data)-numbers], data[len(data)-numbers+4:]
	return nil
}

// soa returns the zone's SOA record. Its owner is spelled as the question has it.
func (z *Zone) soa(owner string, ttl, minimum, serial uint32) *dns.SOA {
	return &dns.SOA{
		Hdr: header(owner, dns.TypeSOA, ttl), Ns: z.servers[0].Name, Mbox: z.mbox, Serial: serial,
		Refresh: 60, Retry: 10, Expire: 86400, Minttl: minimum,
	}
}

// ns returns the zone's NS records, and the addresses of the name servers.
func (z *Zone) ns(owner string, ttl uint32) (records, extra []dns.RR) {
	for _, server := range z.servers {
		records = append(records, &dns.NS{Hdr: header(owner, dns.TypeNS, ttl), Ns: server.Name})
		for _, a := range server.Addrs {
			extra = append(extra, address(server.Name, ttl, a))
		}
	}
	return records, extra
}
