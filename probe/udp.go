package probe

import (
	"context"
	"errors"
	"net"
	"os"
	"time"
)

// DefaultPayload is the datagram of a udp check that names none.
const DefaultPayload = "muster-check\n"

// maxQuiet is how long a udp check waits for a refusal where silence passes, for
// no longer than nine tenths of the time it has.
const maxQuiet = time.Second

// maxDatagram is what is read of an answer.
const maxDatagram = 8 << 10

// udp sends one datagram. A refusal fails, and an answer passes if it is the one
// that is looked for. Silence may mean that all is well, that the datagram was
// lost, or that a firewall drops it: it passes unless an answer is expected.
type udp struct {
	guard   *Guard
	address string
	payload []byte
	match   *match
	expects bool
}

func newUDP(c Check, g *Guard) (Prober, error) {
	if _, err := splitAddress(c.UDP); err != nil {
		return nil, err
	}
	p := &udp{guard: g, address: c.UDP}
	var err error
	if p.payload, err = c.payload(); err != nil {
		return nil, err
	}
	if len(p.payload) == 0 {
		p.payload = []byte(DefaultPayload)
	}
	if p.match, err = c.match(); err != nil {
		return nil, err
	}
	p.expects = c.ExpectAnswer || p.match != nil
	return p, nil
}

func (p *udp) Probe(ctx context.Context) error {
	d := net.Dialer{}
	if p.guard != nil {
		d.ControlContext = p.guard.control
	}
	c, err := d.DialContext(ctx, "udp", p.address)
	if err != nil {
		return failure(ctx, err)
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	defer c.Close()
	return failure(ctx, p.ask(ctx, c))
}

func (p *udp) ask(ctx context.Context, c net.Conn) error {
	if !p.expects {
		quiet := maxQuiet
		if end, ok := ctx.Deadline(); ok {
			quiet = min(quiet, time.Until(end)*9/10)
		}
		if err := c.SetReadDeadline(time.Now().Add(quiet)); err != nil {
			return err
		}
	}
	if _, err := c.Write(p.payload); err != nil {
		return err
	}
	b := make([]byte, maxDatagram)
	n, err := c.Read(b)
	if !p.expects && errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	if err != nil {
		return err
	}
	return p.match.in(b[:n])
}
