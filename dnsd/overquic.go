package dnsd

import (
	"context"
	"crypto/tls"
	"net"
	"slices"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"
)

// overQUIC stands before all plugins. CoreDNS and plugins tell a datagram by the
// address of its client, and take queries over QUIC for such: their answers would
// be cut to fit one.
type overQUIC struct{ next plugin.Handler }

// first puts the handler before the plugins of a block, if there are any.
func (overQUIC) first(b *block) {
	if len(b.Plugin) > 0 { // as the first zone of a server block has; the others will have the same
		b.Plugin = slices.Insert(b.Plugin, 0, plugin.Plugin(func(next plugin.Handler) plugin.Handler { return overQUIC{next} }))
	}
	if len(b.chain) > 0 {
		b.chain = slices.Insert(b.chain, 0, overQUIC{}.Name())
	}
}

// Name implements [plugin.Handler].
func (overQUIC) Name() string { return "quic_stream" }

// ServeDNS implements [plugin.Handler].
func (q overQUIC) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	if scrub, ok := w.(*request.ScrubWriter); ok {
		if stream, ok := streamOf(scrub.ResponseWriter); ok {
			w = request.NewScrubWriter(r, stream)
		}
	}
	return q.next.ServeDNS(ctx, w, r)
}

// streamOf returns the writer of CoreDNS's that w is, if it writes to a stream of QUIC.
func streamOf(w dns.ResponseWriter) (stream, bool) {
	switch w.(type) {
	case *dnsserver.DoQWriter, *dnsserver.DoHWriter:
		if from, ok := w.RemoteAddr().(*net.UDPAddr); ok {
			return stream{w, net.TCPAddrFromAddrPort(from.AddrPort())}, true
		}
	}
	return stream{}, false
}

// stream writes to a client whose address is that of a stream.
type stream struct {
	dns.ResponseWriter
	from *net.TCPAddr
}

func (s stream) RemoteAddr() net.Addr { return s.from }

// ConnectionState implements [dns.ConnectionStater].
func (s stream) ConnectionState() *tls.ConnectionState {
	if c, ok := s.ResponseWriter.(dns.ConnectionStater); ok {
		return c.ConnectionState()
	}
	return nil
}
