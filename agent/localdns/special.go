package localdns

import (
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// specialTTL is the lifetime of what never changes, in seconds.
const specialTTL = 86400

// Reverse names of the loopback addresses.
const (
	loopback4 = "1.0.0.127.in-addr.arpa."
	loopback6 = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa."
)

// special are the zones that no name server is asked about: localhost and its
// reverse names, invalid (RFC 6761), onion (RFC 7686) and resolver.arpa (RFC 9462).
// Others with a meaning of their own, such as test, local and home.arpa, are in use
// where a host's upstreams know them, and go there.
var special = []string{"localhost.", "127.in-addr.arpa.", loopback6, "invalid.", "onion.", "resolver.arpa."}

// specialReply returns the answer to a name in lower case that is answered here, nil
// for all others.
func specialReply(r *dns.Msg, name string) *dns.Msg {
	zone := ""
	for _, z := range special {
		if name == z || strings.HasSuffix(name, "."+z) {
			zone = z
		}
	}
	if zone == "" {
		return nil
	}
	m := new(dns.Msg)
	m.SetReply(r)
	m.RecursionAvailable = true
	q := r.Question[0]
	hdr := dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: dns.ClassINET, Ttl: specialTTL}
	exists := true
	switch {
	case zone == "localhost." && q.Qtype == dns.TypeA:
		m.Answer = []dns.RR{&dns.A{Hdr: hdr, A: netip.AddrFrom4([4]byte{127, 0, 0, 1}).AsSlice()}}
	case zone == "localhost." && q.Qtype == dns.TypeAAAA:
		m.Answer = []dns.RR{&dns.AAAA{Hdr: hdr, AAAA: netip.IPv6Loopback().AsSlice()}}
	case name == loopback4 || name == loopback6:
		if q.Qtype == dns.TypePTR {
			m.Answer = []dns.RR{&dns.PTR{Hdr: hdr, Ptr: "localhost."}}
		}
	default:
		exists = zone == "localhost." || name == "resolver.arpa." || strings.HasSuffix(loopback4, "."+name)
	}
	if len(m.Answer) > 0 {
		return m
	}
	if !exists {
		m.Rcode = dns.RcodeNameError
	}
	m.Ns = []dns.RR{&dns.SOA{
		Hdr: dns.RR_Header{Name: zone, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: specialTTL},
		Ns:  "localhost.", Mbox: "nobody.invalid.", Serial: 1, Refresh: specialTTL, Retry: specialTTL, Expire: specialTTL, Minttl: specialTTL,
	}}
	return m
}
