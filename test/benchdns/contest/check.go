package contest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"

	"github.com/miekg/dns"
)

// Check asks so many random questions of a mix and demands that each answer is right in
// every part: code, flag, addresses, ports, weights.
func (c *Contestant) Check(ctx context.Context, m Mix, n int) error {
	for range n {
		s := Service(rand.IntN(Services))
		if err := c.check(ctx, m, s); err != nil {
			return fmt.Errorf("%s: %s of %s: %w", c.Name, m.Name, m.name(s), err)
		}
	}
	return nil
}

func (c *Contestant) check(ctx context.Context, m Mix, s Service) error {
	q := new(dns.Msg).SetQuestion(c.Names(m.name(s)), m.Type)
	q.SetEdns0(1232, false)
	r, _, err := new(dns.Client).ExchangeContext(ctx, q, c.Address.String())
	if network, ok := errors.AsType[net.Error](err); ok && network.Timeout() {
		r, _, err = new(dns.Client).ExchangeContext(ctx, q, c.Address.String()) // UDP may lose one
	}
	switch {
	case err != nil:
		return err
	case c.Mute:
		return nil
	case r.Rcode != m.RCode || !r.Authoritative || r.Truncated || len(r.Answer) != m.Answers:
		return fmt.Errorf("not what is wanted: %v", r)
	case m.Unknown:
		if len(r.Ns) != 1 || r.Ns[0].Header().Rrtype != dns.TypeSOA {
			return fmt.Errorf("no SOA alone in the authority section: %v", r)
		}
		return nil
	}
	left := make(map[netip.Addr]int)
	for i, w := range Weights {
		left[s.Instance(i)] = w
	}
	glue := make(map[string]netip.Addr)
	for _, rr := range r.Extra {
		if a, ok := rr.(*dns.A); ok {
			glue[a.Hdr.Name] = address(a)
		}
	}
	for _, rr := range r.Answer {
		at, err := c.record(rr, left, glue)
		if err != nil {
			return fmt.Errorf("%w: %v", err, r)
		}
		delete(left, at)
	}
	if len(left) > 0 {
		return fmt.Errorf("%v not answered: %v", left, r)
	}
	return nil
}

// record judges a record of an answer, and returns the instance that it is of.
func (c *Contestant) record(rr dns.RR, left map[netip.Addr]int, glue map[string]netip.Addr) (netip.Addr, error) {
	switch rr := rr.(type) {
	case *dns.A:
		if left[address(rr)] == 0 {
			return netip.Addr{}, fmt.Errorf("%v is not an instance", rr.A)
		}
		return address(rr), nil
	case *dns.SRV:
		at := glue[rr.Target]
		weight := left[at] * dnsWeight
		if c.Relative {
			weight = left[at]
		}
		if weight == 0 || rr.Port != Port || int(rr.Weight) != weight || !c.Relative && rr.Target != target(at) {
			return at, fmt.Errorf("%v is not of an instance whose address is there", rr)
		}
		return at, nil
	}
	return netip.Addr{}, fmt.Errorf("%v was not asked for", rr)
}

func address(a *dns.A) netip.Addr {
	at, _ := netip.AddrFromSlice(a.A.To4()) // it is the zero Addr, which is no instance
	return at
}

// await waits until the server answers for the whole zone.
func (c *Contestant) await(tb testing.TB) {
	tb.Helper()
	var problem error
	defer func() {
		if tb.Failed() {
			tb.Logf("%s: %v", c.Name, problem)
		}
	}()
	c.process.Await("right answers", func() bool {
		problem = nil
		for _, m := range Mixes {
			problem = errors.Join(problem, c.check(tb.Context(), m, Services-1))
		}
		return problem == nil
	})
}
