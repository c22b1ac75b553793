package dnsd

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// foreignConns are the open connections to CoreDNS's own servers of one generation,
// so that a drain has an end also when a client holds on to its connection. Of too
// many, one that has said nothing for long gives way to a new one.
type foreignConns struct {
	most int

	mu   sync.Mutex
	open map[*trackedConn]struct{}
}

// track wraps a listener so that its connections are kept in c. The first Accept
// calls accepting.
func (c *foreignConns) track(l net.Listener, url string, accepting func()) net.Listener {
	return trackedListener{l, c, url, accepting}
}

// closeAll closes the connections that are still open.
func (c *foreignConns) closeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.open {
		conn.Conn.Close()
	}
}

type trackedListener struct {
	net.Listener
	conns     *foreignConns
	url       string
	accepting func()
}

func (l trackedListener) Accept() (net.Conn, error) {
	l.accepting()
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.conns.mu.Lock()
	defer l.conns.mu.Unlock()
	tracked := &trackedConn{Conn: conn, conns: l.conns}
	if l.conns.open == nil {
		l.conns.open = map[*trackedConn]struct{}{}
	}
	tracked.heard.Store(time.Now().UnixNano())
	if len(l.conns.open) >= l.conns.most {
		l.conns.silent().Conn.Close() // who serves it closes the tracked one
		dropped.WithLabelValues(l.url, "tcp").Inc()
	}
	l.conns.open[tracked] = struct{}{}
	return tracked, nil
}

// looked is how many connections are looked at for a silent one: among so many that
// came in a flood some are old enough, and looking at all takes time in which more come.
const looked = 16

// silent returns one of the open connections, of some the one that said nothing for
// longest, and takes it off the list. c.mu is locked.
func (c *foreignConns) silent() *trackedConn {
	var longest *trackedConn
	seen := 0
	for conn := range c.open { // in an order that nobody knows
		if longest == nil || conn.heard.Load() < longest.heard.Load() {
			longest = conn
		}
		if seen++; seen == looked {
			break
		}
	}
	delete(c.open, longest)
	return longest
}

type trackedConn struct {
	net.Conn
	conns *foreignConns
	heard atomic.Int64 // when something came last
}

func (c *trackedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.heard.Store(time.Now().UnixNano())
	}
	return n, err
}

func (c *trackedConn) Close() error {
	c.conns.mu.Lock()
	delete(c.conns.open, c)
	c.conns.mu.Unlock()
	return c.Conn.Close()
}
