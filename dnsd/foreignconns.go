package dnsd

import (
	"net"
	"sync"
)

// foreignConns are the open connections to CoreDNS's own servers of one generation,
// so that a drain has an end also when a client holds on to its connection.
type foreignConns struct {
	mu   sync.Mutex
	open map[*trackedConn]struct{}
}

// track wraps a listener so that its connections are kept in c. The first Accept
// calls accepting.
func (c *foreignConns) track(l net.Listener, accepting func()) net.Listener {
	return trackedListener{l, c, accepting}
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
	conns *foreignConns
}

func (c *trackedConn) Close() error {
	c.conns.mu.Lock()
	delete(c.conns.open, c)
	c.conns.mu.Unlock()
	return c.Conn.Close()
}
