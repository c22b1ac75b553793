package localdns

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/miekg/dns"
)

// DefaultZone is the zone of a Config that names none.
const DefaultZone = "muster.internal."

// parents are zones that a server may not claim: what is below them is others' too.
var parents = []string{"in-addr.arpa.", "ip6.arpa.", "home.arpa."}

// plain is what zones are made of: all else that DNS allows means something in a Corefile.
// The slash is in reverse zones of less than 256 addresses (RFC 2317).
const plain = "abcdefghijklmnopqrstuvwxyz0123456789-_./"

// parseZone returns a zone in lower case with its last dot.
func parseZone(text string) (string, error) {
	zone := dns.Fqdn(strings.ToLower(text))
	n, ok := dns.IsDomainName(zone)
	switch {
	case !ok || text == "" || strings.Trim(zone, plain) != "":
		return "", fmt.Errorf("zone %q is no domain name, of letters, digits, -, _ and dots", text)
	case n < 2 || slices.Contains(parents, zone):
		return "", fmt.Errorf("zone %q is everybody's", text)
	}
	return zone, nil
}

// zones are the zones that the servers answer for.
type zones struct {
	cur atomic.Pointer[[]string]
}

func (z *zones) all() []string {
	if cur := z.cur.Load(); cur != nil {
		return *cur
	}
	return nil
}

// set replaces the zones, and reports whether that is a change.
func (z *zones) set(all []string) bool {
	all = slices.Compact(slices.Sorted(slices.Values(all)))
	if slices.Equal(z.all(), all) {
		return false
	}
	z.cur.Store(&all)
	return true
}

// ours reports whether a name in lower case is in one of the zones.
func (z *zones) ours(name string) bool {
	for _, zone := range z.all() {
		if name == zone || strings.HasSuffix(name, zone) && name[len(name)-len(zone)-1] == '.' {
			return true
		}
	}
	return false
}
