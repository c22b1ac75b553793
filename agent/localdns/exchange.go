package localdns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// udpSize is what a server may send over UDP: what the servers send at most, and
// what passes unfragmented (RFC 9715).
const udpSize = 1232

// exchange asks one server over UDP, and over TCP when the answer did not fit. Each
// question has a socket of its own, and with it a port that nobody else can guess.
// The error is the system's, or says what was wrong with the answer.
func exchange(ctx context.Context, server netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
	reply, err := over(ctx, "udp", server, q)
	if err != nil || !reply.Truncated {
		return reply, err
	}
	return over(ctx, "tcp", server, q)
}

// over asks over one transport. Over UDP, what is no answer to the question is
// passed over: it may come from anybody.
func over(ctx context.Context, network string, server netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
	raw, err := (&net.Dialer{}).DialContext(ctx, network, server.String())
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	conn := &dns.Conn{Conn: raw, UDPSize: udpSize}
	if err := conn.WriteMsg(q); err != nil {
		return nil, errors.Join(ctx.Err(), err)
	}
	for {
		reply, err := conn.ReadMsg()
		switch {
		case err == nil && answersTo(reply, q):
			return reply, nil
		case network == "udp" && (reply != nil || errors.Is(err, dns.ErrShortRead)): // understood or not
			continue
		case err == nil:
			return nil, errors.New("the answer is to another question")
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
		return nil, err
	}
}

// answersTo reports whether reply is an answer to q.
func answersTo(reply, q *dns.Msg) bool {
	if !reply.Response || reply.Id != q.Id || reply.Opcode != q.Opcode || len(reply.Question) != 1 {
		return false
	}
	got, want := reply.Question[0], q.Question[0]
	return got.Qtype == want.Qtype && got.Qclass == want.Qclass && strings.EqualFold(got.Name, want.Name)
}

// parseServer returns the address of a server's DNS, whose port is 53 when the text
// names none.
func parseServer(text string) (netip.AddrPort, error) {
	if at, err := netip.ParseAddrPort(text); err == nil {
		if at.Port() == 0 || at.Addr().IsUnspecified() {
			return at, fmt.Errorf("%q is no address that can be asked", text)
		}
		return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), nil
	}
	a, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil || a.IsUnspecified() {
		return netip.AddrPort{}, fmt.Errorf("%q is not ADDRESS:PORT or ADDRESS, an IP address", text)
	}
	return netip.AddrPortFrom(a.Unmap(), 53), nil
}
