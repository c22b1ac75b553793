package localdns

import (
	"container/list"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	// mostKept and mostBytes bound the answers that are kept, each kind by itself:
	// names that do not exist must not push out those that do.
	mostKept  = 4096
	mostBytes = 4 << 20
	// leastBytes is what an answer costs beside its octets.
	leastBytes = 512
	// staleFor is how long an answer may be given after its time while no server
	// answers (RFC 8767, section 5: one to three days), and staleNegative the same
	// of what was not there: it may have come since.
	staleFor      = 72 * time.Hour
	staleNegative = 5 * time.Minute
	// mostTTL bounds the lifetime of what is kept.
	mostTTL = time.Hour
	// hot is how often an answer must have been given for it to be asked for
	// again before its time is over.
	hot = 2
)

// question is what an answer is kept by.
type question struct {
	name  string // in lower case
	qtype uint16
	do    bool // with DNSSEC records
}

// answer is what a server said. It is not changed once it is kept, but for what
// answers has under its lock.
type answer struct {
	question
	wire     []byte // the message, its names as they were asked for, without OPT
	rcode    int
	negative bool            // NXDOMAIN, or no data
	errors   []dns.EDNS0_EDE // what the server said beside it
	at       time.Time       // when it came
	ttl      time.Duration
	shares   *shares      // of an SRV set from which addresses can be drawn
	addrs    []netip.Addr // of an answer of addresses alone, nil for others

	uses    int       // under the lock of answers
	renewed time.Time // when it was last asked for again; under the lock of answers
}

// newAnswer returns reply as it is kept. Reply is changed.
func newAnswer(q question, reply *dns.Msg, now time.Time) (*answer, error) {
	a := &answer{question: q, rcode: reply.Rcode, at: now}
	if opt := reply.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if e, ok := o.(*dns.EDNS0_EDE); ok {
				a.errors = append(a.errors, *e)
			}
		}
	}
	reply.Extra = slices.DeleteFunc(reply.Extra, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeOPT })
	reply.Id, reply.Authoritative, reply.Compress = 0, false, true
	a.negative = len(reply.Answer) == 0
	a.ttl = lifetime(reply)
	if q.qtype == dns.TypeSRV {
		a.shares = sharesOf(reply)
	} else {
		a.addrs = addressesOf(reply, q.qtype)
	}
	var err error
	a.wire, err = reply.Pack()
	return a, err
}

// lifetime is how long an answer may be kept: as its shortest-lived record says, and
// of what is not there as the SOA does (RFC 2308).
func lifetime(m *dns.Msg) time.Duration {
	least := uint32(mostTTL / time.Second)
	for _, rr := range m.Answer {
		least = min(least, rr.Header().Ttl)
	}
	if len(m.Answer) > 0 {
		return time.Duration(least) * time.Second
	}
	for _, rr := range m.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return time.Duration(min(least, soa.Hdr.Ttl, soa.Minttl)) * time.Second
		}
	}
	return 0
}

// fresh reports whether the answer's time is not over.
func (a *answer) fresh(now time.Time) bool { return now.Sub(a.at) < a.ttl }

// usable reports whether the answer may be given when no server answers.
func (a *answer) usable(now time.Time) bool {
	bound := staleFor
	if a.negative {
		bound = staleNegative
	}
	return now.Sub(a.at) < a.ttl+bound
}

// due reports whether a hot answer is to be asked for again: in the last fifth of
// its time, or its last second.
func (a *answer) due(now time.Time) bool {
	return a.ttl-now.Sub(a.at) <= max(a.ttl/5, time.Second)
}

// size is what the answer counts for.
func (a *answer) size() int { return len(a.wire) + leastBytes + a.shares.size() }

// answers keeps answers in memory, within bounds: those not used for longest go
// first. It may be used by several goroutines.
type answers struct {
	mu       sync.Mutex
	kept     map[question]*list.Element // of *answer; under mu
	positive shelf                      // under mu
	negative shelf                      // under mu
	changes  uint64                     // grows when what is worth keeping on disk changes; under mu
}

// shelf is the answers of one kind, those used last in front.
type shelf struct {
	list.List
	bytes int
}

func newAnswers() *answers { return &answers{kept: map[question]*list.Element{}} }

func (s *answers) shelf(a *answer) *shelf {
	if a.negative {
		return &s.negative
	}
	return &s.positive
}

// get returns the answer to q, nil if none is kept, and counts the use. renew is
// true when the caller is to ask for it again by the way.
func (s *answers) get(q question, now time.Time) (a *answer, renew bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.kept[q]
	if e == nil {
		return nil, false
	}
	a = e.Value.(*answer)
	s.shelf(a).MoveToFront(e)
	a.uses++
	if a.uses > hot && a.fresh(now) && a.due(now) && now.Sub(a.renewed) > time.Second {
		a.renewed = now
		renew = true
	}
	return a, renew
}

// put keeps a in place of what was kept before.
func (s *answers) put(a *answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.kept[a.question]; e != nil {
		was := e.Value.(*answer)
		a.uses = min(was.uses/2, hot+1) // what was hot is warm
		s.remove(e)
		if !a.negative && (was.negative || a.addrs == nil && !sameRecords(was, a)) {
			s.changes++ // addresses are drawn anew each time: their SRV set tells
		}
	} else if !a.negative {
		s.changes++
	}
	shelf := s.shelf(a)
	s.kept[a.question] = shelf.PushFront(a)
	shelf.bytes += a.size()
	for shelf.Len() > mostKept || shelf.bytes > mostBytes && shelf.Len() > 1 {
		s.remove(shelf.Back())
	}
}

func (s *answers) remove(e *list.Element) {
	a := e.Value.(*answer)
	shelf := s.shelf(a)
	shelf.Remove(e)
	shelf.bytes -= a.size()
	delete(s.kept, a.question)
}

// retain removes the answers whose name is not ours.
func (s *answers) retain(ours func(name string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for q, e := range s.kept {
		if !ours(q.name) {
			s.remove(e)
		}
	}
}

// inUse returns the positive answers, those used last in front, and the number of
// changes up to now.
func (s *answers) inUse() ([]*answer, uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*answer, 0, s.positive.Len())
	for e := s.positive.Front(); e != nil; e = e.Next() {
		all = append(all, e.Value.(*answer))
	}
	return all, s.changes
}

// count returns how many answers are kept, and what they count for.
func (s *answers) count() (n, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.kept), s.positive.bytes + s.negative.bytes
}

// sameRecords reports whether two answers say the same, times aside. Servers
// give the records of an SRV set in no order.
func sameRecords(a, b *answer) bool {
	return a.rcode == b.rcode && slices.Equal(recordsOf(a), recordsOf(b))
}

func recordsOf(a *answer) []string {
	m := new(dns.Msg)
	if err := m.Unpack(a.wire); err != nil {
		return nil
	}
	var all []string
	for _, rr := range m.Answer {
		rr.Header().Ttl = 0
		all = append(all, strings.ToLower(rr.String()))
	}
	slices.Sort(all)
	return all
}

// addressesOf returns the addresses of an answer that holds the address records that
// were asked for and nothing else, nil for others.
func addressesOf(m *dns.Msg, qtype uint16) []netip.Addr {
	addrs := make([]netip.Addr, 0, len(m.Answer))
	for _, rr := range m.Answer {
		a, ok := addressOf(rr)
		if !ok || rr.Header().Rrtype != qtype {
			return nil
		}
		addrs = append(addrs, a)
	}
	if len(addrs) == 0 {
		return nil
	}
	return addrs
}

// addressOf returns the address of an A or AAAA record.
func addressOf(rr dns.RR) (a netip.Addr, ok bool) {
	switch rr := rr.(type) {
	case *dns.A:
		a, ok = netip.AddrFromSlice(rr.A)
		return a.Unmap(), ok
	case *dns.AAAA:
		return netip.AddrFromSlice(rr.AAAA.To16())
	}
	return a, false
}
