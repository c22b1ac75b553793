// Package plugin is the CoreDNS plugin muster: it answers for services by name
// from a snapshot of the roll in memory. README.md is its manual.
package plugin

import (
	"context"
	"strings"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/pkg/fall"
	"github.com/miekg/dns"

	"github.com/musterhq/muster/answer"
)

// name is the plugin's, and its directive's in the Corefile.
const name = "muster"

// staleTTL bounds how long an answer is kept that may be out of date (RFC 8767, 5).
const staleTTL = 30

// Muster answers queries in its zones. It implements [plugin.Handler].
type Muster struct {
	Next plugin.Handler

	source      Source
	zones       zones
	hosts       hosts
	ttl         uint32 // seconds
	negativeTTL uint32 // seconds
	answers     int    // addresses at most
	raw         bool   // names may be spelled raw
	fall        fall.F
	resolver    answer.Resolver
	counters    counters
}

// Name implements [plugin.Handler].
func (m *Muster) Name() string { return name }

// Ready reports whether the roll is known: before that all is SERVFAIL.
func (m *Muster) Ready() bool { return m.source.Snapshot() != nil }

// ServeDNS implements [plugin.Handler].
func (m *Muster) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	switch {
	case len(r.Question) != 1 || options(r) > 1:
		return dns.RcodeFormatError, nil
	case r.Opcode != dns.OpcodeQuery:
		return dns.RcodeNotImplemented, nil
	}
	asked := r.Question[0]
	owner := dns.Fqdn(asked.Name)
	z := m.zones.match(strings.ToLower(owner))
	if z == nil || asked.Qclass != dns.ClassINET {
		return m.elsewhere(ctx, w, r)
	}
	if asked.Qtype == dns.TypeAXFR || asked.Qtype == dns.TypeIXFR {
		return m.refuse(ctx, w, r, extended(dns.ExtendedErrorCodeProhibited, ""))
	}
	q, ready := m.query(asked.Qtype)
	if !ready {
		return m.notReady(ctx, w, r)
	}
	if asked.Qtype == dns.TypeSRV {
		q.room = room(w, r)
	}
	q.lookup(z, owner)
	if q.status == answer.NoName && len(q.answer) == 0 && m.Next != nil && m.fall.Through(owner) {
		return plugin.NextOrFailure(name, m.Next, ctx, w, r)
	}
	return m.write(ctx, w, r, q.reply(r), q.errors()...)
}

// elsewhere hands on what is not ours. Where nobody is left to ask it refuses:
// that is all an authoritative server can say (never a referral to the root).
func (m *Muster) elsewhere(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	if m.Next != nil {
		return plugin.NextOrFailure(name, m.Next, ctx, w, r)
	}
	return m.refuse(ctx, w, r, extended(dns.ExtendedErrorCodeNotAuthoritative, ""))
}

func (m *Muster) refuse(ctx context.Context, w dns.ResponseWriter, r *dns.Msg, why *dns.EDNS0_EDE) (int, error) {
	return m.write(ctx, w, r, new(dns.Msg).SetRcode(r, dns.RcodeRefused), why)
}

func (m *Muster) notReady(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	reply := new(dns.Msg).SetRcode(r, dns.RcodeServerFailure)
	return m.write(ctx, w, r, reply, extended(dns.ExtendedErrorCodeNotReady, ""))
}

// write sends a reply. It returns RcodeSuccess whatever the reply says: any code
// of failure would have the server write another.
func (m *Muster) write(ctx context.Context, w dns.ResponseWriter, r, reply *dns.Msg, errors ...*dns.EDNS0_EDE) (int, error) {
	seal(reply, w, r, errors...)
	m.counters.count(ctx, reply)
	if err := w.WriteMsg(reply); err != nil {
		return dns.RcodeSuccess, plugin.Error(name, err)
	}
	return dns.RcodeSuccess, nil
}
