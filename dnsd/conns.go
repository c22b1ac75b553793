package dnsd

import (
	"net"
	"sync"
)

// conns are the open connections of one generation, so that a drain has an end
// also when a client holds on to its connection.
type conns struct {
	mu   sync.Mutex
	open map[*trackedConn]struct{}
}

// track wraps a listener so that its connections are kept in c. The first Accept
// calls accepting.
func (c *conns) track(l net.Listener, accepting func()) net.Listener {
	return trackedListener{l, c, accepting}
}

// closeAll closes the connections that are still open.
func (c *conns) closeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.open {
		conn.Conn.Close()
	}
}

type trackedListener struct {
	net.Listener
	conns     *conns
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
	l.conns.open[tracked] = struct{}{}
	return tracked, nil
}

type trackedConn struct {
	net.Conn
	conns *conns
}

func (c *trackedConn) Close() error {
	c.conns.mu.Lock()
	delete(c.conns.open, c)
	c.conns.mu.Unlock()
	return c.Conn.Close()
}
