package probe

import (
	"context"
	"fmt"
	"net"
	"strconv"
)

// tcp passes when a connection opens; it sends nothing.
type tcp struct {
	address string
	dialer  net.Dialer
}

func newTCP(c Check) (Prober, error) {
	_, port, err := net.SplitHostPort(c.TCP)
	if err != nil {
		return nil, fmt.Errorf("%q is not host:port", c.TCP)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return nil, fmt.Errorf("port %q is not within 1 to 65535", port)
	}
	if c.Method != "" || len(c.Headers) > 0 || len(c.Expect) > 0 || c.TLSSkipVerify {
		return nil, fmt.Errorf("method, headers, expect and tls_skip_verify belong to http")
	}
	return &tcp{address: c.TCP}, nil
}

func (p *tcp) Probe(ctx context.Context) error {
	conn, err := p.dialer.DialContext(ctx, "tcp", p.address)
	if err != nil {
		return err
	}
	return conn.Close()
}
