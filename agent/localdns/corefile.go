package localdns

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
)

// Bounds of CoreDNS's cache of what the upstreams say: a record takes about a
// kilobyte.
const (
	cacheSuccess = 4096
	cacheDenial  = 1024
)

// CorefileText returns the Corefile that the settings amount to now: the operator's
// own, or one generated from listen address and upstreams. For port 0 it has port 0.
func (c Config) CorefileText() ([]byte, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	if c.Corefile != "" {
		return os.ReadFile(c.Corefile)
	}
	u := c.upstreams()
	u.read()
	return corefile(c.listen, u.usable(), c.Zones), nil
}

// corefile returns a Corefile for what is known now.
func corefile(listen netip.AddrPort, upstreams []netip.AddrPort, zones []string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, ".:%d {\n", listen.Port())
	if !listen.Addr().IsUnspecified() {
		fmt.Fprintf(&b, "    bind %s\n", listen.Addr())
	}
	fmt.Fprintf(&b, "    errors\n    # %s and what the servers name besides\n    %s\n", strings.Join(zones, " "), directive)
	if len(upstreams) > 0 {
		fmt.Fprintf(&b, `    cache 3600 {
        success %d 3600 0
        denial %d 300 0
        prefetch 3 1m 15%%
        servfail 1s
        serve_stale 24h verify 1s 30s 5s
    }
    forward .`, cacheSuccess, cacheDenial)
		for _, u := range upstreams {
			fmt.Fprintf(&b, " %s", u)
		}
		b.WriteString(" {\n        policy sequential\n        max_concurrent 1000\n    }\n")
	}
	b.WriteString("}\n")
	return []byte(b.String())
}
