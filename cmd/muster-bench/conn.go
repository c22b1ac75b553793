package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"syscall"
	"time"
)

// request is one call of HTTP. Its query, and the body that POST has in place of one
// when form is set, are encoded already.
type request struct {
	method, path string
	query        string
	body         string
	mime         string // of the body
	header       string // further lines, each with its end
}

// conn is a connection to one server, which is opened when it is first used and again
// when it broke. One goroutine uses it at a time. It does less than net/http's client
// does, so that the machine is left to the server under load.
type conn struct {
	server *url.URL
	c      net.Conn
	r      *bufio.Reader
	out    []byte
	body   []byte
}

// maxBody bounds an answer.
const maxBody = 64 << 20

// do sends a request and returns the status and the body, which is good until the next
// call. A connection that the server has closed meanwhile is opened again, once.
func (c *conn) do(ctx context.Context, timeout time.Duration, r request) (int, []byte, error) {
	reused := c.c != nil
	status, body, began, err := c.try(ctx, timeout, r)
	if err != nil && reused && !began && ctx.Err() == nil && !errors.Is(err, errTimeout) {
		status, body, _, err = c.try(ctx, timeout, r)
	}
	return status, body, err
}

var errTimeout = errors.New("timeout")

// try is do without a second chance. It reports whether an answer had begun.
func (c *conn) try(ctx context.Context, timeout time.Duration, r request) (status int, body []byte, began bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	defer func() {
		if err == nil {
			return
		}
		if ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) { // either may come first
			err = errTimeout
		}
		c.close()
	}()
	if c.c == nil {
		if err := c.dial(ctx); err != nil {
			return 0, nil, false, err
		}
	}
	if err := c.c.SetDeadline(time.Now().Add(timeout)); err != nil {
		return 0, nil, false, err
	}
	open := c.c
	stop := context.AfterFunc(ctx, func() { _ = open.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := c.c.Write(c.encode(r)); err != nil {
		return 0, nil, false, err
	}
	if _, err := c.r.Peek(1); err != nil {
		return 0, nil, false, err
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return 0, nil, true, err
	}
	defer resp.Body.Close()
	if c.body, err = readAll(c.body[:0], resp.Body); err != nil {
		return 0, nil, true, err
	}
	if resp.Close {
		c.close()
	}
	return resp.StatusCode, c.body, true, nil
}

// readAll appends all that is read to a buffer.
func readAll(to []byte, from io.Reader) ([]byte, error) {
	for {
		if len(to) == cap(to) {
			to = append(to, 0)[:len(to)]
		}
		n, err := from.Read(to[len(to):cap(to)])
		to = to[:len(to)+n]
		switch {
		case errors.Is(err, io.EOF):
			return to, nil
		case err != nil:
			return to, err
		case len(to) > maxBody:
			return to, errors.New("the answer has more than 64 MiB")
		}
	}
}

func (c *conn) encode(r request) []byte {
	b := append(c.out[:0], r.method...)
	b = append(b, ' ')
	b = append(b, c.server.EscapedPath()...)
	b = append(b, r.path...)
	if r.query != "" {
		b = append(append(b, '?'), r.query...)
	}
	b = append(append(append(b, " HTTP/1.1\r\nHost: "...), c.server.Host...), "\r\nUser-Agent: muster-bench\r\n"...)
	b = append(b, r.header...)
	if r.body != "" || r.method == http.MethodPost || r.method == http.MethodPut {
		if r.body != "" {
			b = append(append(append(b, "Content-Type: "...), r.mime...), "\r\n"...)
		}
		b = strconv.AppendInt(append(b, "Content-Length: "...), int64(len(r.body)), 10)
		b = append(b, "\r\n"...)
	}
	c.out = append(append(b, "\r\n"...), r.body...)
	return c.out
}

func (c *conn) dial(ctx context.Context) (err error) {
	host := c.server.Host
	if c.server.Port() == "" {
		port := "80"
		if c.server.Scheme == "https" {
			port = "443"
		}
		host = net.JoinHostPort(c.server.Hostname(), port)
	}
	if c.server.Scheme == "https" {
		c.c, err = new(tls.Dialer).DialContext(ctx, "tcp", host)
	} else {
		c.c, err = new(net.Dialer).DialContext(ctx, "tcp", host)
	}
	if err != nil {
		c.c = nil
		return err
	}
	c.r = bufio.NewReader(c.c)
	return nil
}

func (c *conn) close() {
	if c.c != nil {
		_ = c.c.Close() // nothing more is to be had from it
		c.c = nil
	}
}

// faultOf names an error in a word that many errors share.
func faultOf(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, errTimeout):
		return "timeout"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed"
	}
	return err.Error()
}
