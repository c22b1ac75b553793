package dnsd

import (
	"fmt"
	"slices"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin/bufsize"
)

// transparent are the plugins that may stand before one with a shortcut: none of them
// could tell that a plain question went past. Any other may: it wants to see each query,
// to refuse some, to answer some by itself or to change answers.
var transparent = []string{
	overQUIC{}.Name(), // ours, for what is not UDP

	"cancel",     // ends what takes too long
	"errors",     // logs what failed, which a hot path leaves to CoreDNS
	"metadata",   // gathers what other plugins look at; those are named here or not
	"nsid",       // answers an option: see route.bare
	"prometheus", // counts: see reported
	"any",        // answers the type ANY
	"chaos",      // answers the class CH
	"transfer",   // answers AXFR and IXFR
	"bufsize",    // see below
}

// block is one zone of a server block at an address.
type block struct {
	*dnsserver.Config

	chain []string // the directives of its plugins, in the order of the queries
}

const byView = "view decides who is answered"

// aside returns why the shortcut called name, which stands in the block, is not to be
// used there, empty when it may be.
func (b *block) aside(name string) string {
	if len(b.FilterFuncs) > 0 {
		return byView
	}
	if len(b.chain) != len(b.Plugin) {
		return "a plugin is in use that no directive names"
	}
	i := slices.Index(b.chain, name)
	if i < 0 {
		return fmt.Sprintf("plugin %s is not the directive of this name", name)
	}
	for _, before := range b.chain[:i] {
		if !slices.Contains(transparent, before) {
			return fmt.Sprintf("plugin %s stands before %s", before, name)
		}
	}
	// A hot path keeps to our size; a client that allows less is given less by both.
	if size, ok := b.Handler("bufsize").(bufsize.Bufsize); ok && size.Size < udpSize {
		return fmt.Sprintf("bufsize is below %d", udpSize)
	}
	return ""
}

// has reports whether a plugin of the block stands before that called name.
func (b *block) has(before, name string) bool {
	i := slices.Index(b.chain, before)
	return i >= 0 && i < slices.Index(b.chain, name)
}
