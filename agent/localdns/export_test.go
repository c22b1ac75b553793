package localdns

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// Pool is the pool for tests in virtual time.
type Pool struct{ p *pool }

// NewPool returns a pool of servers that exchange stands for.
func NewPool(exchange func(context.Context, netip.AddrPort, *dns.Msg) (*dns.Msg, error), servers ...string) *Pool {
	p := newPool(slog.New(slog.DiscardHandler), func() string { return DefaultZone })
	p.exchange = exchange
	var addrs []netip.AddrPort
	for _, s := range servers {
		addrs = append(addrs, netip.MustParseAddrPort(s))
	}
	p.set(addrs)
	return &Pool{p}
}

func (p *Pool) Ask(ctx context.Context, q *dns.Msg) (*dns.Msg, error) { return p.p.ask(ctx, q) }

func (p *Pool) Run(ctx context.Context) error { return p.p.run(ctx) }

func (p *Pool) Close() { p.p.close() }

func (p *Pool) None() bool { return p.p.none() }

func (p *Pool) First() string { return p.p.order()[0].addr.String() }

// Asker is a Resolver for tests in virtual time: it serves nobody.
type Asker struct{ r *Resolver }

// NewAsker returns one of a server that exchange stands for.
func NewAsker(exchange func(context.Context, netip.AddrPort, *dns.Msg) (*dns.Msg, error), server string) *Asker {
	r := &Resolver{kept: newAnswers(), flights: map[question]*flight{}, pool: NewPool(exchange, server).p}
	r.zones.set([]string{DefaultZone})
	r.metrics = newMetrics(r)
	return &Asker{r}
}

// Ask answers a question as it is answered to programs of the host.
func (a *Asker) Ask(ctx context.Context, name string, qtype uint16) (*dns.Msg, error) {
	found, stale, err := a.r.resolve(ctx, question{name: name, qtype: qtype})
	if err != nil {
		return nil, err
	}
	return a.r.compose(new(dns.Msg).SetQuestion(name, qtype), found, stale), nil
}

func (a *Asker) Close() { a.r.pool.close() }

// DecodeSnapshot returns how many answers, zones and servers a file holds, and the file
// that these make.
func DecodeSnapshot(file []byte) (answers, zones, servers int, again []byte, err error) {
	s, err := decode(file, time.Now())
	if err != nil {
		return 0, 0, 0, nil, err
	}
	return len(s.answers), len(s.zones), len(s.servers), s.encode(), nil
}

// FreshFromSnapshot reports whether an answer that lives for a minute counts as fresh
// when it is read from disk after the time of the wall clock since it was given.
func FreshFromSnapshot(after time.Duration) (bool, error) {
	now := time.Now()
	s, err := decode(sampleSnapshot(now.Add(-after)), now)
	if err != nil {
		return false, err
	}
	return s.answers[0].fresh(now), nil
}

// SealSnapshot returns the file of a body: with the right magic and checksum.
func SealSnapshot(body []byte) []byte { return seal(body) }

// SampleSnapshot is a file as it is written.
func SampleSnapshot() []byte { return sampleSnapshot(time.Now()) }

func sampleSnapshot(at time.Time) []byte {
	m := new(dns.Msg)
	m.SetQuestion("order.svc.muster.internal.", dns.TypeA)
	m.Response = true
	rr, err := dns.NewRR("order.svc.muster.internal. 60 IN A 192.0.2.1")
	if err != nil {
		panic(err)
	}
	m.Answer = append(m.Answer, rr)
	a, err := newAnswer(question{name: "order.svc.muster.internal.", qtype: dns.TypeA}, m, at)
	if err != nil {
		panic(err)
	}
	return (&snapshot{zones: []string{"muster.internal."}, servers: []string{"192.0.2.53:1053"}, answers: []*answer{a}}).encode()
}

// Names of the snapshot's file, and of one that was put aside.
const (
	SnapshotName = snapshotName
	BrokenName   = snapshotName + brokenSuffix
)
