package dnsd

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

// The header of a message (RFC 1035 4.1.1, RFC 4035 3.2.2) and the fixed part of
// an OPT record (RFC 6891 6.1.2), as far as they are handled unparsed.
const (
	headerSize = 12

	qrBit      = 0x80 // in octet 2
	opcodeBits = 0x78
	tcBit      = 0x02
	rdBit      = 0x01
	cdBit      = 0x10 // in octet 3

	optSize = 11
	typeOPT = byte(dns.TypeOPT)
	doBit   = 0x80 // in octet 7
	udpSize = 1232 // what fits every path unfragmented
)

// maxMessage is the largest message there is, over UDP and TCP.
const maxMessage = dns.MaxMsgSize

// admit reports whether a packet deserves any answer: it has a whole header and
// is a query (QR=0). An answer to anything else would feed loops and reflection.
func admit(packet []byte) bool {
	return len(packet) >= headerSize && packet[2]&qrBit == 0
}

// header reads the header of a message that is long enough.
func header(wire []byte) dns.Header {
	at := func(i int) uint16 { return binary.BigEndian.Uint16(wire[i:]) }
	return dns.Header{Id: at(0), Bits: at(2), Qdcount: at(4), Ancount: at(6), Nscount: at(8), Arcount: at(10)}
}

// accept is the policy of miekg/dns, except that a DNS UPDATE goes on to
// CoreDNS, which knows whether a plugin wants it and says NOTIMP otherwise.
func accept(h dns.Header) dns.MsgAcceptAction {
	action := dns.DefaultMsgAcceptFunc(h)
	opcode := int(h.Bits>>11) & 0xF
	if action == dns.MsgRejectNotImplemented && opcode == dns.OpcodeUpdate && h.Qdcount == 1 {
		return dns.MsgAccept
	}
	return action
}

// unpack parses a message that [admit] lets through. For one that no handler
// should see the query is nil, and refusal is what to send instead.
func unpack(wire []byte) (query *dns.Msg, refusal []byte) {
	switch accept(header(wire)) {
	case dns.MsgAccept:
	case dns.MsgRejectNotImplemented:
		return nil, refuse(wire, dns.RcodeNotImplemented)
	default:
		return nil, refuse(wire, dns.RcodeFormatError)
	}
	m := new(dns.Msg)
	if m.Unpack(wire) != nil || !wellFormed(m) {
		return nil, refuse(wire, dns.RcodeFormatError)
	}
	return m, nil
}

// wellFormed checks what unpacking is lenient about: the question that the header
// promised is there, OPT comes once (RFC 6891 6.1.1), and TSIG comes last
// (RFC 8945 5.1).
func wellFormed(m *dns.Msg) bool {
	if len(m.Question) != 1 {
		return false
	}
	opts := 0
	for i, rr := range m.Extra {
		switch rr.Header().Rrtype {
		case dns.TypeOPT:
			opts++
		case dns.TypeTSIG:
			if i != len(m.Extra)-1 {
				return false
			}
		}
	}
	return opts <= 1
}

// refuse is an answer of a header alone: what else the query holds is not to be
// trusted, and its sender may not be who it says.
func refuse(query []byte, rcode int) []byte {
	r := make([]byte, headerSize)
	copy(r, query[:2])
	r[2] = query[2]&(opcodeBits|rdBit) | qrBit
	r[3] = query[3]&cdBit | byte(rcode)
	return r
}
