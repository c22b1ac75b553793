package plugin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	clog "github.com/coredns/coredns/plugin/pkg/log"
	"github.com/miekg/dns"

	"github.com/musterhq/muster/zone"
)

const (
	defaultJournal = 256
	maxJournal     = 1 << 16

	// notifyEvery is how often somebody is told of changes at most.
	notifyEvery = time.Second
	// notifyPatience is how long an answer is waited for.
	notifyPatience = time.Second
	// mostWait is the longest wait before somebody who does not answer is told again.
	mostWait = time.Minute
	// patientFor is how many times nobody answers before it is worth a line.
	patientFor = 3
)

// secondaries are what a block says about those who follow its zones.
type secondaries struct {
	targets []target
	journal *int // how many states are kept; nil is the default
}

// target is somebody to tell of changes.
type target struct {
	addr netip.AddrPort
	key  string // of TSIG, as tsig has it; empty for none
}

// notify takes in one line of the block.
func (s *secondaries) notify(args []string) error {
	key := ""
	if n := len(args); n > 1 && args[n-2] == "key" {
		args, key = args[:n-2], plugin.Name(args[n-1]).Normalize()
	}
	if len(args) == 0 {
		return errors.New("want one address or more, and the name of a key after key")
	}
	for _, arg := range args {
		addr, err := netip.ParseAddrPort(arg)
		if err != nil {
			var a netip.Addr
			if a, err = netip.ParseAddr(arg); err != nil {
				return fmt.Errorf("%q is not an IP address, alone or with a port", arg)
			}
			addr = netip.AddrPortFrom(a, 53)
		}
		s.targets = append(s.targets, target{addr, key})
	}
	return nil
}

func states(args []string) (*int, error) {
	n, err := number(args, 0, maxJournal)
	states := int(n)
	return &states, err
}

// follow has m tell its zones to those who follow them, from its start to its end.
func (s *secondaries) follow(c *caddy.Controller, m *Muster) error {
	states := defaultJournal
	if s.journal != nil {
		states = *s.journal
	}
	m.journal, m.stopped = zone.NewJournal(states), make(chan struct{})
	c.OnStartup(func() error {
		if st, ready := m.state(); ready {
			m.journal.Keep(st) // the journal begins with what others may know from before
		}
		return nil
	})
	c.OnShutdown(m.stop)
	if len(s.targets) == 0 {
		return nil
	}
	source, ok := m.source.(Changing)
	if !ok {
		return errors.New("notify: what there is to answer from does not tell when it changes")
	}
	config := dnsserver.GetConfig(c)
	n := &notifier{source: source, state: m.state, journal: m.journal}
	for _, t := range s.targets {
		if _, ok := config.TsigSecret[t.key]; t.key != "" && !ok {
			return fmt.Errorf("notify: there is no key %s: name it in the plugin tsig of this block", t.key)
		}
		for _, z := range m.zones.All() {
			n.couriers = append(n.couriers, &courier{
				target: t, zones: m.zones, zone: z, from: sourceFor(t.addr.Addr(), config.ListenHosts), secrets: config.TsigSecret,
				next: make(chan zone.State, 1), log: slog.New(logger{clog.NewWithPlugin(name), ""}).With("zone", z.Name, "secondary", t.addr),
			})
		}
	}
	c.OnStartup(n.start)
	c.OnShutdown(n.stop)
	return nil
}

// sourceFor returns the address that those at addr know us by: the first one of
// its family that the block listens at, invalid where that is any.
func sourceFor(addr netip.Addr, listen []string) netip.Addr {
	for _, host := range listen {
		if a, err := netip.ParseAddr(host); err == nil && a.Is4() == addr.Unmap().Is4() && !a.IsUnspecified() {
			return a
		}
	}
	return netip.Addr{}
}

// notifier tells those who follow the zones of a block that there is something
// new (RFC 1996): at once, and then no more than once a second.
type notifier struct {
	source   Changing
	state    func() (st zone.State, ready bool)
	journal  *zone.Journal
	couriers []*courier

	cancel  context.CancelFunc // nil until it is started
	running sync.WaitGroup
}

func (n *notifier) start() error {
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	n.running.Go(func() { n.run(ctx) })
	for _, c := range n.couriers {
		n.running.Go(func() { c.run(ctx) })
	}
	return nil
}

// stop ends what start began and waits for it.
func (n *notifier) stop() error {
	if n.cancel != nil {
		n.cancel()
		n.running.Wait()
	}
	return nil
}

// run hands every new state to all couriers. What they tell of is kept: those who
// hear of it come for it, and the next time for what changed since.
func (n *notifier) run(ctx context.Context) {
	var told zone.State
	for {
		changed := n.source.Changed()
		if st, ready := n.state(); ready && (told.Snapshot == nil || st.Serial() != told.Serial()) {
			told = st
			n.journal.Keep(st)
			for _, c := range n.couriers {
				c.hand(st)
			}
			changed = nil // what comes meanwhile is told together
		}
		if !wait(ctx, changed, notifyEvery) {
			return
		}
	}
}

// wait waits for a change or, with a nil channel, for some time; it reports false
// when ctx ends first.
func wait(ctx context.Context, changed <-chan struct{}, otherwise time.Duration) bool {
	var after <-chan time.Time
	if changed == nil {
		timer := time.NewTimer(otherwise)
		defer timer.Stop()
		after = timer.C
	}
	select {
	case <-changed:
	case <-after:
	case <-ctx.Done():
		return false
	}
	return true
}

// courier tells one secondary about one zone.
type courier struct {
	target

	zones   *zone.Zones
	zone    *zone.Zone
	from    netip.Addr        // invalid: whatever the system chooses
	secrets map[string]string // of TSIG, by key
	next    chan zone.State   // the newest state that is to be told of; written to by hand alone
	log     *slog.Logger

	complaint string // what was wrong with the other side last; owned by run
}

// hand gives the courier a state to tell of, in place of one it has not come to.
func (c *courier) hand(st zone.State) {
	select {
	case <-c.next:
	default:
	}
	c.next <- st
}

// run tells of each state until the secondary answers, with growing waits between
// the attempts, or until there is a newer one.
func (c *courier) run(ctx context.Context) {
	for {
		var st zone.State
		select {
		case st = <-c.next:
		case <-ctx.Done():
			return
		}
		for attempt := 0; !c.tell(ctx, st, attempt); attempt++ {
			timer := time.NewTimer(min(notifyEvery<<min(attempt, 6), mostWait))
			select {
			case st = <-c.next:
				attempt = -1
			case <-timer.C:
			case <-ctx.Done():
			}
			timer.Stop()
			if ctx.Err() != nil {
				return
			}
		}
	}
}

// tell sends one NOTIFY and reports whether it was answered, in whatever way.
func (c *courier) tell(ctx context.Context, st zone.State, attempt int) bool {
	reply, err := c.exchange(ctx, c.message(st))
	switch {
	case ctx.Err() != nil:
		return false
	case err != nil:
		if attempt == patientFor && c.complains("silent") {
			c.log.Warn("a secondary does not answer", "err", err)
		}
		return false
	case reply.Rcode != dns.RcodeSuccess:
		if rcode := dns.RcodeToString[reply.Rcode]; c.complains(rcode) {
			c.log.Warn("a secondary does not follow", "rcode", rcode)
		}
	case c.complaint != "":
		c.log.Info("a secondary follows again")
		c.complaint = ""
	}
	return true
}

// complains reports whether it is news what is wrong.
func (c *courier) complains(of string) (news bool) {
	news = c.complaint != of
	c.complaint = of
	return news
}

// message returns a NOTIFY with the SOA as it is, a hint (RFC 1996, 3.7).
func (c *courier) message(st zone.State) *dns.Msg {
	m := new(dns.Msg).SetNotify(c.zone.Name)
	m.Answer = []dns.RR{c.zones.SOA(st, c.zone)}
	if c.key != "" {
		m.SetTsig(c.key, dns.HmacSHA256, 300, time.Now().Unix())
	}
	return m
}

func (c *courier) exchange(ctx context.Context, m *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, notifyPatience)
	defer cancel()
	dialer := &net.Dialer{}
	if c.from.IsValid() {
		dialer.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(c.from, 0))
	}
	udp, err := dialer.DialContext(ctx, "udp", c.addr.String())
	if err != nil {
		return nil, err
	}
	defer udp.Close()
	conn := &dns.Conn{Conn: udp}
	// The end of ctx alone would not wake up who waits for an answer.
	stop := context.AfterFunc(ctx, func() { _ = udp.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	client := &dns.Client{Timeout: notifyPatience, TsigSecret: c.secrets}
	reply, _, err := client.ExchangeWithConnContext(ctx, m, conn)
	return reply, err
}
