package cluster

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"
)

// echo answers every line with the same.
func echo(t *testing.T) (address string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for lines := bufio.NewScanner(c); lines.Scan(); {
					fmt.Fprintln(c, lines.Text())
				}
			}()
		}
	}()
	return l.Addr().String()
}

// says reports whether a line comes back.
func says(c net.Conn, line string) bool {
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return false
	}
	fmt.Fprintln(c, line)
	lines := bufio.NewScanner(c)
	return lines.Scan() && lines.Text() == line
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestProxiesCutOneRoute(t *testing.T) {
	p := newProxies()
	defer p.Close()
	address := echo(t)
	first, err := p.Route("s1", "e1", address)
	if err != nil {
		t.Fatal(err)
	}
	second, err := p.Route("s2", "e1", address)
	if err != nil {
		t.Fatal(err)
	}
	one, two := dial(t, first), dial(t, second)
	if !says(one, "a") || !says(two, "b") {
		t.Fatal("a route carries nothing")
	}
	if err := p.Cut("e1", "s1"); err != nil {
		t.Fatal(err)
	}
	if says(one, "c") {
		t.Error("a connection outlives the cut")
	}
	if says(dial(t, first), "d") {
		t.Error("a new connection passes the cut")
	}
	if !says(two, "e") {
		t.Error("the cut took another route along")
	}
	if err := p.Mend("s1", "e1"); err != nil {
		t.Fatal(err)
	}
	if !says(dial(t, first), "f") {
		t.Error("the route carries nothing after it was mended")
	}
	if err := p.Cut("s1", "s2"); !errors.Is(err, ErrNoPartition) {
		t.Errorf("Cut() of what was never routed = %v, want ErrNoPartition", err)
	}
}
