package listeners_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"syscall"
	"testing"
	"time"
)

// crowd is many clients, each with a connection of its own. One epoll tells of their
// answers: the race detector bears no ten thousand goroutines, and a machine that the
// server shares with its clients should be busy with the server.
type crowd struct {
	t     *testing.T
	to    netip.AddrPort
	epoll int
	polls map[int32]*poll // by socket
}

// poll is one client of the crowd.
type poll struct {
	number int
	socket int
	got    []byte    // of an answer that is not whole
	sent   time.Time // when it asked last
}

// answered is a poll's answer.
type answered struct {
	*poll

	at     time.Time
	status int
	body   string
	closed bool // the server ends the connection
}

// gather connects n clients.
func gather(t *testing.T, server string, n int) *crowd {
	t.Helper()
	// The test and its server hold one end each of every connection.
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < uint64(n)+200 {
		t.Fatalf("%d open files are allowed (%v), %d polls need more: raise `ulimit -Hn`", limit.Cur, err, n)
	}
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	c := &crowd{t: t, to: netip.MustParseAddrPort(server), epoll: epoll, polls: make(map[int32]*poll)}
	t.Cleanup(c.close)
	for i := range n {
		c.join(i)
	}
	return c
}

// hosts is from how many addresses of loopback clients connect: half of the polls that
// a server holds may be of one.
const hosts = 4

// join connects one client.
func (c *crowd) join(number int) *poll {
	c.t.Helper()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		c.t.Fatal(err)
	}
	p := &poll{number: number, socket: socket}
	c.polls[int32(socket)] = p
	if err := c.connect(socket, [4]byte{127, 0, 0, byte(1 + number%hosts)}); err != nil {
		c.t.Fatalf("connect client %d: %v", number, err)
	}
	return p
}

func (c *crowd) connect(socket int, from [4]byte) error {
	if err := syscall.Bind(socket, &syscall.SockaddrInet4{Addr: from}); err != nil {
		return err
	}
	if err := syscall.Connect(socket, &syscall.SockaddrInet4{Port: int(c.to.Port()), Addr: c.to.Addr().As4()}); err != nil {
		return err
	}
	if err := syscall.SetNonblock(socket, true); err != nil {
		return err
	}
	return syscall.EpollCtl(c.epoll, syscall.EPOLL_CTL_ADD, socket, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(socket)})
}

// leave ends the connection of one client.
func (c *crowd) leave(p *poll) {
	delete(c.polls, int32(p.socket))
	_ = syscall.Close(p.socket)
}

func (c *crowd) close() {
	for _, p := range c.polls {
		_ = syscall.Close(p.socket)
	}
	_ = syscall.Close(c.epoll)
}

// send sends the request of one client.
func (c *crowd) send(p *poll, body string) {
	c.t.Helper()
	// As the Go SDK, version 1, writes it.
	request := fmt.Sprintf("POST /nacos/v1/cs/configs/listener HTTP/1.1\r\nHost: %s\r\nUser-Agent: Nacos-Go-Client:v1.1.6\r\n"+
		"Client-Version: Nacos-Go-Client:v1.1.6\r\nContent-Type: application/x-www-form-urlencoded;charset=utf-8\r\n"+
		"Long-Pulling-Timeout: %d\r\nContent-Length: %d\r\n\r\n%s", c.to, hold.Milliseconds(), len(body), body)
	if n, err := syscall.Write(p.socket, []byte(request)); n != len(request) {
		c.t.Fatalf("client %d sent %d bytes: %v", p.number, n, err)
	}
	p.sent = time.Now()
}

// hear returns the answers that come before the deadline, as soon as there are some.
func (c *crowd) hear(deadline time.Time) []answered {
	c.t.Helper()
	events := make([]syscall.EpollEvent, 1024)
	for {
		wait := time.Until(deadline)
		if wait <= 0 {
			return nil
		}
		n, err := syscall.EpollWait(c.epoll, events, int(wait.Milliseconds())+1)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			c.t.Fatalf("epoll: %v", err)
		}
		at := time.Now()
		var all []answered
		for _, e := range events[:max(n, 0)] {
			if a, ok := c.read(c.polls[e.Fd]); ok {
				a.at = at
				all = append(all, a)
			}
		}
		if len(all) > 0 {
			return all
		}
	}
}

// read reads what came for a client, and reports whether that is an answer.
func (c *crowd) read(p *poll) (a answered, ok bool) {
	c.t.Helper()
	buf := make([]byte, 2048)
	n, err := syscall.Read(p.socket, buf)
	if n <= 0 || err != nil {
		c.t.Fatalf("client %d was cut off: %v", p.number, err)
	}
	p.got = append(p.got, buf[:n]...)
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(p.got)), nil)
	if err != nil {
		return a, false // there is more to come
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return a, false
	}
	p.got = nil
	return answered{poll: p, status: resp.StatusCode, body: string(body), closed: resp.Close}, true
}
