// Package plugin is the CoreDNS plugin muster: it answers for services by name
// from a snapshot of the roll in memory. README.md is its manual.
package plugin

import (
	"context"
	"net/netip"
	"time"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/pkg/fall"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"

	"github.com/musterhq/muster/answer"
	"github.com/musterhq/muster/zone"
)

// name is the plugin's, and its directive's in the Corefile.
const name = "muster"

// Muster answers queries in its zones. It implements [plugin.Handler].
type Muster struct {
	Next plugin.Handler

	source Source
	zones  *zone.Zones
	atlas  atlas
	guard
	updates  updates
	overseer Overseer // nil: nobody is told, and keys may what the Corefile says
	fall     fall.F
	counters counters
	hots     hots
	transfers
}

// Name implements [plugin.Handler].
func (m *Muster) Name() string { return name }

// introduce tells the source what it may want to know; of the rules that a zone has
// on several transports it is told the plain ones.
func (m *Muster) introduce(plain bool) {
	serving.Store(&m.source)
	if k, ok := m.source.(Keeper); ok {
		k.Kept(time.Duration(m.zones.Kept()) * time.Second)
	}
	ruled, ok := m.source.(Ruled)
	if !ok || !plain {
		return
	}
	for _, z := range m.zones.All() {
		ruled.Rules(z.Name, func(from netip.Addr) answer.Rule {
			rule := m.zones.Rule()
			rule.From = m.atlas.at(from)
			return rule
		})
	}
}

// Ready reports whether the roll is known: before that all is SERVFAIL.
func (m *Muster) Ready() bool { return m.source.Snapshot() != nil }

// ServeDNS implements [plugin.Handler].
func (m *Muster) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	e := exchange{Muster: m, ctx: ctx, w: w, r: r, opt: r.IsEdns0(), began: time.Now()}
	e.tcp = (&request.Request{W: w}).Proto() == "tcp"
	if limited, truncated := e.limited(); limited {
		return e.slip(truncated)
	}
	switch {
	case malformed(r) || e.badCookie():
		return e.refuse(dns.RcodeFormatError, nil)
	case r.Opcode == dns.OpcodeUpdate:
		return e.update()
	case r.Opcode != dns.OpcodeQuery:
		return e.refuse(dns.RcodeNotImplemented, nil)
	}
	return e.query()
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
