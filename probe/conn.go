package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
)

// maxRead bounds what one try reads, whatever it is.
const maxRead = 256 << 10

var errTooLong = errors.New("the answer does not end")

// conn is the connection of one try. It is closed with the end of the try's
// context, so that no read or write outlives it.
type conn struct {
	net.Conn

	left int // bytes that may still be read
	stop func() bool
}

// dial opens a connection to address, which may be a name, where g permits it.
func dial(ctx context.Context, g *Guard, address string) (*conn, error) {
	d := net.Dialer{KeepAlive: -1} // too short a life for it
	if g != nil {
		d.ControlContext = g.control
	}
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return bound(ctx, c), nil
}

func bound(ctx context.Context, c net.Conn) *conn {
	return &conn{Conn: c, left: maxRead, stop: context.AfterFunc(ctx, func() { c.Close() })}
}

func (c *conn) Read(b []byte) (int, error) {
	if c.left <= 0 {
		return 0, errTooLong
	}
	n, err := c.Conn.Read(b[:min(len(b), c.left)])
	c.left -= n
	return n, err
}

func (c *conn) Close() error {
	c.stop()
	return c.Conn.Close()
}

// splitAddress returns the host of address, which must be host:port.
func splitAddress(address string) (host string, err error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("%q is not host:port", address)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("port %q is not within 1 to 65535", port)
	}
	return host, nil
}
