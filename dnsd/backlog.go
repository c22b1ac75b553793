package dnsd

import (
	"container/list"
	"net/netip"
	"sync"
)

// backlog are all answers over TCP that wait to be written. Where they are too much,
// the connections whose clients have not read for longest are closed: of a client
// that has more than its share, or else of all.
type backlog struct {
	max, perClient int // in octets

	mu      sync.Mutex
	all     pile
	clients map[netip.Prefix]*pile
}

// pile is what waits in several outboxes.
type pile struct {
	octets int
	behind list.List // of *outbox with anything unsent, by when it got any further last
}

// owed is what the backlog keeps about one outbox.
type owed struct {
	octets       int
	all, ofOwner *list.Element // in the lists of piles; nil for no octets
	forgotten    bool          // nothing is counted any more
}

func newBacklog(limit int) *backlog {
	return &backlog{max: limit, perClient: max(limit/4, 1), clients: map[netip.Prefix]*pile{}}
}

// add counts octets of o, and returns the outboxes that are too much. These are
// counted no more, and are to be failed.
func (b *backlog) add(o *outbox, octets int) (over []*outbox) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if o.owed.forgotten {
		return nil
	}
	from := b.clients[o.conn.prefix]
	if from == nil {
		from = &pile{}
		b.clients[o.conn.prefix] = from
	}
	if o.owed.octets == 0 {
		o.owed.all, o.owed.ofOwner = b.all.behind.PushBack(o), from.behind.PushBack(o)
	}
	b.count(o, from, octets)
	over = b.cut(over, from, b.perClient)
	return b.cut(over, &b.all, b.max)
}

// cut drops outboxes of a pile until it is within the limit.
func (b *backlog) cut(over []*outbox, p *pile, limit int) []*outbox {
	for p.octets > limit {
		last := p.behind.Front().Value.(*outbox)
		b.drop(last)
		over = append(over, last)
	}
	return over
}

// sent takes back what add has counted.
func (b *backlog) sent(o *outbox, octets int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if o.owed.forgotten {
		return
	}
	from := b.clients[o.conn.prefix]
	b.count(o, from, -octets)
	if o.owed.octets == 0 {
		b.remove(o, from)
		return
	}
	b.all.behind.MoveToBack(o.owed.all)
	from.behind.MoveToBack(o.owed.ofOwner)
}

// of is how many octets of o are unsent.
func (b *backlog) of(o *outbox) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return o.owed.octets
}

// forget counts nothing of o any more.
func (b *backlog) forget(o *outbox) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop(o)
}

func (b *backlog) drop(o *outbox) {
	if o.owed.octets > 0 {
		from := b.clients[o.conn.prefix]
		b.count(o, from, -o.owed.octets)
		b.remove(o, from)
	}
	o.owed.forgotten = true
}

func (b *backlog) count(o *outbox, from *pile, octets int) {
	o.owed.octets += octets
	from.octets += octets
	b.all.octets += octets
}

// remove takes o, of which nothing is left, from the lists.
func (b *backlog) remove(o *outbox, from *pile) {
	b.all.behind.Remove(o.owed.all)
	from.behind.Remove(o.owed.ofOwner)
	o.owed.all, o.owed.ofOwner = nil, nil
	if from.behind.Len() == 0 {
		delete(b.clients, o.conn.prefix)
	}
}
