package local

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// crowds bound the connections of each listener. Where one has too many, that
// which has been idle longest goes to make room: who holds connections open keeps
// nobody out. Where none is idle the new one goes.
type crowds struct {
	limit int

	mu   sync.Mutex
	byOn map[string]*crowd        // by network; under mu
	at   map[net.Conn]*connection // under mu
}

// crowd are the connections of one network.
type crowd struct {
	count int
	idle  *list.List // of net.Conn, longest idle first
}

type connection struct {
	of   *crowd
	idle *list.Element // nil while a call is under way
}

func newCrowds(limit int) *crowds {
	return &crowds{limit: limit, byOn: map[string]*crowd{}, at: map[net.Conn]*connection{}}
}

// note is told of every change of a connection, by the server.
func (c *crowds) note(conn net.Conn, state http.ConnState) {
	out := c.move(conn, state)
	if over, ok := out.(*tls.Conn); ok {
		out = over.NetConn() // to take leave might wait for who reads nothing
	}
	if out != nil {
		out.Close()
	}
}

// move takes up a change and returns the connection that has to go, if any.
func (c *crowds) move(conn net.Conn, state http.ConnState) (out net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.at[conn]
	if at != nil && at.idle != nil {
		at.of.idle.Remove(at.idle)
		at.idle = nil
	}
	switch state {
	case http.StateNew:
		of := c.on(conn)
		at = &connection{of: of}
		c.at[conn] = at
		if of.count++; of.count > c.limit {
			if out = c.longestIdle(of); out == nil {
				return conn
			}
		}
		at.idle = of.idle.PushBack(conn) // it has asked for nothing yet
	case http.StateIdle:
		if at != nil {
			at.idle = at.of.idle.PushBack(conn)
		}
	case http.StateClosed, http.StateHijacked:
		if at != nil {
			at.of.count--
			delete(c.at, conn)
		}
	}
	return out
}

func (c *crowds) on(conn net.Conn) *crowd {
	network := conn.LocalAddr().Network()
	if c.byOn[network] == nil {
		c.byOn[network] = &crowd{idle: list.New()}
	}
	return c.byOn[network]
}

// longestIdle returns the connection that has been idle longest, nil when none is.
// It is taken for one that is busy until it is closed, so that the next new one puts
// out another.
func (c *crowds) longestIdle(of *crowd) net.Conn {
	first := of.idle.Front()
	if first == nil {
		return nil
	}
	conn, _ := of.idle.Remove(first).(net.Conn)
	c.at[conn].idle = nil
	return conn
}
