package localdns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

const (
	// leastPatience and mostPatience bound how long a server is waited for alone: the
	// usual time of its answers rules in between. With the next one's answer behind
	// it, a server that hangs costs less than 100 ms.
	leastPatience = 10 * time.Millisecond
	mostPatience  = 60 * time.Millisecond
	// attemptTimeout is when an answer counts as missing. One that comes before it,
	// yet too late for who asked, still says that the server lives.
	attemptTimeout = time.Second
	// questionTimeout bounds a question as a whole.
	questionTimeout = 2 * time.Second
	// mostAsked is how many servers are asked one question at most, the best ones: with
	// none that answers, each question would hold a socket for every server.
	mostAsked = 8
	// rounds is how often each server is asked one question: packets get lost.
	rounds = 3
)

// errNoServers says that nobody knows yet whom to ask.
var errNoServers = errors.New("no DNS server is known")

// pool asks the servers: the best one first, the next one as well when no answer
// comes within the time that is usual, and takes the first good answer.
type pool struct {
	exchange func(context.Context, netip.AddrPort, *dns.Msg) (*dns.Msg, error)
	log      *slog.Logger
	zone     func() string   // whose SOA is asked for to learn how a server is
	ctx      context.Context //nolint:containedctx // attempts outlive who asked; ended by stop
	stop     context.CancelFunc
	under    sync.WaitGroup // attempts and what else was begun

	mu      sync.Mutex // serialises set
	servers atomic.Pointer[[]*server]
	news    chan struct{}             // a server went down: check goes on now
	judging sync.Mutex                // serialises judge
	away    atomic.Pointer[time.Time] // since when no server answers; nil: one does
	hedged  atomic.Uint64             // questions for which a second server was asked
}

func newPool(log *slog.Logger, zone func() string) *pool {
	p := &pool{exchange: exchange, log: log, zone: zone, news: make(chan struct{}, 1)}
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.servers.Store(&[]*server{})
	return p
}

// close ends what is under way and waits for it.
func (p *pool) close() {
	p.stop()
	p.under.Wait()
}

// set says which servers there are. What is known of one that was there stays. It
// reports whether that is a change.
func (p *pool) set(addrs []netip.AddrPort) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := *p.servers.Load()
	fresh := make([]*server, 0, len(addrs))
	changed := false
	for _, addr := range addrs {
		if slices.ContainsFunc(fresh, func(s *server) bool { return s.addr == addr }) {
			continue
		}
		i := slices.IndexFunc(was, func(s *server) bool { return s.addr == addr })
		if i >= 0 {
			fresh = append(fresh, was[i])
			continue
		}
		changed = true
		fresh = append(fresh, &server{addr: addr, rank: rand.Uint64(), since: time.Now()})
	}
	if changed = changed || len(fresh) != len(was); !changed {
		return false
	}
	p.servers.Store(&fresh)
	p.judge()
	p.wake()
	return true
}

// all returns the servers that there are.
func (p *pool) all() []*server { return *p.servers.Load() }

// none reports whether no server is up.
func (p *pool) none() bool { return p.away.Load() != nil || len(p.all()) == 0 }

// ask returns the first good answer, NOERROR or NXDOMAIN, of any server. When there
// is none until ctx ends, or all have refused, the error says why.
func (p *pool) ask(ctx context.Context, q *dns.Msg) (*dns.Msg, error) {
	order := p.order()
	if len(order) == 0 {
		return nil, errNoServers
	}
	order = order[:min(len(order), mostAsked)]
	ctx, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	answers := make(chan attempt, rounds*len(order))
	timer := time.NewTimer(0)
	defer timer.Stop()
	last := errors.New("no answer")
	begun, open := 0, 0
	next := func() {
		if begun == rounds*len(order) {
			return
		}
		s := order[begun%len(order)]
		begun++
		open++
		p.under.Go(func() { answers <- p.attempt(s, q) })
		timer.Reset(p.pause(order, begun))
	}
	for {
		select {
		case <-ctx.Done():
			return nil, last
		case <-p.ctx.Done():
			return nil, p.ctx.Err()
		case <-timer.C:
			if begun > 0 {
				order[(begun-1)%len(order)].late()
				if begun == 1 && len(order) > 1 {
					p.hedged.Add(1)
				}
			}
			next()
		case a := <-answers:
			open--
			if a.err == nil {
				return a.reply, nil
			}
			last = fmt.Errorf("%s: %w", a.server.addr, a.err)
			switch {
			case begun < len(order):
				next()
			case open == 0 && errors.As(a.err, new(rcodeError)):
				return nil, last // all of them have spoken
			case open == 0 && begun == rounds*len(order):
				return nil, last
			}
		}
	}
}

// pause is how long to wait for an answer after the given number of attempts before
// the next: the time that is usual for the server asked last, then ever longer.
func (p *pool) pause(order []*server, begun int) time.Duration {
	if begun < len(order) {
		return order[begun-1].patience()
	}
	if begun%len(order) == 0 {
		return 250 * time.Millisecond * time.Duration(begun/len(order))
	}
	return mostPatience
}

// order returns the servers, the best first: those that are up before those that
// are not, those near before those far. Equally near ones are in an order that is
// the host's own, so that not all hosts ask the same one.
func (p *pool) order() []*server {
	type place struct {
		*server
		state, distance int
	}
	all := p.all()
	places := make([]place, len(all))
	for i, s := range all {
		places[i].server = s
		places[i].state, places[i].distance = s.place()
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.state, b.state), cmp.Compare(a.distance, b.distance), cmp.Compare(a.rank, b.rank))
	})
	order := make([]*server, len(places))
	for i, at := range places {
		order[i] = at.server
	}
	return order
}

// attempt is one question to one server, and what came of it.
type attempt struct {
	server *server
	reply  *dns.Msg
	err    error
}

// rcodeError says that a server answered, but not the question.
type rcodeError int

func (e rcodeError) Error() string { return "it answered " + dns.RcodeToString[int(e)] }

// attempt asks one server, and notes how that went. It goes on when who asked has
// an answer already.
func (p *pool) attempt(s *server, q *dns.Msg) attempt {
	ctx, cancel := context.WithTimeout(p.ctx, attemptTimeout)
	defer cancel()
	q = q.Copy()
	q.Id = dns.Id()
	began := time.Now()
	reply, err := p.exchange(ctx, s.addr, q)
	if p.ctx.Err() != nil {
		return attempt{server: s, err: p.ctx.Err()}
	}
	if err == nil {
		// What is wrong with one question may be right with the others: whether
		// the server can answer at all, the check finds out.
		switch reply.Rcode {
		case dns.RcodeSuccess, dns.RcodeNameError:
		case dns.RcodeServerFailure, dns.RcodeRefused:
			err = rcodeError(reply.Rcode)
			p.doubt(s)
			return attempt{server: s, err: err}
		default:
			p.answered(s, time.Since(began))
			return attempt{server: s, err: rcodeError(reply.Rcode)}
		}
		p.answered(s, time.Since(began))
		return attempt{server: s, reply: reply}
	}
	p.failed(s, err)
	return attempt{server: s, err: err}
}
