// Package zone says which records the zones of Muster hold: those that a question
// gets, drawn by weight, and all there are, for who takes a whole zone.
package zone

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/answer"
)

// Config says which zones there are and how they answer.
type Config struct {
	// Names are the zones, at least one of which is not a reverse zone. The first
	// of those holds the names that reverse zones point to.
	Names []string
	// Servers are the name servers of all zones, the primary one first; none is ns1
	// of each zone at the loopback address. One that lies in a zone has addresses.
	Servers []NameServer
	// TTL is the time to live of records in seconds, where no rule says otherwise.
	TTL uint32
	// Rules are times to live of some services.
	Rules TTLRules
	// NegativeTTL is how long in seconds it is remembered that there is nothing.
	NegativeTTL uint32
	// Answers is how many addresses, or endpoints of SVCB, are answered at most.
	Answers int
	// Mode says how they are chosen for services that do not say it themselves, as
	// registry.ModeOrdered; empty is that one.
	Mode string
	// Raw allows names that are spelled with the bytes of an identity.
	Raw bool
}

// Zones are all zones that are served together. They are safe for concurrent use.
type Zones struct {
	cfg     Config
	all     []*Zone // longest name first
	forward *Zone   // the first that holds services: reverse zones point into it
	hosts   hosts
	finders sync.Pool // of *Finder
}

// Zone is one of them.
type Zone struct {
	Name string // lower case, with the dot at the end

	mbox    string // of the SOA
	servers []NameServer
	reverse bool

	wire               []byte // the name in octets
	soaNames, soaTimes []byte // what comes before and behind the serial in the data of the SOA
}

// NameServer is one name server of a zone and its addresses.
type NameServer struct {
	Name  string // lower case, with the dot at the end
	Addrs []netip.Addr
}

// New returns the zones that c describes. The error names what is wrong with one.
func New(c Config) (*Zones, error) {
	zs := &Zones{cfg: c}
	for _, name := range c.Names {
		name = strings.ToLower(dns.Fqdn(name))
		if err := servable(name); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(zs.all, func(z *Zone) bool { return z.Name == name }) {
			continue
		}
		z := &Zone{Name: name, mbox: "hostmaster." + name, servers: c.Servers, reverse: isReverse(name)}
		if len(c.Servers) == 0 && !z.reverse {
			z.servers = []NameServer{{"ns1." + name, []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}}}
		}
		if !z.reverse && zs.forward == nil {
			zs.forward = z
		}
		zs.all = append(zs.all, z)
	}
	if zs.forward == nil {
		return nil, fmt.Errorf("of the zones %q none is for services: reverse zones alone have nothing to point to", c.Names)
	}
	for _, z := range zs.all {
		if len(z.servers) == 0 {
			z.servers = zs.forward.servers
		}
	}
	slices.SortStableFunc(zs.all, func(a, b *Zone) int { return cmp.Compare(len(b.Name), len(a.Name)) })
	for _, z := range zs.all {
		for _, ns := range z.servers {
			if zs.Match(ns.Name) != nil && len(ns.Addrs) == 0 {
				return nil, fmt.Errorf("name server %s lies in the zone %s and needs an address: only we could say where it is",
					ns.Name, zs.Match(ns.Name).Name)
			}
		}
	}
	for _, z := range zs.all {
		if err := z.pack(c.NegativeTTL); err != nil {
			return nil, err
		}
	}
	zs.hosts = newHosts(zs)
	zs.finders.New = func() any { return zs.NewFinder(answer.Random) }
	return zs, nil
}

// IsReverse reports whether the zone holds addresses instead of services.
func (z *Zone) IsReverse() bool { return z.reverse }

// All returns the zones, those with the longest names first; not to be modified.
func (zs *Zones) All() []*Zone { return zs.all }

// servable refuses the zones that are not anybody's to serve.
func servable(name string) error {
	switch _, ok := dns.IsDomainName(name); {
	case !ok:
		return fmt.Errorf("zone %q is not a domain name", name)
	case name == ".", name == "internal.":
		return fmt.Errorf("zone %q is not ours to serve: name a zone of your own, muster.internal for example", name)
	case !fits(addressName(longestAddr, name)) && !isReverse(name):
		return fmt.Errorf("zone %q is too long: there is no room in it for the name of an address", name)
	}
	return nil
}

// longestAddr has the longest name of all addresses.
var longestAddr = netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")

func isReverse(name string) bool {
	return within(name, arpa4) || within(name, arpa6)
}

// Match returns the most specific zone that a name in lower case lies in, or nil.
func (zs *Zones) Match(name string) *Zone {
	for _, z := range zs.all {
		if within(name, z.Name) {
			return z
		}
	}
	return nil
}

// outer returns the zone of ours below which another one begins, nil for none.
func (zs *Zones) outer(z *Zone) *Zone {
	_, parent, _ := strings.Cut(z.Name, ".")
	return zs.Match(parent)
}

// within reports whether name is the zone or lies below it; both in lower case.
func within(name, zone string) bool {
	above, ok := strings.CutSuffix(name, zone)
	if !ok || above == "" {
		return ok
	}
	above, ok = strings.CutSuffix(above, ".")
	if !ok || !strings.HasSuffix(above, `\`) {
		return ok
	}
	escapes := len(above) - len(strings.TrimRight(above, `\`))
	return escapes%2 == 0 // an escaped dot ends no label
}

// hosts are the name servers that lie in our zones: we answer for their addresses.
type hosts struct {
	names []string
	addrs map[string][]netip.Addr
	above map[string]bool // names that only lead to one of them, or to a zone that begins below another one
}

func newHosts(zs *Zones) hosts {
	h := hosts{addrs: map[string][]netip.Addr{}, above: map[string]bool{}}
	for _, z := range zs.all {
		if outer := zs.outer(z); outer != nil {
			h.lead(z.Name, outer)
		}
		for _, ns := range z.servers {
			home := zs.Match(ns.Name)
			if home == nil {
				continue
			}
			if !h.has(ns.Name) {
				h.names = append(h.names, ns.Name)
			}
			h.addrs[ns.Name] = ns.Addrs
			h.lead(ns.Name, home)
		}
	}
	return h
}

// has reports whether a name is that of a name server.
func (h *hosts) has(name string) bool {
	return slices.Contains(h.names, name) // they are few, and seldom as long as another name
}

// lead notes the names that lead from a zone to a name.
func (h *hosts) lead(name string, home *Zone) {
	for _, name, _ = strings.Cut(name, "."); len(name) > len(home.Name); _, name, _ = strings.Cut(name, ".") {
		h.above[name] = true
	}
}
