package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"
	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/client"
)

func resolveCommand() *cli.Command {
	return &cli.Command{Name: "resolve", Usage: "ask the DNS face for a name and explain the answer", ArgsUsage: "NAME [TYPE]",
		Description: "NAME is a whole name, or a service: then .svc and the first zone of the server follow.\nTYPE is SRV unless said otherwise. With --why the server says which instances it answers, and why not the others.",
		Flags: remoteFlags(
			&cli.StringFlag{Name: "dns", Usage: "`ADDRESS:PORT` to ask; the server's own when not given"},
			&cli.StringFlag{Name: "zone", Usage: "`ZONE` of a name that has none"},
			&cli.BoolFlag{Name: "why", Usage: "have the server explain its answer"},
			&cli.StringFlag{Name: "from", Usage: "with --why: IP `ADDRESS` of who would ask, for services with a topology"}), Action: resolve}
}

// resolution is what was asked and what came back.
type resolution struct {
	Name    string   `json:"name"`
	Type    string   `json:"type"`
	Server  string   `json:"server"`
	Status  string   `json:"status"`
	Explain string   `json:"explain"`
	Answers []answer `json:"answers"`
}

type answer struct {
	Name   string  `json:"name"`
	Type   string  `json:"type"`
	TTL    uint32  `json:"ttl"`
	Data   string  `json:"data"`
	Share  float64 `json:"share,omitempty"`  // of an SRV record among its set, 0 to 1
	Target string  `json:"target,omitempty"` // address of an SRV record's target
}

func resolve(c *cli.Context) error {
	args, err := names(c, "NAME", "[TYPE]")
	if err != nil {
		return err
	}
	qtype, ok := dns.StringToType[strings.ToUpper(args[1])]
	if args[1] == "" {
		qtype, ok = dns.TypeSRV, true
	}
	if !ok {
		return usagef("type: %q is no DNS type", args[1])
	}
	if c.IsSet("from") && !c.Bool("why") {
		return usagef("from: is for --why alone")
	}
	server, zone, err := dnsFace(c)
	if err != nil {
		return err
	}
	name := fullName(args[0], zone)
	if _, ok := dns.IsDomainName(name); !ok {
		return usagef("name: %q is not a domain name", args[0])
	}
	if c.Bool("why") {
		return why(c, name, dns.TypeToString[qtype])
	}
	reply, err := ask(c.Context, server, name, qtype)
	if err != nil {
		return fmt.Errorf("%w: dns %s: %w", client.ErrUnreachable, server, err)
	}
	r := explain(reply, name, qtype, server)
	rows := [][]string{}
	for _, a := range r.Answers {
		share := ""
		if a.Share > 0 {
			share = fmt.Sprintf("%.1f%%", 100*a.Share)
		}
		rows = append(rows, []string{a.Name, fmt.Sprint(a.TTL), a.Type, a.Data, share, a.Target})
	}
	if c.String("output") == "table" {
		fmt.Fprintf(c.App.Writer, "%s %s at %s: %s\n", r.Name, r.Type, r.Server, r.Explain)
	}
	heading := ""
	if len(rows) > 0 {
		heading = "NAME TTL TYPE DATA SHARE TARGET"
	}
	if err := show(c, r, heading, rows); err != nil {
		return err
	}
	switch reply.Rcode {
	case dns.RcodeSuccess:
		return nil
	case dns.RcodeNameError:
		return fmt.Errorf("%s: %w", name, client.ErrNotFound)
	}
	return fmt.Errorf("%s: %s", name, r.Explain)
}

// dnsFace returns where to ask and the zone of short names: as given, else as
// the server says.
func dnsFace(c *cli.Context) (server, zone string, err error) {
	server, zone = c.String("dns"), c.String("zone")
	if _, _, err := net.SplitHostPort(server); server != "" && err != nil {
		return "", "", usagef("dns: %q is not of the form ADDRESS:PORT", server)
	}
	if server != "" && zone != "" {
		return server, zone, nil
	}
	remote, err := dial(c)
	if err != nil {
		return "", "", err
	}
	status, err := remote.Status(c.Context)
	if err != nil {
		return "", "", err
	}
	if server == "" {
		server = status.DNS
		if host, port, err := net.SplitHostPort(server); err == nil && (host == "" || host == "::" || host == "0.0.0.0") {
			server = net.JoinHostPort("127.0.0.1", port)
		}
	}
	if zone == "" && len(status.Zones) > 0 {
		zone = status.Zones[0]
	}
	return server, zone, nil
}

// fullName completes what is no name of the zone: order-api is a service, and
// order-api.svc lacks the zone only.
func fullName(name, zone string) string {
	zone = dns.Fqdn(zone)
	switch {
	case strings.HasSuffix(name, "."):
		return name
	case dns.IsSubDomain(zone, dns.Fqdn(name)), dns.IsSubDomain("in-addr.arpa.", dns.Fqdn(name)), dns.IsSubDomain("ip6.arpa.", dns.Fqdn(name)):
		return dns.Fqdn(name)
	}
	for _, label := range dns.SplitDomainName(name) {
		if label == "svc" || label == "addr" || label == "inst" {
			return name + "." + zone
		}
	}
	if strings.HasSuffix(name, "._tcp") || strings.HasSuffix(name, "._udp") { // to browse
		return name + "." + zone
	}
	return name + ".svc." + zone
}

// ask asks over UDP, and over TCP when the answer did not fit.
func ask(ctx context.Context, server, name string, qtype uint16) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.SetQuestion(name, qtype)
	m.SetEdns0(1232, false)
	udp := dns.Client{Timeout: 2 * time.Second, UDPSize: 1232}
	reply, _, err := udp.ExchangeContext(ctx, m, server)
	if err == nil && reply.Truncated {
		tcp := dns.Client{Net: "tcp", Timeout: 5 * time.Second}
		reply, _, err = tcp.ExchangeContext(ctx, m, server)
	}
	return reply, err
}

// explain says in words what a reply means.
func explain(m *dns.Msg, name string, qtype uint16, server string) resolution {
	r := resolution{Name: name, Type: dns.TypeToString[qtype], Server: server, Status: dns.RcodeToString[m.Rcode], Answers: []answer{}}
	addresses := map[string]string{}
	for _, rr := range m.Extra {
		switch rr := rr.(type) {
		case *dns.A:
			addresses[rr.Hdr.Name] = rr.A.String()
		case *dns.AAAA:
			addresses[rr.Hdr.Name] = rr.AAAA.String()
		}
	}
	sum := 0
	for _, rr := range m.Answer {
		if srv, ok := rr.(*dns.SRV); ok {
			sum += int(srv.Weight)
		}
	}
	for _, rr := range m.Answer {
		h := rr.Header()
		a := answer{Name: h.Name, Type: dns.TypeToString[h.Rrtype], TTL: h.Ttl, Data: strings.TrimPrefix(rr.String(), h.String())}
		if srv, ok := rr.(*dns.SRV); ok && sum > 0 {
			a.Share, a.Target = float64(srv.Weight)/float64(sum), addresses[srv.Target]
		}
		r.Answers = append(r.Answers, a)
	}
	switch {
	case m.Rcode == dns.RcodeNameError:
		r.Explain = "no such name"
	case m.Rcode == dns.RcodeRefused:
		r.Explain = "refused: the name is in no zone of this server"
	case m.Rcode != dns.RcodeSuccess:
		r.Explain = "failed with " + r.Status
	case len(m.Answer) == 0:
		r.Explain = "the name exists and has no record of this type to answer"
	default:
		r.Explain = fmt.Sprintf("%d of type %s", len(m.Answer), r.Type)
	}
	if m.Truncated {
		r.Explain += ", more than fit"
	}
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if ede, ok := o.(*dns.EDNS0_EDE); ok {
				r.Explain += fmt.Sprintf(" (%s: %s)", dns.ExtendedErrorCodeToString[ede.InfoCode], ede.ExtraText)
			}
		}
	}
	return r
}
