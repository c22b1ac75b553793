package main

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// zone is the zone that servers of the tests serve.
const zone = ".svc.muster.internal."

// exchange asks one question over UDP.
func exchange(server, name string, qtype uint16) (reply *dns.Msg, err error) {
	m := new(dns.Msg)
	m.SetQuestion(name, qtype)
	m.SetEdns0(1232, false)
	c := dns.Client{Timeout: 2 * time.Second, UDPSize: 1232}
	for range 5 { // a busy machine loses some
		if reply, _, err = c.Exchange(m, server); err == nil {
			return reply, nil
		}
	}
	return nil, err
}

// located returns what a service's SRV answer says of each instance, sorted:
// priority, weight, address and port. It is nil when the answer holds none,
// and an error when there was no proper answer.
func located(server, service string) (at []string, err error) {
	reply, err := exchange(server, service+zone, dns.TypeSRV)
	if err != nil {
		return nil, err
	}
	if reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError {
		return nil, fmt.Errorf("answer %s", dns.RcodeToString[reply.Rcode])
	}
	for _, rr := range reply.Answer {
		srv, ok := rr.(*dns.SRV)
		if !ok {
			return nil, fmt.Errorf("%v in an SRV answer", rr)
		}
		at = append(at, fmt.Sprintf("%d %d %s", srv.Priority, srv.Weight,
			net.JoinHostPort(addressOf(reply, srv.Target), fmt.Sprint(srv.Port))))
	}
	slices.Sort(at)
	return at, nil
}

// addressOf returns the address that the additional section has for a name.
func addressOf(m *dns.Msg, name string) string {
	for _, rr := range m.Extra {
		if a, ok := rr.(*dns.A); ok && strings.EqualFold(a.Hdr.Name, name) {
			return a.A.String()
		}
	}
	return ""
}

// addressesIn returns the addresses of an answer, in its order.
func addressesIn(m *dns.Msg) (all []string) {
	for _, rr := range m.Answer {
		if a, ok := rr.(*dns.A); ok {
			all = append(all, a.A.String())
		}
	}
	return all
}

// isLocated reports whether a service's SRV answer is exactly that.
func isLocated(server, service string, want ...string) bool {
	at, err := located(server, service)
	return err == nil && slices.Equal(at, want)
}
