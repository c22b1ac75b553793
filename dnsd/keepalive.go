package dnsd

import (
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// keepalive is what edns-tcp-keepalive (RFC 7828) has to do with one query.
type keepalive int

const (
	notAsked keepalive = iota
	asked
	malformed // RFC 7828 3.2.1: the option of a query is empty
)

// askedKeepalive looks for the option in a query, of which wire is the message.
func askedKeepalive(query *dns.Msg, wire []byte) keepalive {
	opt := query.IsEdns0()
	if opt == nil {
		return notAsked
	}
	i := slices.IndexFunc(opt.Option, isKeepalive)
	if i < 0 {
		return notAsked
	}
	if o := opt.Option[i].(*dns.EDNS0_TCP_KEEPALIVE); o.Timeout != 0 || !emptyKeepalive(wire) {
		return malformed
	}
	return asked
}

// emptyKeepalive looks at the message itself: unpacked, a timeout of 0 is the same
// as none.
func emptyKeepalive(wire []byte) bool {
	_, off, err := dns.UnpackDomainName(wire, headerSize)
	if err != nil {
		return false
	}
	for off += 4; off < len(wire); {
		rr, next, err := dns.UnpackRR(wire, off)
		if err != nil {
			return false
		}
		if h := rr.Header(); h.Rrtype == dns.TypeOPT {
			return emptyOption(wire[next-int(h.Rdlength):next], dns.EDNS0TCPKEEPALIVE)
		}
		off = next
	}
	return false
}

// emptyOption reports whether the first option with the code has no data.
func emptyOption(options []byte, code uint16) bool {
	for len(options) >= 4 {
		length := binary.BigEndian.Uint16(options[2:])
		if binary.BigEndian.Uint16(options) == code {
			return length == 0
		}
		options = options[min(4+int(length), len(options)):]
	}
	return false
}

// withKeepalive returns the reply with the timeout in its OPT in place of what a
// handler made of the option, or with none for 0. A reply without OPT gets none.
// The reply is not changed: handlers may share parts of it.
func withKeepalive(reply *dns.Msg, timeout time.Duration) *dns.Msg {
	i := slices.IndexFunc(reply.Extra, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeOPT })
	if i < 0 {
		return reply
	}
	opt := reply.Extra[i].(*dns.OPT)
	if timeout == 0 && !slices.ContainsFunc(opt.Option, isKeepalive) {
		return reply
	}
	ours := *opt
	ours.Option = slices.DeleteFunc(slices.Clone(opt.Option), isKeepalive)
	if timeout > 0 {
		units := min(max(timeout/(100*time.Millisecond), 1), math.MaxUint16)
		ours.Option = append(ours.Option, &dns.EDNS0_TCP_KEEPALIVE{Code: dns.EDNS0TCPKEEPALIVE, Timeout: uint16(units)})
	}
	m := *reply
	m.Extra = slices.Clone(reply.Extra)
	m.Extra[i] = &ours
	return &m
}

func isKeepalive(o dns.EDNS0) bool { return o.Option() == dns.EDNS0TCPKEEPALIVE }
