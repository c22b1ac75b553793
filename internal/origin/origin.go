// Package origin tells where calls come from: their connection says so, and over HTTP
// proxies that are trusted say it of the calls that they pass on.
package origin

import (
	"crypto/tls"
	"fmt"
	"iter"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Proxies are the networks of the proxies that are trusted.
type Proxies []netip.Prefix

// Parse returns the proxies that texts name, each an address or a network.
func Parse(texts []string) (Proxies, error) {
	var all Proxies
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			at, err := netip.ParseAddr(text)
			if err != nil || at.Zone() != "" {
				return nil, fmt.Errorf("%q is neither an IP address nor a network such as 192.0.2.0/24", text)
			}
			p = netip.PrefixFrom(at, at.BitLen())
		}
		switch {
		case p.Addr().Is4In6():
			return nil, fmt.Errorf("%q is of IPv4: write it so", text)
		case p != p.Masked(): // of one address or of its network: who meant the one must not get the other
			return nil, fmt.Errorf("%q names an address and a network: %s or %s", text, p.Addr(), p.Masked())
		case p.Bits() == 0:
			return nil, fmt.Errorf("%q is everybody, who could then say to be anybody", text)
		}
		all = append(all, p)
	}
	return all, nil
}

// Trust reports whether a proxy has that address.
func (p Proxies) Trust(at netip.Addr) bool {
	at = at.WithZone("")
	return slices.ContainsFunc(p, func(network netip.Prefix) bool { return network.Contains(at) })
}

// forwardedFor is where each proxy adds, at the right, whom it has a call from. What stands
// left of that may be the client's own.
const forwardedFor = "X-Forwarded-For"

// Of returns the address that a call comes from, which is the first one from the right that
// no trusted proxy has. It is invalid when it is not known.
func (p Proxies) Of(r *http.Request) netip.Addr {
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	at := remote.Addr().Unmap()
	if !p.Trust(at) {
		return at
	}
	for text := range fromRight(r.Header[forwardedFor]) {
		said := parse(text)
		switch {
		case said.IsValid() && (at.IsLoopback() || !said.IsLoopback()):
		case at.IsLoopback(): // it is not this host that calls, or could not be told from it
			return netip.Addr{}
		default: // no better is known; and a proxy elsewhere knows nothing of this host's loopback
			return at
		}
		if at = said; !p.Trust(at) {
			return at
		}
	}
	return at
}

// Settle is Of, and leaves a call that looks as it would without proxies to whoever works
// on it: it comes from that address, no header says otherwise, and the certificate that a
// proxy showed for itself is nobody's. Where no proxy is trusted it leaves the call as it is.
func (p Proxies) Settle(r *http.Request) netip.Addr {
	from := p.Of(r)
	if len(p) == 0 {
		return from
	}
	r.Header.Del(forwardedFor)
	r.Header.Del("X-Real-Ip")
	if remote, err := netip.ParseAddrPort(r.RemoteAddr); err != nil || remote.Addr().Unmap() == from {
		return from
	}
	r.TLS = Passed(r.TLS)
	r.RemoteAddr = ""
	if from.IsValid() {
		r.RemoteAddr = netip.AddrPortFrom(from, 0).String() // nobody says which port
	}
	return from
}

// Passed returns what is left of a connection of a proxy for whoever calls by it: the
// certificate that it showed is the proxy's own.
func Passed(of *tls.ConnectionState) *tls.ConnectionState {
	if of == nil {
		return nil
	}
	passed := *of
	passed.PeerCertificates, passed.VerifiedChains = nil, nil
	return &passed
}

// fromRight yields the elements of the lines of a header that is a list, the last one
// first. It splits no more of it than is asked for: clients make it long.
func fromRight(lines []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range slices.Backward(lines) {
			for more := true; more; {
				at := strings.LastIndexByte(line, ',')
				text := strings.TrimSpace(line[at+1:])
				if text != "" && !yield(text) { // RFC 9110 5.6.1: empty ones count for nothing
					return
				}
				if more = at >= 0; more {
					line = line[:at]
				}
			}
		}
	}
}

// parse returns an address that may stand in brackets or before a port, as some proxies
// write it. Its zone is of another host.
func parse(text string) netip.Addr {
	with, err := netip.ParseAddrPort(text)
	at := with.Addr()
	if err != nil {
		at, _ = netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	}
	return at.Unmap().WithZone("")
}
