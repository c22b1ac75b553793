package wire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// patience is how long one request may take.
const patience = 30 * time.Second

// bytes returns the request as it is sent.
func (s step) bytes(host string) string {
	header := strings.Join(s.header, "\r\n")
	body := strings.Join(s.body, "\r\n")
	if len(s.fields) > 0 {
		pairs := make([]string, len(s.fields))
		for i, f := range s.fields {
			name, value, _ := strings.Cut(f, "=")
			pairs[i] = url.QueryEscape(name) + "=" + url.QueryEscape(value)
		}
		body = strings.Join(pairs, "&")
		header += "\r\nContent-Type: application/x-www-form-urlencoded"
	}
	if body != "" || s.method == http.MethodPost || s.method == http.MethodPut {
		header += fmt.Sprintf("\r\nContent-Length: %d", len(body))
	}
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n\r\n%s",
		s.method, s.target, host, strings.TrimPrefix(header, "\r\n"), body)
}

// response is an answer that was read to its end.
type response struct {
	status int
	header http.Header
	body   string
}

func (r response) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d\n", r.status)
	_ = r.header.Write(&b) // a builder takes all
	return b.String() + r.body
}

// send writes a request to a connection of its own and reads the answer.
func send(ctx context.Context, address, method, request string) (got response, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return got, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return got, err
	}
	// A server may answer, and close, before it has read everything.
	go func() { _, _ = io.WriteString(conn, request) }() // ends with the connection; the answer says the rest
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		return got, fmt.Errorf("no answer: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if errors.Is(err, syscall.ECONNRESET) {
		err = nil // how a body without a length ends where the request was not read
	}
	return response{resp.StatusCode, resp.Header, string(body)}, err
}
