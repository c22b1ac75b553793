package plugin

import (
	"context"
	"strings"
	"time"

	"github.com/coredns/coredns/plugin"
	"github.com/miekg/dns"

	"github.com/musterhq/muster/answer"
	"github.com/musterhq/muster/zone"
)

// exchange is one message and what it is answered.
type exchange struct {
	*Muster

	ctx   context.Context //nolint:containedctx // of one call, like the exchange
	w     dns.ResponseWriter
	r     *dns.Msg
	opt   *dns.OPT // of the message, nil when it has none
	tcp   bool     // it came over TCP, or what is as good: TLS, HTTPS, QUIC
	began time.Time

	scope   uint8         // of the client's subnet option
	options []dns.EDNS0   // of the answer's OPT record, beside the usual ones
	reason  answer.Reason // of what was found
}

// query answers a question.
func (e *exchange) query() (int, error) {
	asked := e.r.Question[0]
	owner := dns.Fqdn(asked.Name)
	z := e.zones.Match(strings.ToLower(owner))
	if z == nil || asked.Qclass != dns.ClassINET {
		return e.elsewhere()
	}
	if asked.Qtype == dns.TypeAXFR || asked.Qtype == dns.TypeIXFR {
		return e.refuse(dns.RcodeRefused, extended(dns.ExtendedErrorCodeProhibited, ""))
	}
	st, ready := e.state()
	if !ready {
		return e.refuse(dns.RcodeServerFailure, extended(dns.ExtendedErrorCodeNotReady, ""))
	}
	from := e.atlas.origin(e.w.RemoteAddr(), e.opt)
	found := e.zones.Lookup(st, z, zone.Question{Owner: owner, Type: asked.Qtype, Room: e.room(), From: from.Place})
	if found.Status == answer.NoName && len(found.Answer) == 0 && e.Next != nil && e.fall.Through(owner) {
		return e.next()
	}
	if found.Placed {
		e.scope = from.scope
		if from.scope > 0 { // by a subnet of the client, of which labels may know a part
			_, scope := st.Snapshot.LabelsOf(from.Network)
			e.scope = max(e.scope, uint8(scope))
		}
	}
	e.reason = found.Reason
	return e.write(reply(e.r, found), explained(st, found)...)
}

// elsewhere hands on what is not ours. Where nobody is left to ask it refuses:
// that is all an authoritative server can say (never a referral to the root).
func (e *exchange) elsewhere() (int, error) {
	if e.Next != nil {
		return e.next()
	}
	return e.refuse(dns.RcodeRefused, extended(dns.ExtendedErrorCodeNotAuthoritative, ""))
}

func (e *exchange) next() (int, error) {
	return plugin.NextOrFailure(name, e.Next, e.ctx, e.w, e.r)
}

// refuse answers with a code of failure, and the reason unless it is nil.
func (e *exchange) refuse(rcode int, why *dns.EDNS0_EDE) (int, error) {
	m := new(dns.Msg).SetRcode(e.r, rcode)
	if why == nil {
		return e.write(m)
	}
	return e.write(m, why)
}

// room returns how many octets a reply may have.
func (e *exchange) room() int {
	switch {
	case e.tcp:
		return dns.MaxMsgSize
	case e.opt != nil:
		return min(max(int(e.opt.UDPSize()), dns.MinMsgSize), udpSize)
	}
	return dns.MinMsgSize
}

// slip answers one message of too many: truncated and empty, or not at all.
func (e *exchange) slip(truncated bool) (int, error) {
	if !truncated {
		return dns.RcodeSuccess, nil // the server takes it for written
	}
	m := new(dns.Msg).SetReply(e.r)
	m.Truncated = true
	return e.write(m)
}

// write sends a reply. It returns RcodeSuccess whatever the reply says: any code
// of failure would have the server write another.
func (e *exchange) write(reply *dns.Msg, errors ...*dns.EDNS0_EDE) (int, error) {
	e.seal(reply, errors)
	err := e.w.WriteMsg(reply)
	e.counters.count(e.ctx, e.tcp, reply, e.reason, e.began)
	if err != nil {
		return dns.RcodeSuccess, plugin.Error(name, err)
	}
	return dns.RcodeSuccess, nil
}

// seal makes reply fit and gives it an OPT record if the message has one, which
// carries errors (RFC 8914) and returns the client's subnet, with the scope for
// which the answer holds (RFC 7871, 7.2.1).
func (e *exchange) seal(reply *dns.Msg, errors []*dns.EDNS0_EDE) {
	size := e.room()
	if e.opt != nil {
		opt := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
		opt.SetUDPSize(udpSize)
		opt.SetDo(e.opt.Do())
		for _, ede := range errors {
			opt.Option = append(opt.Option, ede)
		}
		if subnet := subnetOf(e.opt); subnet != nil {
			echo := *subnet
			echo.SourceScope = e.scope
			opt.Option = append(opt.Option, &echo)
		}
		opt.Option = append(opt.Option, e.options...)
		if c := e.cookie(); c != nil {
			opt.Option = append(opt.Option, c)
		}
		reply.Extra = append(reply.Extra, opt)
		// The server fits the reply once more, by the size in the request's OPT,
		// which is also the one that our OPT announces in the end. It undoes the
		// compression of what fits without: so no more than fits is announced.
		e.opt.SetUDPSize(min(max(e.opt.UDPSize(), dns.MinMsgSize), udpSize))
	}
	fit(reply, size)
	if size == dns.MaxMsgSize {
		// Nobody can ask for more than this: who is told that it was cut can only
		// fail, and what is left is a fair choice.
		reply.Truncated = false
	}
}
