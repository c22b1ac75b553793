package zone

import (
	"encoding/binary"
	"net/netip"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/answer"
	"github.com/musterhq/muster/registry"
)

// Plain is what a plain question comes to: the same as what [Zones.Lookup] finds, in
// octets.
type Plain struct {
	Status answer.Status
	Reason answer.Reason
	// Records is how many there are in each section, as the last octets of a header
	// say: 16 bits each of Answer, Authority and Additional.
	Records uint64
}

// PlainQuestion is a question of A, AAAA or SRV, at the name that a message has as its
// only one.
type PlainQuestion struct {
	Name string // in lower case, with the dot at the end; no label holds a dot or needs a backslash
	Type uint16
	Room int // octets that the reply may have
	// Tail is how many octets will be appended to the reply for each reason.
	Tail *[answer.Protected + 1]int
}

// AppendPlain appends to msg, which is the header of a reply and the question, the
// records of the reply. It returns false where it takes more to answer: a name of no
// zone of ours, an alias, an answer that depends on who asks, or one that does not fit
// as a whole. It allocates nothing, unless msg has less room than the question says.
func (f *Finder) AppendPlain(msg []byte, st *State, q *PlainQuestion) (octets []byte, p Plain, ok bool) {
	z := f.Match(q.Name)
	if z == nil || z.reverse {
		return msg, p, false
	}
	var a answer.Answer
	switch f.place(z, q.Name) {
	case atApex:
		a.Status = answer.NoData
	case inRoll:
		f.ask(&a, st, z, q.Name, TypeOf(q.Type), q.Room, answer.Place{})
	default:
		return msg, p, false
	}
	if a.Placed || a.Cut || a.Alias != "" {
		return msg, p, false
	}
	p.Status, p.Reason = a.Status, a.Reason
	var w plainWriter
	w.msg, w.room, w.target = msg, q.Room-q.Tail[a.Reason], f.target[:0]
	switch {
	case a.Status != answer.Found:
		p.Records = 1 << 16
		w.soa(z, headerSize+len(q.Name)-len(z.Name), st.bounded(f.cfg.NegativeTTL), st.Serial())
	case q.Type == dns.TypeSRV:
		p.Records = uint64(len(a.Servers)) << 32
		p.Records += uint64(w.servers(z, &a, st.bounded(f.ttlOf(&a)), st.bounded(f.cfg.TTL), q.Room))
	default:
		p.Records = uint64(len(a.Addrs)) << 32
		w.addresses(headerSize, st.bounded(f.ttlOf(&a)), a.Addrs)
	}
	return w.msg, p, !w.failed
}

// headerSize is where the question begins in a message: its name is the owner that is
// pointed to (RFC 1035, 4.1.4).
const headerSize = 12

// plainWriter writes records to a message as long as they fit.
type plainWriter struct {
	msg    []byte
	room   int
	target []byte // the name that the next record points to
	failed bool
}

// recordSize is what a record has beside its data: a pointer to the owner, and the fixed
// fields.
const recordSize = 2 + 10

// record begins a record with so many octets of data, owned by the name at an offset.
func (w *plainWriter) record(owner int, rrtype uint16, ttl uint32, data int) bool {
	if w.failed = w.failed || len(w.msg)+recordSize+data > w.room; w.failed {
		return false
	}
	w.msg = append(w.msg, 0xc0|byte(owner>>8), byte(owner), byte(rrtype>>8), byte(rrtype), 0, dns.ClassINET,
		byte(ttl>>24), byte(ttl>>16), byte(ttl>>8), byte(ttl), byte(data>>8), byte(data))
	return true
}

// addresses writes A or AAAA records of one owner.
func (w *plainWriter) addresses(owner int, ttl uint32, addrs []netip.Addr) {
	for _, a := range addrs {
		w.address(owner, ttl, a)
	}
}

func (w *plainWriter) address(owner int, ttl uint32, a netip.Addr) {
	if a.Is4() {
		if w.record(owner, dns.TypeA, ttl, 4) {
			octets := a.As4()
			w.msg = append(w.msg, octets[:]...)
		}
		return
	}
	if w.record(owner, dns.TypeAAAA, ttl, 16) {
		octets := a.As16()
		w.msg = append(w.msg, octets[:]...)
	}
}

// mostServers is how many SRV records fit into any reply over UDP.
const mostServers = 1232 / leastServer

// servers writes SRV records, and the addresses of their targets, each once, unless the
// records alone take the whole room, as [least] counts. It returns how many addresses
// there are.
func (w *plainWriter) servers(z *Zone, a *answer.Answer, ttl, glueTTL uint32, room int) (glue int) {
	var targets [mostServers]uint16 // where they are in the message
	if len(a.Servers) > len(targets) {
		w.failed = true
		return 0
	}
	size, least := 0, 0
	for i := range a.Servers {
		s := &a.Servers[i]
		target := w.server(z, s, ttl)
		if w.failed {
			return 0
		}
		if s.Addr.IsValid() && (!a.Shared || !seen(a.Servers[:i], s.Addr)) {
			targets[i] = uint16(target)
			size += recordSize + s.Addr.BitLen()/8
		}
		least += leastServer + len(w.msg) - target - 1 // a name is an octet longer on the wire than as text
	}
	if least >= room {
		return 0
	}
	if len(w.msg)+size > w.room {
		return w.someGlue(a.Servers, targets[:], glueTTL)
	}
	for i := range a.Servers {
		if targets[i] > 0 {
			w.address(int(targets[i]), glueTTL, a.Servers[i].Addr)
			glue++
		}
	}
	return glue
}

// server writes an SRV record, and returns where its target is.
func (w *plainWriter) server(z *Zone, s *answer.Server, ttl uint32) (target int) {
	if s.Addr.Is4() && len(w.msg)+mostServer4+len(z.wire) <= w.room {
		return w.server4(z, s, ttl)
	}
	if !w.spell(z, s) || !w.record(headerSize, dns.TypeSRV, ttl, 6+len(w.target)) {
		w.failed = true
		return 0
	}
	w.numbers(s)
	target = len(w.msg)
	w.msg = append(w.msg, w.target...)
	return target
}

func (w *plainWriter) numbers(s *answer.Server) {
	w.msg = append(w.msg, byte(s.Priority>>8), byte(s.Priority), byte(s.Weight>>8), byte(s.Weight), byte(s.Port>>8), byte(s.Port))
}

// mostServer4 bounds the octets that server4 writes, now and then some of them twice, but
// for the name of the zone.
const mostServer4 = recordSize + 6 + 1 + len("ip-255-255-255-255."+registry.LabelAddress)

// server4 is server for an address of IPv4 where there is room enough: nearly always. It
// spells the target where it belongs, and then says how long it is.
func (w *plainWriter) server4(z *Zone, s *answer.Server, ttl uint32) (target int) {
	w.record(headerSize, dns.TypeSRV, ttl, 0)
	w.numbers(s)
	target = len(w.msg)
	b := answer.AppendAddress(append(w.msg, 0), s.Addr)
	dot := len(b) - len("."+registry.LabelAddress)
	b[target], b[dot] = byte(dot-target-1), byte(len(registry.LabelAddress))
	b = append(b, z.wire...)
	binary.BigEndian.PutUint16(b[target-6-2:], uint16(6+len(b)-target))
	w.msg = b
	return target
}

// someGlue writes those of the addresses of targets that fit, in their order: the same
// ones that are left when records do not fit into a message.
func (w *plainWriter) someGlue(servers []answer.Server, targets []uint16, ttl uint32) (glue int) {
	for ; ; glue++ {
		least := -1
		for i := range servers {
			if targets[i] > 0 && (least < 0 || servers[i].Addr.Less(servers[least].Addr)) {
				least = i
			}
		}
		if least < 0 || len(w.msg)+recordSize+servers[least].Addr.BitLen()/8 > w.room {
			return glue
		}
		w.address(int(targets[least]), ttl, servers[least].Addr)
		targets[least] = 0
	}
}

// seen reports whether one of servers is at an address.
func seen(servers []answer.Server, a netip.Addr) bool {
	for i := range servers {
		if servers[i].Addr == a {
			return true
		}
	}
	return false
}

// spell puts the name at which a server is found into target. It returns false for
// one of other labels than host names have.
func (w *plainWriter) spell(z *Zone, s *answer.Server) bool {
	w.target = append(w.target[:0], 0)
	if s.Addr.IsValid() {
		w.target = answer.AppendAddress(w.target, s.Addr)
		dot := len(w.target) - len("."+registry.LabelAddress)
		w.target[0], w.target[dot] = byte(dot-1), byte(len(registry.LabelAddress))
		w.target = append(w.target, z.wire...)
		return true
	}
	label := 0 // where the octet lies that says how long it is
	for i := range len(s.Host) {
		c := s.Host[i]
		if c == '.' && w.target[label] > 0 {
			label = len(w.target)
			w.target = append(w.target, 0)
			continue
		}
		if c = plainLetters[c]; c == 0 || w.target[label] == maxLabel {
			return false
		}
		w.target = append(w.target, c)
		w.target[label]++
	}
	if w.target[label] > 0 { // it had no dot at the end
		w.target = append(w.target, 0)
	}
	const most = 255
	return w.target[0] > 0 && len(w.target) <= most
}

// plainLetters are the octets of host names, in lower case; 0 for any other.
var plainLetters = func() (letters [256]byte) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyz0123456789-_") {
		letters[c] = c
	}
	for c := 'A'; c <= 'Z'; c++ {
		letters[c] = byte(c + 'a' - 'A')
	}
	return letters
}()

// soa writes the SOA record of a zone, whose name is at an offset.
func (w *plainWriter) soa(z *Zone, owner int, ttl, serial uint32) {
	const numbers = 5 * 4
	if w.record(owner, dns.TypeSOA, ttl, len(z.soaNames)+numbers) {
		w.msg = append(w.msg, z.soaNames...)
		w.msg = binary.BigEndian.AppendUint32(w.msg, serial)
		w.msg = append(w.msg, z.soaTimes...)
	}
}
