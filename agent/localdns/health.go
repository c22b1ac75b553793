package localdns

import (
	"context"
	"errors"
	"math/bits"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/miekg/dns"
)

const (
	// A server that is down is looked after from every leastCheck to every mostCheck,
	// one that is up when it was not heard for idleCheck.
	leastCheck = 250 * time.Millisecond
	mostCheck  = 2 * time.Second
	idleCheck  = 10 * time.Second
)

// server is one server's DNS address and what is known of it.
type server struct {
	addr netip.AddrPort
	rank uint64 // breaks ties, on each host in another way

	mu        sync.Mutex
	latency   time.Duration // smoothed, as is its deviation; 0 before the first answer; under mu
	deviation time.Duration // under mu
	heard     time.Time     // when it last answered; under mu
	down      bool          // under mu
	suspect   bool          // another one was faster when it was this one's turn; under mu
	timeouts  int           // in a row; under mu
	since     time.Time     // when it went down or came up; under mu
	problem   string        // why it is down; under mu
	check     time.Duration // pause between checks while it is down; under mu
	checked   time.Time     // when it was last asked for its health; under mu
}

// place says how good a server is; less is better. Distances within a factor of two
// are equal, and all under a millisecond.
func (s *server) place() (state, distance int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.down:
		state = 2
	case s.suspect:
		state = 1
	}
	return state, bits.Len64(uint64(s.latency / time.Millisecond))
}

// patience is how long to wait for this server alone.
func (s *server) patience() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.heard.IsZero() {
		return mostPatience
	}
	if s.down {
		return leastPatience
	}
	return min(max(s.latency+4*s.deviation, leastPatience), mostPatience)
}

// staleWait is how long to wait for the best server before a stale answer is given:
// three times what is usual.
func (p *pool) staleWait() time.Duration {
	order := p.order()
	if len(order) == 0 {
		return leastStaleWait
	}
	s := order[0]
	s.mu.Lock()
	defer s.mu.Unlock()
	return min(max(3*s.latency, leastStaleWait), mostStaleWait)
}

// late notes that a server did not answer in its usual time. Others are asked first
// until it does.
func (s *server) late() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.suspect = true
}

// doubt has a server checked soon.
func (p *pool) doubt(s *server) {
	s.mu.Lock()
	s.suspect = true
	if time.Since(s.checked) > leastCheck {
		s.heard = time.Time{}
	}
	s.mu.Unlock()
	p.wake()
}

// answered notes a good answer.
func (p *pool) answered(s *server, took time.Duration) {
	s.mu.Lock()
	if s.latency == 0 {
		s.latency, s.deviation = max(took, 1), took/2
	} else { // RFC 6298
		s.deviation += ((took - s.latency).Abs() - s.deviation) / 4
		s.latency += (took - s.latency) / 8
		s.latency = max(s.latency, 1)
	}
	s.heard, s.suspect, s.timeouts, s.check = time.Now(), false, 0, 0
	came := s.down
	if came {
		s.down, s.since, s.problem = false, time.Now(), ""
	}
	s.mu.Unlock()
	if came {
		p.log.Info("dns server is back", "server", s.addr)
	}
	p.judge()
}

// failed notes that no answer came. A server that says itself that nobody listens
// is down at once; a packet alone may be lost.
func (p *pool) failed(s *server, err error) {
	s.mu.Lock()
	s.timeouts++
	s.suspect = true
	went := !s.down && (s.timeouts > 1 || !errors.Is(err, context.DeadlineExceeded))
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.New("no answer")
	}
	if went {
		s.down, s.since, s.check = true, time.Now(), leastCheck
	}
	if s.down {
		s.problem = problem(err)
	}
	text := s.problem
	s.mu.Unlock()
	if went {
		p.log.Warn("dns server does not answer", "server", s.addr, "err", text)
	}
	p.judge()
	p.wake()
}

// problem is an error in a few words.
func problem(err error) string {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	return err.Error()
}

// judge notes whether any server is up. Of two at the same time the one that looked
// first must not have the last word.
func (p *pool) judge() {
	p.judging.Lock()
	defer p.judging.Unlock()
	all := p.all()
	up := slices.ContainsFunc(all, func(s *server) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return !s.down
	})
	switch {
	case up:
		p.away.Store(nil)
	case len(all) > 0:
		p.away.CompareAndSwap(nil, new(time.Now()))
	}
}

// wake has run look at the servers now.
func (p *pool) wake() {
	select {
	case p.news <- struct{}{}:
	default:
	}
}

// run looks after the servers' health until ctx ends.
func (p *pool) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-p.news:
		}
		wait := idleCheck
		for _, s := range p.all() {
			due := s.due(time.Now())
			if due <= 0 {
				p.under.Go(func() { p.check(s) })
				due = leastCheck
			}
			wait = min(wait, due)
		}
		timer.Reset(wait)
	}
}

// due returns how long it is until the server is to be checked, and notes a check
// that is due now.
func (s *server) due(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.heard.Add(idleCheck)
	if s.down || s.timeouts > 0 {
		next = s.checked.Add(max(s.check, leastCheck))
	} else if again := s.checked.Add(leastCheck); next.Before(again) {
		next = again
	}
	if due := next.Sub(now); due > 0 {
		return due
	}
	s.checked = now
	if s.down {
		s.check = min(s.check*3/2, mostCheck)
	}
	return 0
}

// check asks a server for what each server has: the SOA of a zone.
func (p *pool) check(s *server) {
	q := new(dns.Msg)
	q.SetQuestion(p.zone(), dns.TypeSOA)
	ctx, cancel := context.WithTimeout(p.ctx, attemptTimeout)
	defer cancel()
	began := time.Now()
	reply, err := p.exchange(ctx, s.addr, q)
	switch {
	case p.ctx.Err() != nil:
	case err != nil:
		p.failed(s, err)
	case reply.Rcode != dns.RcodeSuccess:
		p.failed(s, rcodeError(reply.Rcode))
	default:
		p.answered(s, time.Since(began))
	}
}
