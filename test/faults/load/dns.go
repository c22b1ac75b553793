package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/test/faults/history"
)

// ask asks one question over UDP, and over TCP where the answer is too long. An
// answer is NOERROR or NXDOMAIN; everything else is an error.
func ask(ctx context.Context, server, name string, qtype uint16, timeout time.Duration) (*dns.Msg, error) {
	m := new(dns.Msg).SetQuestion(name, qtype)
	m.SetEdns0(1232, false)
	for _, transport := range []string{"udp", "tcp"} {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		reply, _, err := (&dns.Client{Net: transport, Timeout: timeout, UDPSize: 1232}).ExchangeContext(ctx, m, server)
		cancel()
		switch {
		case err != nil:
			return nil, err
		case reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError:
			return nil, errors.New(dns.RcodeToString[reply.Rcode])
		case !reply.Truncated:
			return reply, nil
		}
	}
	return nil, errors.New("truncated over TCP")
}

// located returns who an SRV answer holds, sorted, and the response code.
func located(m *dns.Msg) (endpoints []string, rcode string, err error) {
	for _, rr := range m.Answer {
		srv, ok := rr.(*dns.SRV)
		if !ok {
			return nil, "", fmt.Errorf("%v in an SRV answer", rr)
		}
		address := addressOf(m, srv.Target)
		if address == "" {
			return nil, "", fmt.Errorf("no address of %s in the answer", srv.Target)
		}
		endpoints = append(endpoints, net.JoinHostPort(address, strconv.Itoa(int(srv.Port))))
	}
	slices.Sort(endpoints)
	return endpoints, dns.RcodeToString[m.Rcode], nil
}

func addressOf(m *dns.Msg, name string) string {
	for _, rr := range m.Extra {
		if a, ok := rr.(*dns.A); ok && strings.EqualFold(a.Hdr.Name, name) {
			return a.A.String()
		}
	}
	// The name says it too; the additional section may have been cut short.
	label, _, _ := strings.Cut(name, ".")
	if text, ok := strings.CutPrefix(label, "ip-"); ok {
		if ip := net.ParseIP(strings.ReplaceAll(text, "-", ".")); ip != nil {
			return ip.String()
		}
	}
	return ""
}

// domain returns the name of a service.
func domain(service string) string { return service + ".svc." + Zone }

// resolver is a stub resolver with all servers as name servers: it asks one
// after the other until one answers, each for at most a second.
type resolver struct {
	cfg    Config
	random *rand.Rand
}

const resolverTimeout = time.Second

func newResolver(cfg Config, number int) *resolver {
	return &resolver{cfg: cfg, random: cfg.random(partResolver, number)}
}

func (r *resolver) run(ctx context.Context) {
	for ctx.Err() == nil {
		name := service(r.random.IntN(r.cfg.Services))
		l := history.Lookup{Service: name}
		l.Begin = r.cfg.Recorder.Now()
		for _, i := range r.random.Perm(len(r.cfg.Servers)) {
			t := r.cfg.Servers[i]
			reply, err := ask(ctx, t.DNS, domain(name), dns.TypeSRV, resolverTimeout)
			if err == nil {
				l.Healthy, l.Detail, err = located(reply)
			}
			if err == nil {
				l.Answered, l.Server = true, t.Name
				break
			}
			l.Detail += t.Name + ": " + err.Error() + "; "
		}
		if ctx.Err() != nil {
			return
		}
		r.cfg.Recorder.Lookup(l)
		rest(ctx, r.cfg.LookupPause)
	}
}
