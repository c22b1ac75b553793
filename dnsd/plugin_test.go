package dnsd_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/transfer"
	"github.com/miekg/dns"

	"github.com/musterhq/muster/dnsd"
)

// The plugin muster of this test binary stands where the real one will: it
// answers TXT with the text in the storage, or with much for large., holds queries for held.* until
// released, tells what it hears about signatures, transfers zone., is a gate if
// there is one in the storage, has a shortcut if there is a hot path, and fails or panics in its setup when told so.
func init() {
	plugin.Register("muster", setupTestPlugin)
	plugin.Register("dnssec", func(c *caddy.Controller) error {
		dnsserver.GetConfig(c).AddPlugin(func(next plugin.Handler) plugin.Handler { return passing{next} })
		return nil
	})
}

// passing stands for dnssec, which is not linked.
type passing struct{ plugin.Handler }

func (passing) Name() string { return "dnssec" }

type textKey struct{}

type holdKey struct{}

// hold makes queries wait: each says that it has arrived, and waits for release.
type hold struct {
	arrived chan struct{}
	release chan struct{}
}

// gateKey finds the dnsd.Gate that the plugin is.
type gateKey struct{}

// hotKey finds the dnsd.HotPath that the plugin has for all sockets.
type hotKey struct{}

// signedKey finds a chan error that takes the status of each signed query.
type signedKey struct{}

// transferKey finds the []dns.RR of the zone "zone.", from SOA to SOA.
type transferKey struct{}

type testPlugin struct {
	next   plugin.Handler
	text   string
	hold   *hold
	signed chan error
	zone   []dns.RR
}

// The plugin with a gate, with a shortcut, and with both.
type (
	gatePlugin struct {
		*testPlugin
		dnsd.Gate
	}
	hotPlugin struct {
		*testPlugin
		shortcut
	}
	gateHotPlugin struct {
		*testPlugin
		dnsd.Gate
		shortcut
	}
)

// shortcut has one hot path for all sockets, or one for each if it can.
type shortcut struct{ path dnsd.HotPath }

func (s shortcut) HotPath(server string) (dnsd.HotPath, string) {
	if each, ok := s.path.(dnsd.Shortcut); ok {
		return each.HotPath(server)
	}
	return s.path, ""
}

func setupTestPlugin(c *caddy.Controller) error {
	p := &testPlugin{text: "nothing stored"}
	if text, ok := c.Get(textKey{}).(string); ok {
		p.text = text
	}
	p.hold, _ = c.Get(holdKey{}).(*hold)
	p.signed, _ = c.Get(signedKey{}).(chan error)
	p.zone, _ = c.Get(transferKey{}).([]dns.RR)
	for c.Next() {
		for _, arg := range c.RemainingArgs() {
			switch arg {
			case "panic":
				panic("told to")
			case "unstartable":
				c.OnStartup(func() error { return errors.New("told not to start") })
			case "secret": // without the plugin tsig, which keeps signatures to itself
				dnsserver.GetConfig(c).TsigSecret = map[string]string{"key.": secret}
			case "update":
				dnsserver.GetConfig(c).AllowOpcode(dns.OpcodeUpdate)
			default:
				return plugin.Error("muster", c.Errf("unknown argument %q", arg))
			}
		}
	}
	gate, isGate := c.Get(gateKey{}).(dnsd.Gate)
	hot, isHot := c.Get(hotKey{}).(dnsd.HotPath)
	var h plugin.Handler = p
	switch {
	case isGate && isHot:
		h = &gateHotPlugin{p, gate, shortcut{hot}}
	case isGate:
		h = &gatePlugin{p, gate}
	case isHot:
		h = &hotPlugin{p, shortcut{hot}}
	}
	dnsserver.GetConfig(c).AddPlugin(func(next plugin.Handler) plugin.Handler {
		p.next = next
		return h
	})
	return nil
}

func (p *testPlugin) Name() string { return "muster" }

func (p *testPlugin) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	q := r.Question[0]
	if p.signed != nil && r.IsTsig() != nil {
		p.signed <- w.TsigStatus()
	}
	if p.hold != nil && dns.CompareDomainName(q.Name, "held.") == 1 {
		p.hold.arrived <- struct{}{}
		<-p.hold.release
	}
	if q.Name == "broken." {
		panic("asked to")
	}
	if dns.IsSubDomain("data.", q.Name) {
		err := w.WriteMsg(dataAnswer(r))
		return dns.RcodeSuccess, err
	}
	if r.Opcode == dns.OpcodeQuery && q.Qtype != dns.TypeTXT {
		return plugin.NextOrFailure(p.Name(), p.next, ctx, w, r)
	}
	m := new(dns.Msg)
	m.SetReply(r)
	switch {
	case r.Opcode == dns.OpcodeQuery && q.Name == "large.":
		m.Answer = largeAnswer()
	case r.Opcode == dns.OpcodeQuery:
		m.Answer = append(m.Answer, &dns.TXT{
			Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET},
			Txt: []string{p.text},
		})
	}
	err := w.WriteMsg(m)
	if q.Name == "late." {
		panic("asked to, behind the answer")
	}
	runtime.KeepAlive(m) // plugins look at what they have sent, to count it
	return dns.RcodeSuccess, err
}

// dataAnswer has no data of any type, and no name that begins with nx.
func dataAnswer(r *dns.Msg) *dns.Msg {
	m := new(dns.Msg).SetReply(r)
	if strings.HasPrefix(r.Question[0].Name, "nx") {
		m.Rcode = dns.RcodeNameError
	}
	return m
}

// largeAnswer is nearly all that a message holds, in many small records.
func largeAnswer() []dns.RR {
	records := make([]dns.RR, 3500)
	for i := range records {
		records[i] = &dns.TXT{
			Hdr: dns.RR_Header{Name: "large.", Rrtype: dns.TypeTXT, Class: dns.ClassINET},
			Txt: []string{strconv.Itoa(1000 + i)},
		}
	}
	return records
}

// Transfer is what the plugin transfer asks.
func (p *testPlugin) Transfer(zone string, _ uint32) (<-chan []dns.RR, error) {
	if zone != "zone." || p.zone == nil {
		return nil, transfer.ErrNotAuthoritative
	}
	records := make(chan []dns.RR)
	go func() {
		defer close(records)
		for batch := range slices.Chunk(p.zone, 100) {
			records <- batch
		}
	}()
	return records, nil
}
