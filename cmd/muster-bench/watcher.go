package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/miekg/dns"
)

const (
	// seenWithin is how long a watcher waits for a change.
	seenWithin = 10 * time.Second
	// askAgain is after how long a datagram counts as lost.
	askAgain = 250 * time.Millisecond
)

// look watches one change after the other until there are none any more.
func (s *changes) look(eye net.Conn) {
	defer eye.Close()
	for one := range s.watch {
		at, ok := s.see(eye, one)
		answered, good := <-one.answered
		switch {
		case !good: // it was not made, perhaps
		case !ok:
			s.never.Add(1)
		default:
			s.seen.Add(at.Sub(one.sent))
			s.after.Add(at.Sub(answered))
		}
	}
}

// see asks until a name has a weight, and returns when that was. It gives up early
// when the call that was to change it went wrong.
func (s *changes) see(eye net.Conn, one sight) (time.Time, bool) {
	question := new(dns.Msg).SetQuestion(one.name, dns.TypeSRV)
	for deadline := time.Now().Add(seenWithin); time.Now().Before(deadline); {
		question.Id++
		reply, err := s.ask(eye, question)
		if err == nil && weightOf(reply) == one.weight {
			return time.Now(), true
		}
		time.Sleep(s.every)
	}
	return time.Time{}, false
}

// ask asks once. What else comes in, such as the answer to an earlier question, is
// passed over.
func (s *changes) ask(eye net.Conn, question *dns.Msg) (*dns.Msg, error) {
	out, err := question.Pack()
	if err != nil {
		return nil, err
	}
	s.asked.Add(1)
	if err := eye.SetDeadline(time.Now().Add(askAgain)); err != nil {
		return nil, err
	}
	if _, err := eye.Write(out); err != nil {
		return nil, err
	}
	for in := make([]byte, dns.DefaultMsgSize); ; {
		n, err := eye.Read(in)
		if err != nil {
			return nil, err
		}
		reply := new(dns.Msg)
		if reply.Unpack(in[:n]) == nil && reply.Id == question.Id {
			return reply, nil
		}
	}
}

// weightOf returns the weight of the one SRV record of an answer, 0 if it has not one.
func weightOf(reply *dns.Msg) uint16 {
	if len(reply.Answer) != 1 {
		return 0
	}
	if srv, ok := reply.Answer[0].(*dns.SRV); ok {
		return srv.Weight
	}
	return 0
}

// answers makes sure that DNS knows the services before anything is measured.
func (s *changes) answers(ctx context.Context, address string) error {
	eye, err := new(net.Dialer).DialContext(ctx, "udp", address)
	if err != nil {
		return err
	}
	defer eye.Close()
	reply, err := s.ask(eye, new(dns.Msg).SetQuestion(s.dnsName(0), dns.TypeSRV))
	if err != nil {
		return fmt.Errorf("ask %s for %s: %w", address, s.dnsName(0), err)
	}
	if got := weightOf(reply); got != weights*dnsScale {
		return fmt.Errorf("ask %s for %s: %s with weight %d, want %d: is it the same server, and %s its zone?", address, s.dnsName(0),
			dns.RcodeToString[reply.Rcode], got, weights*dnsScale, s.zone)
	}
	return nil
}
