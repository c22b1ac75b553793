package checks_test

import (
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/musterhq/muster/api"
)

// crowd answers HTTP at every address of 127/8, at one port, or hangs. It counts the
// connections.
type crowd struct {
	port  uint16
	hangs func(ip net.IP) bool
	tries atomic.Int64
	fails atomic.Bool // answers 503

	mu   sync.Mutex
	open map[net.Conn]bool // guarded by mu
}

func startCrowd(t *testing.T, hangs func(net.IP) bool) *crowd {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &crowd{port: uint16(l.Addr().(*net.TCPAddr).Port), hangs: hangs, open: map[net.Conn]bool{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.tries.Add(1)
			wg.Go(func() { c.serve(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		c.mu.Lock()
		for conn := range c.open {
			conn.Close()
		}
		c.mu.Unlock()
		wg.Wait()
	})
	return c
}

func (c *crowd) serve(conn net.Conn) {
	c.mu.Lock()
	c.open[conn] = true
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.open, conn)
		c.mu.Unlock()
		conn.Close()
	}()
	if c.hangs != nil && c.hangs(conn.LocalAddr().(*net.TCPAddr).IP) {
		_, _ = io.Copy(io.Discard, conn) // until whoever asked gives up
		return
	}
	if _, err := conn.Read(make([]byte, 4096)); err != nil {
		return
	}
	status := "200 OK"
	if c.fails.Load() {
		status = "503 Service Unavailable"
	}
	_, _ = io.WriteString(conn, "HTTP/1.1 "+status+"\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
}

// hanging returns how many wait for an answer.
func (c *crowd) hanging() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}

// address returns the n-th one of the crowd.
func (c *crowd) address(n int) string {
	return fmt.Sprintf("127.1.%d.%d:%d", n/250, n%250+1, c.port)
}

// settle registers so many instances at the addresses of a crowd, a hundred to a service.
func (h *house) settle(c *crowd, instances int, check api.HealthCheck) (services []string) {
	h.t.Helper()
	const each = 100
	var g errgroup.Group
	g.SetLimit(16)
	for first := 0; first < instances; first += each {
		service := fmt.Sprintf("crowd-%d", first/each)
		services = append(services, service)
		h.says(service, check)
		for n := first; n < min(first+each, instances); n++ {
			g.Go(func() error { return h.add(service, c.address(n)) })
		}
	}
	if err := g.Wait(); err != nil {
		h.t.Fatal(err)
	}
	return services
}
