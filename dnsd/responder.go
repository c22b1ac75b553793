package dnsd

import (
	"context"
	"time"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/miekg/dns"
)

// responder answers what arrives at one dns:// address, for one generation.
type responder struct {
	server    *dnsserver.Server
	ctx       context.Context //nolint:containedctx // of constants that CoreDNS looks for in the context of each query
	gates     gates
	shortcuts []Shortcut
	hots      hots      // of the goroutine that reads packets, from serve on
	underWay  *underWay // of the whole generation
	panics    *panics
}

func newResponder(s *dnsserver.Server, configs []*dnsserver.Config, u *underWay, p *panics) *responder {
	ctx := context.WithValue(context.Background(), dnsserver.Key{}, s)
	ctx = context.WithValue(ctx, dnsserver.LoopKey{}, 0)
	return &responder{
		server: s, ctx: ctx, gates: p.guard(gatesOf(configs), s.Addr), shortcuts: shortcutsOf(configs), underWay: u, panics: p,
	}
}

// answer hands a message that [admit] lets through to CoreDNS, or refuses it. The
// message is not used after free is called. A panic costs the query its answer and
// nothing else.
func (r *responder) answer(w *response, wire []byte, stream bool, free func()) {
	head := [headerSize]byte(wire)
	defer func() {
		if v := recover(); v != nil {
			r.panics.count(r.server.Addr, v)
			if !w.answered.Load() {
				_, _ = w.Write(refuse(head[:], dns.RcodeServerFailure))
			}
		}
	}()
	query, refusal := unpack(wire)
	if query != nil && stream {
		switch askedKeepalive(query, wire) {
		case asked:
			w.keepalive = r.idle()
		case malformed:
			query, refusal = nil, refuse(wire, dns.RcodeFormatError)
		}
	}
	if query != nil {
		w.tsig = verifyTSIG(query, wire, r.server.TsigSecret)
	}
	free()
	if query == nil {
		_, _ = w.Write(refusal) // a client that went away is no news
		return
	}
	r.server.ServeDNS(r.ctx, w, query)
}

// The limits of a connection are those of the plugin timeouts, or else the
// defaults of CoreDNS.

func (r *responder) idle() time.Duration  { return r.server.IdleTimeout }
func (r *responder) read() time.Duration  { return r.server.ReadTimeout }
func (r *responder) write() time.Duration { return r.server.WriteTimeout }
