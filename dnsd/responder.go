package dnsd

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/miekg/dns"
)

// responder answers what arrives at one dns:// address, for one generation.
type responder struct {
	server   *dnsserver.Server
	ctx      context.Context //nolint:containedctx // of constants that CoreDNS looks for in the context of each query
	gates    gates
	routes   *routes
	hots     []*hots   // by the number of the socket, from serve on; nil where there is none
	underWay *underWay // of the whole generation
	panics   *panics
}

func newResponder(s *dnsserver.Server, blocks []*block, u *underWay, p *panics) *responder {
	ctx := context.WithValue(context.Background(), dnsserver.Key{}, s)
	ctx = context.WithValue(ctx, dnsserver.LoopKey{}, 0)
	return &responder{
		server: s, ctx: ctx, gates: p.guard(gatesOf(blocks), s.Addr), routes: newRoutes(s.Addr, blocks), underWay: u, panics: p,
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

// endShortcuts comes when no packet is under way any more.
func (r *responder) endShortcuts() {
	for _, h := range r.hots {
		h.end()
	}
}

// takeShortcuts makes the hot paths of so many sockets, and says where there are some.
func (r *responder) takeShortcuts(sockets int, log *slog.Logger) {
	var whys []string
	if why := r.routes.why(); why != "" {
		whys = append(whys, why)
	}
	r.hots = make([]*hots, sockets)
	for i := range r.hots {
		var refused []string
		r.hots[i], refused = newHots(r.routes, r.panics)
		if i == 0 { // the others say the same
			whys = append(whys, refused...)
		}
	}
	server := r.server.Addr
	if len(whys)+len(r.routes.shortcuts) == 0 {
		hotOn.DeleteLabelValues(server)
		return
	}
	on := r.hots[0] != nil
	hotOn.WithLabelValues(server).Set(map[bool]float64{true: 1}[on])
	if why := strings.Join(whys, "; "); why != "" {
		log.Info("dns hot path", "address", server, "on", on, "why", why)
	} else {
		log.Info("dns hot path", "address", server, "on", on)
	}
}
