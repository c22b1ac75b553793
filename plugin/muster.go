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
	"github.com/musterhq/muster/zone"
)

// name is the plugin's, and its directive's in the Corefile.
const name = "muster"

// Muster answers queries in its zones. It implements [plugin.Handler].
type Muster struct {
	Next plugin.Handler

	source   Source
	zones    *zone.Zones
	fall     fall.F
	counters counters
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
	z := m.zones.Match(strings.ToLower(owner))
	if z == nil || asked.Qclass != dns.ClassINET {
		return m.elsewhere(ctx, w, r)
	}
	if asked.Qtype == dns.TypeAXFR || asked.Qtype == dns.TypeIXFR {
		return m.refuse(ctx, w, r, extended(dns.ExtendedErrorCodeProhibited, ""))
	}
	st, ready := m.state()
	if !ready {
		return m.notReady(ctx, w, r)
	}
	found := m.zones.Lookup(st, z, zone.Question{Owner: owner, Type: asked.Qtype, Room: room(w, r)})
	if found.Status == answer.NoName && len(found.Answer) == 0 && m.Next != nil && m.fall.Through(owner) {
		return plugin.NextOrFailure(name, m.Next, ctx, w, r)
	}
	return m.write(ctx, w, r, reply(r, found), explained(st, found)...)
}

// state returns what to answer from, and false before there is anything.
func (m *Muster) state() (st zone.State, ready bool) {
	// Epoch and snapshot change together, when etcd was restored: the snapshot
	// between two equal epochs is the one they belong to.
	for before := m.source.Epoch(); ; before = st.Epoch {
		st.Snapshot, st.Epoch = m.source.Snapshot(), m.source.Epoch()
		if st.Epoch == before {
			break
		}
	}
	if st.Snapshot == nil {
		return st, false
	}
	_, st.Stale = m.source.Stale()
	return st, true
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
