package dnsd

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

// question is what a plain query asks, as the packet has it.
type question struct {
	name    []byte    // ends in the root
	labels  [4]uint64 // a bit for each octet of the name that a label begins at
	qtype   uint16
	do      bool
	options bool // there are some
}

const (
	maxLabel = 63
	maxName  = 255
)

// read finds the question in a packet that [admit] lets through, and reports whether that
// is all there is in it but for an OPT record.
func (q *question) read(packet []byte) bool {
	const (
		one    = 1 << 48 // question, and no answer or authority records
		counts = 0xffff_ffff_ffff_0000
	)
	records := binary.BigEndian.Uint64(packet[4:])
	if packet[2]&opcodeBits != 0 || records&counts != one {
		return false
	}
	end := q.readName(packet[headerSize:])
	if end == 0 || len(packet) < headerSize+end+4 {
		return false
	}
	rest := packet[headerSize+end:]
	q.qtype = binary.BigEndian.Uint16(rest)
	if binary.BigEndian.Uint16(rest[2:]) != dns.ClassINET || !plainType(q.qtype) {
		return false
	}
	switch rest = rest[4:]; uint16(records) {
	case 0:
		q.do, q.options = false, false
		return len(rest) == 0
	case 1:
		return q.readOPT(rest)
	}
	return false
}

// plainType reports whether a type is one of data, that lies where its name does.
func plainType(t uint16) bool {
	const firstMeta, lastMeta = 128, 255 // RFC 6895 3.1
	return t != dns.TypeDS && t != dns.TypeOPT && t != 0 && (t < firstMeta || t > lastMeta)
}

// readName returns the length of the name that message begins with, 0 when that is
// none.
func (q *question) readName(message []byte) int {
	q.labels = [4]uint64{}
	for at := 0; at < len(message) && at < maxName; {
		q.labels[at>>6] |= 1 << (at & 63)
		label := int(message[at])
		at++
		if label == 0 {
			q.name = message[:at]
			return at
		}
		if label > maxLabel {
			return 0
		}
		at += label
	}
	return 0
}

// readOPT takes in an OPT record, and reports whether it is one and nothing follows.
func (q *question) readOPT(record []byte) bool {
	if len(record) < optSize || record[0] != 0 || record[1] != 0 || record[2] != typeOPT {
		return false
	}
	const version, flags, length = 6, 7, 9
	q.do, q.options = record[flags]&doBit != 0, len(record) > optSize
	return record[version] == 0 && optSize+int(binary.BigEndian.Uint16(record[length:])) == len(record)
}

// in reports whether the name is a zone, in lower case, or lies in it.
func (q *question) in(zone []byte) bool {
	at := len(q.name) - len(zone)
	if at < 0 || q.labels[at>>6]&(1<<(at&63)) == 0 {
		return false
	}
	for i, octet := range q.name[at:] {
		if octet-'A' < 26 {
			octet += 'a' - 'A'
		}
		if octet != zone[i] {
			return false
		}
	}
	return true
}
