package localdns

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/pkg/nonwriter"
	"github.com/miekg/dns"
)

// directive is the plugin's name, and its directive's in the Corefile. It takes no
// arguments: zones, servers and upstreams change while it runs.
const directive = "musteragent"

func init() { plugin.Register(directive, setup) }

// storageKey is where setup finds the Resolver.
type storageKey struct{}

func setup(c *caddy.Controller) error {
	for c.Next() {
		if c.NextArg() || c.NextBlock() {
			return plugin.Error(directive, c.ArgErr())
		}
	}
	r, ok := c.Get(storageKey{}).(*Resolver)
	if !ok {
		return plugin.Error(directive, c.Err("it works in an agent alone"))
	}
	dnsserver.GetConfig(c).AddPlugin(func(next plugin.Handler) plugin.Handler { return &handler{next: next, r: r} })
	return nil
}

// mostTTLStale is the longest lifetime of a stale answer, in seconds (RFC 8767,
// section 4).
const mostTTLStale = 30

// mostChain bounds the CNAME records that are followed.
const mostChain = 8

// handler is the plugin: it answers for our zones and for special names, and hands on
// what is left, if that may go to the upstreams.
type handler struct {
	next plugin.Handler
	r    *Resolver
}

// Name implements [plugin.Handler].
func (h *handler) Name() string { return directive }

// ServeDNS implements [plugin.Handler].
func (h *handler) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	if len(r.Question) != 1 {
		return write(w, refusal(r, dns.RcodeFormatError, 0, ""))
	}
	if r.Opcode != dns.OpcodeQuery {
		return write(w, refusal(r, dns.RcodeNotImplemented, 0, ""))
	}
	q := r.Question[0]
	name := strings.ToLower(q.Name)
	if m := specialReply(r, name); m != nil {
		h.r.metrics.special.Inc()
		return write(w, withOPT(r, m))
	}
	if !h.r.zones.ours(name) {
		if h.r.upstreams.cameBack(name) {
			return write(w, refusal(r, dns.RcodeRefused, 0, ""))
		}
		if code, why := h.r.upstreams.closed(); why != "" {
			return write(w, refusal(r, dns.RcodeServerFailure, code, why))
		}
		return h.forward(ctx, w, r)
	}
	switch {
	case q.Qclass != dns.ClassINET:
		return write(w, refusal(r, dns.RcodeRefused, dns.ExtendedErrorCodeNotSupported, ""))
	case q.Qtype == dns.TypeAXFR || q.Qtype == dns.TypeIXFR:
		return write(w, refusal(r, dns.RcodeRefused, dns.ExtendedErrorCodeProhibited, "ask a server for a transfer"))
	}
	opt := r.IsEdns0()
	asked := question{name: name, qtype: q.Qtype, do: opt != nil && opt.Do()}
	a, stale, err := h.r.resolve(ctx, asked)
	if err != nil {
		return write(w, h.r.unanswered(r))
	}
	m := h.r.compose(r, a, stale)
	h.follow(ctx, w, m, asked)
	return write(w, m)
}

// forward hands a question on to the upstreams.
func (h *handler) forward(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	leave, ok := h.r.upstreams.enter(r.Question[0])
	if !ok {
		return write(w, refusal(r, dns.RcodeServerFailure, dns.ExtendedErrorCodeOther, "this question comes back again and again"))
	}
	defer leave()
	h.r.metrics.forwarded.Inc()
	return plugin.NextOrFailure(directive, h.next, ctx, w, r)
}

// follow adds what a CNAME leads to: who asks here is a stub, and asks no further.
func (h *handler) follow(ctx context.Context, w dns.ResponseWriter, m *dns.Msg, asked question) {
	if asked.qtype == dns.TypeCNAME || asked.qtype == dns.TypeANY {
		return
	}
	for range mostChain {
		if len(m.Answer) == 0 {
			return
		}
		alias, ok := m.Answer[len(m.Answer)-1].(*dns.CNAME)
		if !ok {
			return
		}
		r := new(dns.Msg)
		r.SetQuestion(alias.Target, asked.qtype)
		if opt := m.IsEdns0(); opt != nil {
			r.SetEdns0(udpSize, opt.Do())
		}
		next := asked
		next.name = strings.ToLower(alias.Target)
		found := h.lookUp(ctx, w, r, next)
		m.Answer = append(m.Answer, found.Answer...)
		if m.Rcode = found.Rcode; m.Rcode == dns.RcodeServerFailure {
			return
		}
		if m.Ns = nil; len(found.Answer) == 0 {
			m.Ns = found.Ns
			return
		}
	}
	m.Rcode, m.Answer, m.Ns = dns.RcodeServerFailure, nil, nil // a ring, most likely
}

// lookUp answers a question of our own, wherever its name belongs.
func (h *handler) lookUp(ctx context.Context, w dns.ResponseWriter, r *dns.Msg, q question) *dns.Msg {
	failed := refusal(r, dns.RcodeServerFailure, 0, "")
	if m := specialReply(r, q.name); m != nil {
		return m
	}
	if h.r.zones.ours(q.name) {
		a, stale, err := h.r.resolve(ctx, q)
		if err != nil {
			return failed
		}
		return h.r.compose(r, a, stale)
	}
	if _, why := h.r.upstreams.closed(); why != "" {
		return failed
	}
	caught := nonwriter.New(w)
	if _, err := h.forward(ctx, caught, r); err != nil || caught.Msg == nil {
		return failed
	}
	return caught.Msg
}

// compose makes the reply to r of a kept answer: its times are what is left of them,
// its names are spelled as r spells them, and the addresses of a service are drawn.
func (r *Resolver) compose(req *dns.Msg, a *answer, stale bool) *dns.Msg {
	m := new(dns.Msg)
	if err := m.Unpack(a.wire); err != nil {
		return refusal(req, dns.RcodeServerFailure, dns.ExtendedErrorCodeOther, "a kept answer is damaged")
	}
	now := time.Now()
	if t := r.table(a, now, stale); t != nil {
		m.Answer = records(m.Answer[0].Header(), t.draw(len(a.addrs)))
	}
	age := uint32(now.Sub(a.at) / time.Second)
	spelled := req.Question[0].Name
	for _, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range section {
			hdr := rr.Header()
			if stale {
				hdr.Ttl = max(min(hdr.Ttl, mostTTLStale), 1)
			} else {
				hdr.Ttl -= min(hdr.Ttl, age)
			}
			if strings.EqualFold(hdr.Name, spelled) {
				hdr.Name = spelled
			}
		}
	}
	rcode := m.Rcode
	m.SetReply(req)
	m.Rcode, m.RecursionAvailable, m.Compress = rcode, true, true
	withOPT(req, m)
	if opt := m.IsEdns0(); opt != nil {
		for _, e := range a.errors {
			opt.Option = append(opt.Option, &e)
		}
		if e := staleError(a); stale && !slices.ContainsFunc(a.errors, func(said dns.EDNS0_EDE) bool { return said.InfoCode == e.InfoCode }) {
			opt.Option = append(opt.Option, e)
		}
	}
	return m
}

// staleError says that an answer is stale (RFC 8914).
func staleError(a *answer) *dns.EDNS0_EDE {
	if a.rcode == dns.RcodeNameError {
		return &dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeStaleNXDOMAINAnswer, ExtraText: "no server answers"}
	}
	return &dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeStaleAnswer, ExtraText: "no server answers"}
}

// records returns the records of addresses, with the header of one of them.
func records(hdr *dns.RR_Header, addrs []netip.Addr) []dns.RR {
	all := make([]dns.RR, len(addrs))
	for i, addr := range addrs {
		if addr.Is4() {
			all[i] = &dns.A{Hdr: *hdr, A: addr.AsSlice()}
		} else {
			all[i] = &dns.AAAA{Hdr: *hdr, AAAA: addr.AsSlice()}
		}
	}
	return all
}

// unanswered is the reply when nobody could be asked and nothing is kept. It says
// what to do about it: to wait for a first word of the servers, or to look after them.
func (r *Resolver) unanswered(req *dns.Msg) *dns.Msg {
	if len(r.pool.all()) == 0 {
		return refusal(req, dns.RcodeServerFailure, dns.ExtendedErrorCodeNotReady, errNoServers.Error())
	}
	return refusal(req, dns.RcodeServerFailure, dns.ExtendedErrorCodeNoReachableAuthority, "no server answers")
}

// refusal is a reply without records. Without text it has no extended error.
func refusal(r *dns.Msg, rcode int, code uint16, text string) *dns.Msg {
	m := new(dns.Msg)
	m.SetRcode(r, rcode)
	m.RecursionAvailable = true
	withOPT(r, m)
	if opt := m.IsEdns0(); opt != nil && text != "" {
		opt.Option = append(opt.Option, &dns.EDNS0_EDE{InfoCode: code, ExtraText: text})
	}
	return m
}

// withOPT gives m an OPT record if r has one.
func withOPT(r, m *dns.Msg) *dns.Msg {
	if opt := r.IsEdns0(); opt != nil {
		m.SetEdns0(udpSize, opt.Do())
	}
	return m
}

// write sends a reply. CoreDNS writes one of its own for other codes than this.
func write(w dns.ResponseWriter, m *dns.Msg) (int, error) {
	return dns.RcodeSuccess, w.WriteMsg(m)
}
