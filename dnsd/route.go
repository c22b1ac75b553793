package dnsd

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// routes say which names of an address a shortcut may answer, for one generation. They
// are the zones of the address, longest first, as CoreDNS goes by the longest that a name
// lies in.
type routes struct {
	server    string
	zones     []route
	shortcuts []Shortcut
	asides    []string // why a shortcut is not used, if it is not
}

// route is one zone of an address.
type route struct {
	name     string
	zone     []byte // the same, in wire form and lower case
	shortcut int    // among those of the routes; -1: CoreDNS answers
	bare     bool   // an OPT with options is for CoreDNS
	reports  []report
}

// newRoutes makes those of the address called server.
func newRoutes(server string, blocks []*block) *routes {
	r := &routes{server: server}
	for _, b := range blocks {
		r.add(b)
	}
	slices.SortStableFunc(r.zones, func(a, b route) int { return cmp.Compare(len(b.zone), len(a.zone)) })
	for i := 1; i < len(r.zones); i++ {
		if bytes.Equal(r.zones[i-1].zone, r.zones[i].zone) {
			r.inViews(&r.zones[i-1], &r.zones[i])
		}
	}
	return r
}

// inViews leaves a zone that there is several times to CoreDNS.
func (r *routes) inViews(zones ...*route) {
	for _, z := range zones {
		if z.shortcut >= 0 {
			r.asides = append(r.asides, z.name+" "+byView)
		}
		z.shortcut = -1
	}
}

func (r *routes) add(b *block) {
	to := route{name: b.Zone, zone: wireName(b.Zone), shortcut: -1}
	for _, h := range b.Handlers() {
		s, ok := h.(Shortcut)
		if !ok {
			continue
		}
		if why := b.aside(h.Name()); why != "" {
			r.asides = append(r.asides, fmt.Sprintf("%s %s", b.Zone, why))
			break
		}
		to.shortcut = slices.IndexFunc(r.shortcuts, func(other Shortcut) bool { return same(s, other) })
		if to.shortcut < 0 {
			to.shortcut = len(r.shortcuts)
			r.shortcuts = append(r.shortcuts, s)
		}
		to.bare = b.has("nsid", h.Name())
		to.reports = reportsOf(r.server, b, h.Name())
		break
	}
	r.zones = append(r.zones, to)
}

// of returns which zone a question belongs to, -1 when none.
func (r *routes) of(q *question) int {
	for i := range r.zones {
		if q.in(r.zones[i].zone) {
			return i
		}
	}
	return -1
}

// why says why there are questions that no shortcut is used for, though one could.
func (r *routes) why() string {
	return strings.Join(slices.Compact(slices.Sorted(slices.Values(r.asides))), "; ")
}

// wireName is a zone in wire form and lower case.
func wireName(zone string) []byte {
	wire := make([]byte, maxName)
	n, err := dns.PackDomainName(dns.CanonicalName(zone), wire, 0, nil, false)
	if err != nil {
		return nil
	}
	return wire[:n]
}
