package dnsd

import (
	"encoding/binary"
	"net/netip"
	"reflect"
	"slices"
)

// Gate decides which UDP packets are worth an answer, before any of them is
// parsed. A plugin's handler that implements it is asked about every packet to
// each dns:// address that a server block with the plugin listens on, ahead of the
// [HotPath]. Packets shorter than a DNS header and those with QR=1 never reach it.
type Gate interface {
	// Admit reports whether the packet goes on to the hot path and CoreDNS. One that
	// does not gets no answer or, if truncated, nothing but its question with TC=1,
	// so that a client that is what its address says comes back over TCP.
	//
	// It is called from several goroutines at a time. It must not block, nor change
	// query, nor keep it. A packet at which it panics gets no answer.
	Admit(query []byte, from netip.AddrPort) (answer, truncated bool)
}

// gates are all gates of one address.
type gates []Gate

// Admit implements [Gate]. All are asked until one does not let the packet pass.
func (g gates) Admit(query []byte, from netip.AddrPort) (answer, truncated bool) {
	for _, gate := range g {
		if answer, truncated := gate.Admit(query, from); !answer {
			return false, truncated
		}
	}
	return true, false
}

// gatesOf are the gates among the handlers of blocks, each once: the zones of a
// server block share their handlers, and a gate may count.
func gatesOf(blocks []*block) gates {
	var found gates
	for _, b := range blocks {
		for _, h := range b.Handlers() {
			if g, ok := h.(Gate); ok && !slices.ContainsFunc(found, func(other Gate) bool { return same(g, other) }) {
				found = append(found, g)
			}
		}
	}
	return found
}

func same(a, b any) bool {
	return reflect.ValueOf(a).Comparable() && reflect.ValueOf(b).Comparable() && a == b
}

// cut writes the truncated answer to query to buf, and returns its length, which
// is never more than that of the query. It is 0 for a packet that asks no question.
func cut(buf, query []byte) int {
	end := questionEnd(query)
	if end == 0 {
		return 0
	}
	n := copy(buf, query[:end])
	buf[2] = query[2]&(opcodeBits|rdBit) | qrBit | tcBit
	buf[3] = query[3] & cdBit
	clear(buf[6:headerSize])
	if opt := query[end:]; binary.BigEndian.Uint32(query[6:]) == 0 && len(opt) >= optSize && opt[0] == 0 && opt[1] == 0 && opt[2] == typeOPT {
		// RFC 6891 6.1.1: who asks with OPT is answered with OPT. Ours holds no
		// option, and of the flags only DO (RFC 3225).
		n += copy(buf[n:], []byte{0, 0, typeOPT, udpSize >> 8, udpSize & 0xff, 0, 0, opt[7] & doBit, 0, 0, 0})
		buf[11] = 1
	}
	return n
}

// questionEnd is where the only question of a packet ends, or 0.
func questionEnd(packet []byte) int {
	if binary.BigEndian.Uint16(packet[4:]) != 1 {
		return 0
	}
	const typeAndClass = 4
	var q question
	end := q.readName(packet[headerSize:])
	if end == 0 || headerSize+end+typeAndClass > len(packet) {
		return 0
	}
	return headerSize + end + typeAndClass
}
