package dnsd

import (
	"net"
	"sync"

	"github.com/coredns/coredns/plugin"
	"github.com/prometheus/client_golang/prometheus"
)

// drops are what systems drop before it is read, for the metrics: asked when they are.
type drops struct {
	desc *prometheus.Desc

	mu      sync.Mutex
	sockets map[*net.UDPConn]*dropped32
	totals  map[string]uint64 // by server, of its sockets until now
}

// dropped32 are those of one socket, which the system counts in 32 bits.
type dropped32 struct {
	server string
	last   uint32
}

var socketDrops = newDrops(prometheus.DefaultRegisterer)

func newDrops(reg prometheus.Registerer) *drops {
	d := &drops{
		desc: prometheus.NewDesc(prometheus.BuildFQName(plugin.Namespace, "transport", "socket_dropped_total"),
			"Counter of UDP packets that the system has dropped, as they came faster than they were read, or were no queries or part of a flood.",
			[]string{"server"}, nil),
		sockets: map[*net.UDPConn]*dropped32{}, totals: map[string]uint64{},
	}
	reg.MustRegister(d)
	return d
}

// watch counts what is dropped at a socket from now on.
func (d *drops) watch(conn *net.UDPConn, server string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sockets[conn] = &dropped32{server: server}
	d.totals[server] += 0
}

// forget is called before a socket is closed.
func (d *drops) forget(conn *net.UDPConn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.sockets[conn]; s != nil {
		d.look(conn, s)
		delete(d.sockets, conn)
	}
}

func (d *drops) look(conn *net.UDPConn, s *dropped32) {
	now := systemDrops(conn)
	d.totals[s.server] += uint64(now - s.last)
	s.last = now
}

// Describe implements [prometheus.Collector].
func (d *drops) Describe(ch chan<- *prometheus.Desc) { ch <- d.desc }

// Collect implements [prometheus.Collector].
func (d *drops) Collect(ch chan<- prometheus.Metric) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for conn, s := range d.sockets {
		d.look(conn, s)
	}
	for server, n := range d.totals {
		ch <- prometheus.MustNewConstMetric(d.desc, prometheus.CounterValue, float64(n), server)
	}
}
