package zone

import (
	"net"
	"strings"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/answer"
)

// svcb returns an SVCB or HTTPS record for each server (RFC 9460). All have one
// priority: clients pick any, and the servers were chosen for that.
func svcb(owner, zone string, qtype uint16, ttl uint32, servers []answer.Server) []dns.RR {
	records := make([]dns.RR, 0, len(servers))
	for _, s := range servers {
		rr := dns.SVCB{Hdr: header(owner, qtype, ttl), Priority: 1, Target: target(s, zone)}
		if protocols := alpn(s.ALPN); len(protocols) > 0 {
			rr.Value = append(rr.Value, &dns.SVCBAlpn{Alpn: protocols})
		}
		rr.Value = append(rr.Value, &dns.SVCBPort{Port: s.Port})
		switch {
		case s.Addr.Is4():
			rr.Value = append(rr.Value, &dns.SVCBIPv4Hint{Hint: []net.IP{s.Addr.AsSlice()}})
		case s.Addr.Is6():
			rr.Value = append(rr.Value, &dns.SVCBIPv6Hint{Hint: []net.IP{s.Addr.AsSlice()}})
		}
		if qtype == dns.TypeHTTPS {
			records = append(records, &dns.HTTPS{SVCB: rr})
		} else {
			records = append(records, &rr)
		}
	}
	return records
}

// alpn returns the protocols in a list with commas, without those that no record
// can hold.
func alpn(list string) (protocols []string) {
	for p := range strings.SplitSeq(list, ",") {
		if p = strings.TrimSpace(p); p != "" && len(p) <= maxString {
			protocols = append(protocols, p)
		}
	}
	return protocols
}
