package plugin_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/answer"
	"github.com/musterhq/muster/registry"
)

// questions makes packets that ask for all that a roll has, and for what it has not.
type questions struct {
	*rand.Rand
	zones []string
	names []string // below a zone
}

func questionsFor(snap *registry.Snapshot, rnd *rand.Rand, zones ...string) *questions {
	q := &questions{Rand: rnd, zones: zones}
	addrs := map[netip.Addr]bool{}
	for _, s := range snap.Services() {
		q.add(s.Key.Name+".svc", s.Key.Exact())
		for n := range s.Names() {
			q.add(n.String(), n.Instances(), "_http._tcp."+n.String(), "_udp."+n.String(), "_tcp."+n.String(), "x."+n.String())
			if app, ok := n.Application(); ok {
				q.add("_"+app+"._tcp.svc", n.Selected("tcp"), n.Selected("udp"))
			}
			for _, t := range s.Types() {
				q.add(t.String() + "." + n.String())
			}
			for _, i := range s.Instances.Slice(0, min(3, s.Instances.Len())) {
				if label, _, ok := strings.Cut(string(answer.AppendAddress(nil, i.Addr)), "."); i.Addr.IsValid() && ok {
					q.add(label + "." + n.Instances())
				}
			}
		}
		for i := range s.Instances.All() {
			if i.Addr.IsValid() && !addrs[i.Addr] {
				addrs[i.Addr] = true
				q.add(string(answer.AppendAddress(nil, i.Addr)))
			}
		}
	}
	for range 20 { // of each kind there is more than of names that are nobody's
		q.add("", "svc", "inst", "addr", "ns1", "deep.ns1", "nope.svc", "nope", "_tcp", "_udp.svc", "_http._tcp", "b._dns-sd._udp", "_services._dns-sd._udp",
			"dev.ns", "nope.svc.dev.ns", "order-api1.svc.nope.cl", "*.svc", "ip-10-300-0-1.addr", "ip-10-250-250-250.addr", "ip6-0-0-0-0-0-0-0-1.addr", "com.svc", "foo.com.svc")
	}
	return q
}

func (q *questions) add(names ...string) { q.names = append(q.names, names...) }

func (q *questions) one(n int) bool { return q.IntN(n) == 0 }

func (q *questions) pick(of ...int) int { return of[q.IntN(len(of))] }

// packet returns one question.
func (q *questions) packet() []byte {
	name := q.names[q.IntN(len(q.names))]
	if q.one(30) {
		name = fmt.Sprintf("%s%d.%s", []string{"a", "x-", "_", strings.Repeat("y", q.IntN(66))}[q.IntN(4)], q.IntN(1000), name)
	}
	if q.one(30) {
		_, name, _ = strings.Cut(name, ".")
	}
	zone := q.zones[q.IntN(len(q.zones))]
	if q.one(40) {
		zone = []string{"example.org", "internal", "xmuster.internal", "", "1.0.0.10.in-addr.arpa"}[q.IntN(5)]
	}
	b := binary.BigEndian.AppendUint16(nil, uint16(q.Uint32()))
	b = append(b, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0)
	b[2] = byte(q.IntN(2))      // RD
	b[3] = byte(q.IntN(4) << 4) // AD, CD
	if q.one(40) {
		b[2], b[3] = b[2]^byte(1<<q.IntN(8)), b[3]^byte(1<<q.IntN(8))
	}
	for label := range strings.SplitSeq(name+"."+zone, ".") {
		if label == "" {
			continue
		}
		label = label[:min(len(label), 63)]
		b = append(append(b, byte(len(label))), q.spelled(label)...)
	}
	b = append(b, 0)
	qtype := q.pick(int(dns.TypeA), int(dns.TypeA), int(dns.TypeAAAA), int(dns.TypeSRV), int(dns.TypeSRV))
	if q.one(12) {
		qtype = q.pick(int(dns.TypeTXT), int(dns.TypeMX), int(dns.TypeANY), int(dns.TypeSOA), int(dns.TypeNS), int(dns.TypeHTTPS), int(dns.TypeCNAME), int(dns.TypePTR), q.IntN(1<<16))
	}
	class := int(dns.ClassINET)
	if q.one(60) {
		class = q.pick(int(dns.ClassCHAOS), int(dns.ClassANY), q.IntN(1<<16))
	}
	b = append(b, byte(qtype>>8), byte(qtype), byte(class>>8), byte(class))
	for range q.pick(0, 1, 1) {
		b = q.withOPT(b)
	}
	return q.damaged(b)
}

// spelled changes the case of letters, and now and then some octets.
func (q *questions) spelled(label string) []byte {
	b := []byte(label)
	if q.one(3) {
		for i, c := range b {
			if 'a' <= c && c <= 'z' && q.one(2) {
				b[i] = c - 'a' + 'A'
			}
		}
	}
	if q.one(100) {
		b[q.IntN(len(b))] = byte(q.Uint32())
	}
	return b
}

func (q *questions) withOPT(b []byte) []byte {
	b[11]++
	size := q.pick(0, 1, 511, 512, 513, 700, 900, 1231, 1232, 1232, 1232, 1233, 4096, 65535, q.IntN(1<<16))
	var options []byte
	if q.one(10) {
		options = [][]byte{{0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8}, {0, 3, 0, 0}, {0, 8, 0, 7, 0, 1, 24, 0, 192, 0, 2}, {0, 12, 0, 2, 0, 0}}[q.IntN(4)]
	}
	flags := byte(q.pick(0, 0, 0x80))
	opt := []byte{0, 0, 41, byte(size >> 8), byte(size), 0, 0, flags, 0, 0, byte(len(options))}
	if q.one(40) {
		opt[q.IntN(len(opt))] ^= byte(1 << q.IntN(8))
	}
	b = append(append(b, opt...), options...)
	if q.one(60) {
		return q.withOPT(b)
	}
	return b
}

// damaged returns a packet as it is, or what a bad link or mind makes of it.
func (q *questions) damaged(b []byte) []byte {
	switch q.IntN(60) {
	case 0:
		return b[:q.IntN(len(b)+1)]
	case 1:
		return append(b, byte(q.Uint32()))
	case 2:
		b[q.IntN(len(b))] = byte(q.Uint32())
	case 3:
		at := q.IntN(len(b))
		return slices.Insert(b, at, byte(q.Uint32()))
	}
	return b
}
