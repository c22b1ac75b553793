package server

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// connections bounds those of the HTTP edge. When there is no room for a new one, the
// one that has been quiet for longest is closed, as one may be at any time between two
// calls: who holds thousands of connections that say nothing keeps nobody out. While
// all have calls under way, new ones wait.
type connections struct {
	net.Listener

	most int

	mu        sync.Mutex
	room      sync.Cond // something is quiet, closed, or over
	over      bool
	quiet     list.List                  // of quiet, for longest first
	open      map[net.Conn]*list.Element // nil: not quiet
	lent      int                        // to connections of gRPC
	displaced uint64                     // closed for others
}

// quietLeast is for how long a connection has been quiet when it is closed for another
// one: who has just come is given the time to say something.
const quietLeast = time.Second

// quiet is a connection that has no call under way.
type quiet struct {
	conn  net.Conn
	since time.Time
}

func newConnections(most int) *connections {
	c := &connections{most: most, open: map[net.Conn]*list.Element{}}
	c.room.L = &c.mu
	return c
}

// Accept implements net.Listener.
func (c *connections) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.open)+c.lent >= c.most && !c.over {
		c.makeRoom()
	}
	if c.over {
		_ = conn.Close() // nobody has said anything yet
		return nil, net.ErrClosed
	}
	c.hush(conn)
	return conn, nil
}

// makeRoom closes the connection that has been quiet for longest, or waits until one
// may be. c.mu is locked.
func (c *connections) makeRoom() {
	first := c.quiet.Front()
	if first == nil {
		c.room.Wait()
		return
	}
	if left := quietLeast - time.Since(first.Value.(quiet).since); left > 0 {
		timer := time.AfterFunc(left, c.room.Broadcast)
		defer timer.Stop()
		c.room.Wait()
		return
	}
	c.displace()
}

// displace closes the connection that has been quiet for longest, and reports whether
// there is one that was for long enough. c.mu is locked.
func (c *connections) displace() bool {
	first := c.quiet.Front()
	if first == nil {
		return false
	}
	longest := first.Value.(quiet)
	if time.Since(longest.since) < quietLeast {
		return false
	}
	c.quiet.Remove(first)
	delete(c.open, longest.conn)
	_ = longest.conn.Close() // its reader finds out
	c.displaced++
	return true
}

// lend reports whether there is room for a connection of gRPC, which counts as one that
// has a call under way. The one that has been quiet for longest makes room.
func (c *connections) lend() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.open)+c.lent >= c.most && !c.displace() {
		return false
	}
	c.lent++
	return true
}

func (c *connections) giveBack() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lent--
	c.room.Signal()
}

// hush notes that a connection is quiet from now on.
func (c *connections) hush(conn net.Conn) { c.open[conn] = c.quiet.PushBack(quiet{conn, time.Now()}) }

// Close implements net.Listener.
func (c *connections) Close() error {
	c.mu.Lock()
	c.over = true
	c.room.Broadcast()
	c.mu.Unlock()
	return c.Listener.Close()
}

// follow is told by the server what its connections do.
func (c *connections) follow(conn net.Conn, state http.ConnState) {
	if over, ok := conn.(*tls.Conn); ok {
		conn = over.NetConn()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, open := c.open[conn]; !open {
		return // it was closed for another
	}
	switch state {
	case http.StateActive:
		c.unquiet(conn)
	case http.StateIdle:
		c.unquiet(conn)
		c.hush(conn)
		c.room.Signal()
	case http.StateClosed, http.StateHijacked:
		c.unquiet(conn)
		delete(c.open, conn)
		c.room.Signal()
	case http.StateNew: // Accept has noted it
	}
}

func (c *connections) unquiet(conn net.Conn) {
	if e := c.open[conn]; e != nil {
		c.quiet.Remove(e)
		c.open[conn] = nil
	}
}

var (
	descConnections = prometheus.NewDesc("muster_http_connections", "Connections to the HTTP edge, by whether they have a call under way.", []string{"state"}, nil)
	descClosed      = prometheus.NewDesc("muster_http_connections_displaced_total", "Connections to the HTTP edge that were quiet for longest and closed for new ones.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c *connections) Describe(to chan<- *prometheus.Desc) {
	to <- descConnections
	to <- descClosed
}

// Collect implements prometheus.Collector.
func (c *connections) Collect(to chan<- prometheus.Metric) {
	c.mu.Lock()
	quiet, open, closed := c.quiet.Len(), len(c.open), c.displaced
	c.mu.Unlock()
	to <- prometheus.MustNewConstMetric(descConnections, prometheus.GaugeValue, float64(quiet), "quiet")
	to <- prometheus.MustNewConstMetric(descConnections, prometheus.GaugeValue, float64(open-quiet), "busy")
	to <- prometheus.MustNewConstMetric(descClosed, prometheus.CounterValue, float64(closed))
}
