package plugin

import (
	crand "crypto/rand"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/answer"
	"github.com/musterhq/muster/zone"
)

// HotPath answers packets of one socket from the wire, as package dnsd has it: Answer
// writes the answer to a query to buf, or returns false for one that CoreDNS is to
// answer, and Sent says that so many answers are sent, how long after they were read.
type HotPath = interface {
	Answer(buf, query []byte, from netip.AddrPort) (n int, ok bool)
	Sent(n int, took time.Duration)
}

// HotPath returns what answers plain questions that come in at one UDP socket of a
// server, as [Muster.ServeDNS] would. The rate limit is the business of who calls it, by
// [guard.Admit].
func (m *Muster) HotPath(server string) (path HotPath, why string) {
	var seed [32]byte
	_, _ = crand.Read(seed[:]) // it never fails
	h := &hot{Muster: m, finder: m.zones.NewFinder(rand.New(rand.NewChaCha8(seed)))}
	h.tallies.server = server
	m.hots.add(&h.tallies)
	return h, ""
}

// hot is the hot path of one socket. Its methods are called from one goroutine.
type hot struct {
	*Muster

	finder   *zone.Finder
	state    zone.State // that answers are made of until they are sent, then none: an idle socket keeps no old roll
	asked    plain
	question zone.PlainQuestion // the same
	tallies  tallies
}

// Answer writes the answer to a query to buf and returns its length. It returns false
// for all that is not plain, and leaves it to CoreDNS: a question with options, of
// another type or for a name that takes an escape or is of no service's zone; an answer
// that is an alias, depends on who asks or does not fit.
func (h *hot) Answer(buf, query []byte, _ netip.AddrPort) (n int, ok bool) {
	defer func() {
		if !ok { // also after a panic: then nothing may be sent that would end what the state is for
			h.state = zone.State{}
		}
	}()
	return h.answer(buf, query)
}

func (h *hot) answer(buf, query []byte) (int, bool) {
	q := &h.asked
	if !q.read(query) {
		return 0, false
	}
	if h.state.Snapshot == nil {
		var ready bool
		if h.state, ready = h.Muster.state(); !ready {
			return 0, false
		}
	}
	// Appending must never need more room than there is: what does not fit is refused.
	msg := append(buf[:0:min(len(buf), udpSize)], query[:q.end]...)
	p := &h.question
	p.Name, p.Type, p.Room, p.Tail = q.name(), q.qtype, min(q.room, len(buf)), &optSizes[b2i(q.opt)][b2i(h.state.Stale)]
	msg, found, ok := h.finder.AppendPlain(msg, &h.state, p)
	if !ok || found.Status == answer.NoName && h.passes(q.name()) {
		return 0, false
	}
	rcode := byte(dns.RcodeSuccess)
	if found.Status == answer.NoName {
		rcode = dns.RcodeNameError
	}
	msg[2] = qrBit | aaBit | query[2]&rdBit
	msg[3] = query[3]&cdBit | rcode
	records := 1<<48 | found.Records
	if q.opt {
		msg = appendOPT(msg, q, h.state.Stale, found.Reason)
		records++
	}
	binary.BigEndian.PutUint64(msg[4:], records)
	h.tallies.count(q.qtype, found)
	return len(msg), true
}

// passes reports whether a name that does not exist is for the next plugin.
func (h *hot) passes(name string) bool {
	return h.Next != nil && len(h.fall.Zones) > 0 && h.fall.Through(name)
}

// Sent says that n answers are on their way, the first of which was read that long ago.
func (h *hot) Sent(n int, took time.Duration) {
	h.state = zone.State{}
	h.tallies.sent(n, took)
}
