package plugin

import (
	"encoding/binary"
	"unsafe"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/answer"
	"github.com/musterhq/muster/zone"
)

// The header of a message (RFC 1035, 4.1.1) and an OPT record without options (RFC
// 6891, 6.1.2).
const (
	headerSize = 12
	qrBit      = 0x80 // in octet 2
	aaBit      = 0x04
	rdBit      = 0x01
	adBit      = 0x20 // in octet 3
	cdBit      = 0x10

	optSize = 11
	doBit   = 0x80 // in octet 7
)

// plain is a question that is answered from the wire.
type plain struct {
	end   int // of the question in the packet
	qtype uint16
	opt   bool
	do    bool
	room  int // octets that the reply may have

	length int // of the name
	text   [256]byte
}

// name returns the name in lower case, with the dot at the end. It is good until the
// next packet is read.
func (p *plain) name() string { return unsafe.String(&p.text[0], p.length) }

// letters are the octets that labels of plain names have, in lower case, and
// otherLetter in the place of all others.
var letters = func() (letters [256]byte) {
	for c := range letters {
		letters[c] = otherLetter
	}
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyz0123456789-_") {
		letters[c] = c
	}
	for c := 'A'; c <= 'Z'; c++ {
		letters[c] = byte(c + 'a' - 'A')
	}
	return letters
}()

const otherLetter = 0x80

// read reads a packet that is nothing but a question of class IN for A, AAAA or SRV,
// and perhaps an OPT record of version 0 without options. It returns false for any
// other one.
func (p *plain) read(packet []byte) bool {
	// Of the flags a client may set RD, AD and CD.
	if len(packet) < headerSize || packet[2]&^rdBit != 0 || packet[3]&^(adBit|cdBit) != 0 {
		return false
	}
	counts := binary.BigEndian.Uint64(packet[4:])
	if counts&^1 != 1<<48 { // one question, and perhaps one record in Additional
		return false
	}
	if !p.readName(packet) || p.end+4 > len(packet) {
		return false
	}
	asked := binary.BigEndian.Uint32(packet[p.end:])
	p.end += 4
	p.qtype = uint16(asked >> 16)
	if uint16(asked) != dns.ClassINET || p.qtype != dns.TypeA && p.qtype != dns.TypeAAAA && p.qtype != dns.TypeSRV {
		return false
	}
	p.opt, p.do, p.room = counts&1 == 1, false, dns.MinMsgSize
	if !p.opt {
		return p.end == len(packet)
	}
	return p.readOPT(packet[p.end:])
}

// readName reads the labels of the question. A pointer is none.
func (p *plain) readName(packet []byte) bool {
	at, length := headerSize, 0
	for {
		if at >= len(packet) {
			return false
		}
		label := int(packet[at])
		at++
		if label == 0 {
			break
		}
		if label > 63 || at+label >= len(packet) || length+label+1 >= 255 {
			return false
		}
		all := byte(0)
		text := p.text[length:][:label] // as long as the label, so nothing has to be checked in the loop
		for i, c := range packet[at:][:label] {
			text[i] = letters[c]
			all |= letters[c]
		}
		if all&otherLetter != 0 {
			return false
		}
		p.text[length+label] = '.'
		length += label + 1
		at += label
	}
	p.end, p.length = at, length
	return length > 0
}

// readOPT reads what follows the question, which is one OPT record and nothing else.
func (p *plain) readOPT(b []byte) bool {
	// Root, type, size, then extended code, version and flags, of which DO alone is known.
	if len(b) != optSize || b[0] != 0 || binary.BigEndian.Uint16(b[1:]) != dns.TypeOPT || b[5] != 0 || b[6] != 0 || b[7]&^doBit != 0 || b[8] != 0 ||
		b[9] != 0 || b[10] != 0 {
		return false
	}
	p.do = b[7] != 0
	p.room = min(max(int(binary.BigEndian.Uint16(b[3:])), dns.MinMsgSize), udpSize)
	return true
}

// appendOPT appends the OPT record of a reply, with what RFC 8914 has a code for.
func appendOPT(msg []byte, q *plain, stale bool, reason answer.Reason) []byte {
	errors := extendedErrors[b2i(stale)][reason]
	flags := byte(0)
	if q.do {
		flags = doBit
	}
	msg = append(msg, 0, 0, byte(dns.TypeOPT), byte(q.room>>8), byte(q.room), 0, 0, flags, 0, byte(len(errors)>>8), byte(len(errors)))
	return append(msg, errors...)
}

// extendedErrors are the options that explain an answer, by whether the roll may be out
// of date, and by the reason.
var extendedErrors = func() (all [2][answer.Protected + 1][]byte) {
	for stale := range all {
		for reason := range all[stale] {
			opt := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
			for _, e := range explained(zone.State{Stale: stale == 1}, zone.Result{Reason: answer.Reason(reason)}) {
				opt.Option = append(opt.Option, e)
			}
			var wire [128]byte
			end, err := dns.PackRR(opt, wire[:], 0, nil, false)
			if err != nil {
				panic("plugin muster: " + err.Error()) // it is the same each time
			}
			all[stale][reason] = wire[optSize:end]
		}
	}
	return all
}()

// optSizes are how many octets appendOPT appends, and none where it has no part.
var optSizes = func() (sizes [2][2][answer.Protected + 1]int) {
	for stale, errors := range extendedErrors {
		for reason := range errors {
			sizes[1][stale][reason] = optSize + len(errors[reason])
		}
	}
	return sizes
}()
