package plugin

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// zone is one zone the plugin is authoritative for.
type zone struct {
	name    string // lower case, with the dot at the end
	mbox    string // of the SOA
	servers []nameserver
	reverse bool
}

// nameserver is one name server of a zone and its addresses.
type nameserver struct {
	name  string // lower case, with the dot at the end
	addrs []netip.Addr
}

// zones are all of ours.
type zones struct {
	all     []*zone // longest name first
	forward *zone   // the first that holds services: reverse zones point into it
}

// newZones makes the zones of these names, with the given name servers or, when
// there are none, ns1 of each zone at the loopback address. A reverse zone has
// those of the first other one.
func newZones(names []string, servers []nameserver) (zones, error) {
	var zs zones
	for _, name := range names {
		name = strings.ToLower(dns.Fqdn(name))
		if err := servable(name); err != nil {
			return zs, err
		}
		if slices.ContainsFunc(zs.all, func(z *zone) bool { return z.name == name }) {
			continue
		}
		z := &zone{name: name, mbox: "hostmaster." + name, servers: servers, reverse: isReverse(name)}
		if len(servers) == 0 && !z.reverse {
			z.servers = []nameserver{{"ns1." + name, []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}}}
		}
		if !z.reverse && zs.forward == nil {
			zs.forward = z
		}
		zs.all = append(zs.all, z)
	}
	if zs.forward == nil {
		return zs, fmt.Errorf("of the zones %q none is for services: reverse zones alone have nothing to point to", names)
	}
	for _, z := range zs.all {
		if len(z.servers) == 0 {
			z.servers = zs.forward.servers
		}
	}
	slices.SortStableFunc(zs.all, func(a, b *zone) int { return len(b.name) - len(a.name) })
	return zs, nil
}

// servable refuses the zones that are not anybody's to serve.
func servable(name string) error {
	switch _, ok := dns.IsDomainName(name); {
	case !ok:
		return fmt.Errorf("zone %q is not a domain name", name)
	case name == ".", name == "internal.":
		return fmt.Errorf("zone %q is not ours to serve: name a zone of your own, muster.internal for example", name)
	}
	return nil
}

func isReverse(name string) bool {
	return within(name, arpa4) || within(name, arpa6)
}

// match returns the most specific zone that a name in lower case lies in, or nil.
func (zs zones) match(name string) *zone {
	for _, z := range zs.all {
		if within(name, z.name) {
			return z
		}
	}
	return nil
}

// within reports whether name is the zone or lies below it; both in lower case.
func within(name, zone string) bool {
	above, ok := strings.CutSuffix(name, zone)
	if !ok || above == "" {
		return ok
	}
	above, ok = strings.CutSuffix(above, ".")
	escapes := len(above) - len(strings.TrimRight(above, `\`))
	return ok && escapes%2 == 0 // an escaped dot ends no label
}

// hosts are the name servers that lie in our zones: we answer for their addresses.
type hosts struct {
	addrs map[string][]netip.Addr
	above map[string]bool // names that only lead to one of them
}

func newHosts(zs zones) hosts {
	h := hosts{map[string][]netip.Addr{}, map[string]bool{}}
	for _, z := range zs.all {
		for _, ns := range z.servers {
			home := zs.match(ns.name)
			if home == nil {
				continue
			}
			h.addrs[ns.name] = ns.addrs
			for _, name, _ := strings.Cut(ns.name, "."); len(name) > len(home.name); _, name, _ = strings.Cut(name, ".") {
				h.above[name] = true
			}
		}
	}
	return h
}
