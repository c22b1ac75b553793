package push_test

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/server/push"
	"github.com/musterhq/muster/test/binary"
)

// client is a real socket.
type client struct {
	*net.UDPConn

	t *testing.T
}

func newClient(t *testing.T, host string) *client {
	t.Helper()
	conn, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &client{conn.(*net.UDPConn), t}
}

func (c *client) addr() netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

// receive returns the next datagram, and where it came from.
func (c *client) receive() (datagram, netip.AddrPort) {
	c.t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		c.t.Fatal(err)
	}
	buf := make([]byte, 1<<16)
	n, from, err := c.ReadFromUDPAddrPort(buf)
	if err != nil {
		c.t.Fatal(err)
	}
	d := datagram{raw: buf[:n]}
	d.decode(c.t)
	return d, from
}

func (c *client) answer(to netip.AddrPort, text string) {
	c.t.Helper()
	if _, err := c.WriteToUDPAddrPort([]byte(text), to); err != nil {
		c.t.Fatal(err)
	}
}

func hasIPv6(t *testing.T) bool {
	t.Helper()
	conn, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "[::1]:0")
	if err == nil {
		conn.Close()
	}
	return err == nil
}

func TestSockets(t *testing.T) {
	tests := []struct{ name, server, client string }{
		{"IPv4", "127.0.0.1:0", "127.0.0.1"},
		{"IPv6", "[::1]:0", "::1"},
		{"IPv4 at a dual-stack socket", "[::]:0", "127.0.0.1"},
		{"IPv6 at a dual-stack socket", "[::]:0", "::1"},
	}
	ipv6 := hasIPv6(t)
	for _, test := range tests {
		if !ipv6 && strings.Contains(test.server+test.client, "::") {
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			t.Parallel() // each waits for the repetition, long enough for a slow machine to acknowledge that in time
			w := newWorld(t, push.Config{AckWithin: 3 * time.Second})
			conn, err := push.Listen(t.Context(), test.server)
			if err != nil {
				t.Fatal(err)
			}
			w.run(conn)
			defer w.stop()
			c := newClient(t, test.client)
			s := subscriber("orders", 0)
			s.Addr = c.addr()
			w.register("orders", 1)
			w.enrol(s)

			d, from := c.receive()
			if want := conn.LocalAddr().(*net.UDPAddr).Port; int(from.Port()) != want {
				t.Errorf("told from port %d, want that of the acknowledgements, %d", from.Port(), want)
			}
			c.answer(from, "garbage")
			again, _ := c.receive() // it was not acknowledged
			if again.stamp != d.stamp {
				t.Errorf("stamp %d when sent again, want %d", again.stamp, d.stamp)
			}
			c.answer(from, stringAck(d.stamp))
			w.until("one push is acknowledged", func(s push.Stats) bool { return s.Succeeded == 1 })

			start := time.Now()
			w.register("orders", 2, strings.Repeat("a", 2000))
			d, from = c.receive()
			if after := time.Since(start); after > binary.Promptly(2*time.Second) {
				t.Errorf("told after %v", after)
			}
			if len(d.list.Hosts) != 2 || !d.zipped {
				t.Errorf("told of %v, compressed %t, want two hosts, compressed", d.list.Hosts, d.zipped)
			}
			c.answer(from, fmt.Sprintf(`{"type":"push-ack","lastRefTime":%d}`, d.stamp))
			w.until("two pushes are acknowledged", func(s push.Stats) bool { return s.Succeeded == 2 && s.Pending == 0 })
		})
	}
}

// A client names an address of an interface of its host, is told there by a server
// at a loopback address, and answers to that: the system then takes the same address
// for the sender's.
func TestAcknowledgementFromLoopback(t *testing.T) {
	w := newWorld(t, push.Config{})
	conn, err := push.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.run(conn)
	defer w.stop()
	c := newClient(t, "0.0.0.0")
	s := subscriber("orders", 0)
	s.Addr = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), c.addr().Port())
	w.register("orders", 1)
	if !w.pusher.Enrol(s, netip.MustParseAddr("127.0.0.1")) {
		t.Fatal("Enrol = false, want true")
	}
	d, from := c.receive()
	c.answer(from, stringAck(d.stamp))
	w.until("the push is acknowledged", func(s push.Stats) bool { return s.Succeeded == 1 && s.Pending == 0 })
}

func (w *world) until(what string, done func(push.Stats) bool) {
	w.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for !done(w.pusher.Stats()) {
		select {
		case <-tick.C:
		case <-deadline:
			w.t.Fatalf("%+v after a minute, want that %s", w.pusher.Stats(), what)
		}
	}
}

func TestListenForbidsBroadcast(t *testing.T) {
	conn, err := push.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.WriteToUDPAddrPort([]byte("x"), netip.MustParseAddrPort("127.255.255.255:9")); err == nil {
		t.Error("sent to the broadcast address of a network, want an error")
	}
	if other, err := push.Listen(t.Context(), conn.LocalAddr().String()); err == nil {
		other.Close()
		t.Error("Listen at an address that is taken = nil, want an error")
	}
}
