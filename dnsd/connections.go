package dnsd

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

// connections are the TCP connections of all dns:// addresses of a Server. When
// there is no room for one more, the one that has been idle for longest is closed
// (RFC 7766 6.2.3 leaves the choice to the server).
type connections struct {
	max, perClient int

	working working
	backlog *backlog

	mu      sync.Mutex
	open    map[*conn]struct{}
	idle    list.List // of *conn, idle for longest first
	clients map[netip.Prefix]*clientConns
}

// clientConns are the connections from one prefix.
type clientConns struct {
	open    int
	idle    list.List // as that of connections
	working working
}

func newConnections(cfg Config) *connections {
	limit := cfg.MaxConns
	return &connections{
		max: limit,
		// One client is often a whole site behind one address, but never all.
		perClient: max(limit/4, 1),
		working:   make(working, maxWorking),
		backlog:   newBacklog(cfg.MaxUnsent),
		open:      map[*conn]struct{}{},
		clients:   map[netip.Prefix]*clientConns{},
	}
}

// connState is what connections keeps about one of them, under its lock.
type connState struct {
	busy         int // queries being answered
	idleSince    time.Time
	ended        bool          // nothing is read any more
	closed       bool          // and it is not counted any more
	all, ofOwner *list.Element // in the lists of idle ones, nil when busy
}

// clientPrefix is what counts as one client: an address of IPv4, and of IPv6 what
// a site is usually given.
func clientPrefix(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := 56
	if addr.Is4() {
		bits = 32
	}
	p, _ := addr.Prefix(bits) // always enough bits
	return p
}

// add counts a new connection, idle at first. It reports false when there is no
// room, as all others are busy.
func (t *connections) add(c *conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if from := t.clients[c.prefix]; from != nil && from.open >= t.perClient && !t.evict(&from.idle) {
		return false
	}
	if len(t.open) >= t.max && !t.evict(&t.idle) {
		return false
	}
	from := t.clients[c.prefix] // evict may have dropped it
	if from == nil {
		from = &clientConns{working: make(working, maxWorking/4)}
		t.clients[c.prefix] = from
	}
	from.open++
	c.working = from.working
	t.open[c] = struct{}{}
	t.setIdle(c)
	return true
}

// evict closes the first of a list of idle connections.
func (t *connections) evict(idle *list.List) bool {
	first := idle.Front()
	if first == nil {
		return false
	}
	t.close(first.Value.(*conn))
	return true
}

// begin counts one more query of c, which is here as a whole: a connection that has
// sent a part of one is as idle as others.
func (t *connections) begin(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.state.busy++; c.state.all != nil {
		t.unsetIdle(c)
	}
}

// done takes back a begin. The last query of a connection that is read from no
// more closes it.
func (t *connections) done(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.state.busy--
	t.settle(c)
}

// end says that c is read from no more.
func (t *connections) end(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.state.ended = true
	t.settle(c)
}

func (t *connections) settle(c *conn) {
	switch {
	case c.state.busy > 0 || c.state.closed:
	case c.state.ended:
		t.close(c)
	default:
		t.setIdle(c)
	}
}

// idleSince tells since when c is idle, or false when it is not.
func (t *connections) idleSince(c *conn) (time.Time, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return c.state.idleSince, c.state.busy == 0
}

// each calls f for all connections of e.
func (t *connections) each(e *endpoint, f func(*conn)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.open {
		if c.endpoint == e {
			f(c)
		}
	}
}

func (t *connections) setIdle(c *conn) {
	c.state.idleSince = time.Now()
	c.state.all = t.idle.PushBack(c)
	c.state.ofOwner = t.clients[c.prefix].idle.PushBack(c)
}

func (t *connections) unsetIdle(c *conn) {
	t.idle.Remove(c.state.all)
	t.clients[c.prefix].idle.Remove(c.state.ofOwner)
	c.state.all, c.state.ofOwner = nil, nil
}

// close closes c and makes room for another one.
func (t *connections) close(c *conn) {
	if c.state.closed {
		return
	}
	c.state.closed = true
	if c.state.all != nil {
		t.unsetIdle(c)
	}
	delete(t.open, c)
	from := t.clients[c.prefix]
	if from.open--; from.open == 0 {
		delete(t.clients, c.prefix)
	}
	c.Close()
}
