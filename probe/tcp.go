package probe

import "context"

// tcp passes when a connection opens, and where TLS is wanted its handshake is
// done; it sends nothing else.
type tcp struct {
	guard   *Guard
	address string
	secure  *secure
}

func newTCP(c Check, g *Guard) (Prober, error) {
	host, err := splitAddress(c.TCP)
	if err != nil {
		return nil, err
	}
	s, err := c.secure(c.TLS, host)
	return &tcp{g, c.TCP, s}, err
}

func (p *tcp) Probe(ctx context.Context) error {
	conn, err := dialTLS(ctx, p.guard, p.address, p.secure)
	if err != nil {
		return failure(ctx, err)
	}
	conn.Close()
	return nil
}
