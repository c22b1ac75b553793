package plugin

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/tsig"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/registry"
)

// Overseer is a [Source] that says what those may who sign messages, and keeps what
// they changed and what was refused to them. Its methods are safe for concurrent use.
type Overseer interface {
	// Check returns nil if who signs with a key may do something. A key has a name
	// without the dot at its end; it is empty for who signs with none. The error is an
	// *access.Denied, or registry.ErrUnavailable while nobody can tell.
	Check(key string, verb access.Verb, on access.Resource) error
	// Recordable returns why nothing may change now: it could not be recorded.
	Recordable() error
	// Record keeps an act. It is called before the act is answered.
	Record(Act)
}

// Act is an update, or a transfer that was refused.
type Act struct {
	Transfer bool
	Zone     string     // without the dot at its end
	From     netip.Addr // that the message came from
	Datagram bool       // it came over UDP, so that From proves nothing
	Key      string     // that it was signed with; empty for none, and for one that was not proved
	Rcode    int        // of the answer
	Why      string     // that it was refused, or came to nothing

	Changes  registry.Changes // of an update that was made
	Revision int64            // it was committed at, 0: nothing had to be written
}

type actKey struct{}

// actOf returns what is to be told of a message, nil when nobody is told.
func actOf(ctx context.Context) *Act {
	a, _ := ctx.Value(actKey{}).(*Act)
	return a
}

// oversee has the overseer told of what the plugins of a block do before m is asked, and
// transfers be asked for by those alone who may read the zone.
//
// The plugin transfer stands before this one, and does not say for whom it asks for a
// zone. So who asks is judged as its message comes to that.
func (s *settings) oversee(m *Muster) {
	overseer, ok := m.source.(Overseer)
	if !ok {
		return
	}
	m.overseer = overseer
	cfg := dnsserver.GetConfig(s.c)
	for i, with := range cfg.Plugin {
		cfg.Plugin[i] = func(next plugin.Handler) plugin.Handler {
			h := with(next)
			if h.Name() != "transfer" {
				return h
			}
			return &gated{h, m}
		}
	}
	cfg.Plugin = slices.Insert(cfg.Plugin, 0, func(next plugin.Handler) plugin.Handler { return &overseen{next, m} })
}

// isTransfer goes by the type of the question alone, as the plugin transfer does: it hands a
// zone over to who calls that a NOTIFY or an update, too.
func isTransfer(r *dns.Msg) bool {
	return len(r.Question) == 1 && (r.Question[0].Qtype == dns.TypeAXFR || r.Question[0].Qtype == dns.TypeIXFR)
}

// overseen stands before all plugins of a block, and sees what they answer.
type overseen struct {
	next plugin.Handler
	m    *Muster
}

// Name implements [plugin.Handler].
func (*overseen) Name() string { return name + "_overseer" }

// ServeDNS implements [plugin.Handler].
func (o *overseen) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	transfer := isTransfer(r)
	if !transfer && (r.Opcode != dns.OpcodeUpdate || len(r.Question) != 1) {
		return o.next.ServeDNS(ctx, w, r)
	}
	z := o.m.zones.Match(dns.CanonicalName(r.Question[0].Name))
	if z == nil {
		return o.next.ServeDNS(ctx, w, r)
	}
	t := &telling{ResponseWriter: w, to: o.m.overseer, act: Act{Transfer: transfer, Zone: withoutDot(z.Name), From: addrOf(w.RemoteAddr()),
		Datagram: (&request.Request{W: w}).Proto() == "udp"}}
	if claimed := r.IsTsig(); claimed != nil {
		t.claimed = withoutDot(dns.CanonicalName(claimed.Hdr.Name))
	}
	rcode, err := o.next.ServeDNS(context.WithValue(ctx, actKey{}, &t.act), t, r)
	if !plugin.ClientWrite(rcode) { // the server does it
		t.tell(rcode)
	}
	return rcode, err
}

func withoutDot(name string) string { return strings.TrimSuffix(name, ".") }

// telling tells of a message before its answer is written.
type telling struct {
	dns.ResponseWriter

	to      Overseer
	act     Act
	claimed string // key that the message says it is signed with
	told    bool
}

// WriteMsg implements [dns.ResponseWriter].
func (t *telling) WriteMsg(m *dns.Msg) error {
	t.tell(m.Rcode)
	return t.ResponseWriter.WriteMsg(m)
}

func (t *telling) tell(rcode int) {
	if t.told {
		return
	}
	t.told = true
	a := &t.act
	if a.Rcode = rcode; rcode == dns.RcodeSuccess {
		if !a.Transfer {
			t.to.Record(*a)
		}
		return
	}
	switch {
	case t.claimed != "" && a.Key == "":
		a.Why = cmp.Or(a.Why, "not signed with key "+t.claimed+" as that signs")
	case rcode == dns.RcodeRefused:
		a.Why = cmp.Or(a.Why, "the Corefile does not allow it")
	}
	t.to.Record(*a)
}

// gated asks for the right to read a zone before it is handed over.
type gated struct {
	plugin.Handler // transfer

	m *Muster
}

// ServeDNS implements [plugin.Handler].
func (g *gated) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	act := actOf(ctx)
	if act == nil || !act.Transfer {
		return g.Handler.ServeDNS(ctx, w, r)
	}
	key, _ := tsig.ValidatedKeyName(ctx)
	act.Key = withoutDot(key)
	if err := g.m.overseer.Check(act.Key, access.Read, access.Resource{Kind: access.DNS, Namespace: act.Zone}); err != nil {
		rcode, text := failure(err)
		act.Why = text
		return dns.RcodeSuccess, w.WriteMsg(new(dns.Msg).SetRcode(r, rcode))
	}
	return g.Handler.ServeDNS(ctx, w, r)
}
