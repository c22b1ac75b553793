package probe

import "context"

// tcp passes when a connection opens; it sends nothing.
type tcp struct {
	guard   *Guard
	address string
}

func newTCP(c Check, g *Guard) (Prober, error) {
	if _, err := splitAddress(c.TCP); err != nil {
		return nil, err
	}
	return &tcp{g, c.TCP}, nil
}

func (p *tcp) Probe(ctx context.Context) error {
	conn, err := dial(ctx, p.guard, p.address)
	if err != nil {
		return failure(ctx, err)
	}
	conn.Close()
	return nil
}
