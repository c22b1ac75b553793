package localdns

import (
	"context"
	"errors"
	"time"

	"github.com/miekg/dns"
)

const (
	// leastStaleWait and mostStaleWait bound how long somebody waits for the servers
	// who can be given an answer whose time is over (RFC 8767, section 5: the client
	// response timer). How far they are rules in between.
	leastStaleWait = 100 * time.Millisecond
	mostStaleWait  = time.Second
	// mostFlights bounds the questions that are asked at the same time.
	mostFlights = 512
	// graceOfShares is how much longer than its time an SRV set is drawn from: it is
	// asked for a moment after the addresses are.
	graceOfShares = 2 * time.Second
)

// errBusy says that too many questions are being asked.
var errBusy = errors.New("too many questions at the same time")

// flight is one question on its way to the servers, for all who wait for it.
type flight struct {
	done   chan struct{}
	answer *answer // nil when there is none; both are set before done is closed
	err    error
}

// resolve returns the answer to a question of our zones. stale is true when its time
// is over and no server gave another.
func (r *Resolver) resolve(ctx context.Context, q question) (a *answer, stale bool, err error) {
	now := time.Now()
	a, renew := r.kept.get(q, now)
	if a != nil && a.fresh(now) {
		if renew {
			r.fly(q)
			r.metrics.prefetches.Inc()
		}
		r.metrics.fresh.Inc()
		r.awaitShares(ctx, a)
		return a, false, nil
	}
	if a != nil && !a.usable(now) {
		a = nil
	}
	if a != nil && r.pool.none() {
		r.metrics.stale.Inc()
		return a, true, nil
	}
	bound := questionTimeout
	if a != nil {
		bound = r.pool.staleWait()
	}
	within, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	f, first := r.fly(q)
	select {
	case <-f.done:
		err = f.err
	case <-within.Done():
		err = within.Err()
	}
	switch {
	case err == nil:
		r.metrics.asked.Inc()
		if !first {
			r.awaitShares(ctx, f.answer)
		}
		return f.answer, false, nil
	case a != nil:
		r.metrics.stale.Inc()
		return a, true, nil
	}
	r.metrics.failed.Inc()
	return nil, false, err
}

// fly asks the servers, unless that question is on its way. first is true for who was the
// first to ask.
func (r *Resolver) fly(q question) (f *flight, first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.flights[q]; f != nil {
		return f, false
	}
	f = &flight{done: make(chan struct{})}
	if len(r.flights) >= mostFlights || r.closed {
		f.err = errBusy
		close(f.done)
		return f, true
	}
	r.flights[q] = f
	r.pool.under.Go(func() {
		f.answer, f.err = r.fetch(q)
		r.mu.Lock()
		delete(r.flights, q)
		r.mu.Unlock()
		close(f.done)
	})
	return f, true
}

// fetch asks the servers and keeps what they say.
func (r *Resolver) fetch(q question) (*answer, error) {
	m := new(dns.Msg)
	m.SetQuestion(q.name, q.qtype)
	m.RecursionDesired = false
	m.SetEdns0(udpSize, q.do)
	reply, err := r.pool.ask(r.pool.ctx, m)
	if err != nil {
		return nil, err
	}
	a, err := newAnswer(q, reply, time.Now())
	if err != nil {
		return nil, err
	}
	if r.drawable(a) {
		r.fetchShares(q.name) // on its way before anybody finds the addresses
	}
	if q.qtype != dns.TypeANY && r.zones.ours(q.name) {
		r.kept.put(a)
	}
	return a, nil
}

// drawable reports whether an answer is one of a service's addresses, drawn by the
// server: to give it again and again would give one address all the traffic. With
// signatures the set must stay as it is, and an address by its name is the only one.
func (r *Resolver) drawable(a *answer) bool {
	return len(a.addrs) > 0 && !a.do && !isAddressName(a.name)
}

// fetchShares asks for the SRV set of a name unless it is kept for a while yet.
func (r *Resolver) fetchShares(name string) {
	q := question{name: name, qtype: dns.TypeSRV}
	now := time.Now()
	if a, _ := r.kept.get(q, now); a != nil && a.fresh(now) && !a.due(now) {
		return
	}
	r.fly(q)
}

// awaitShares waits for the SRV set of a service's addresses while that is on its way and
// they cannot be drawn without it. The server drew them for one, who was given them at once: to
// all others they would be the same. It waits no longer than for a server that is far away.
func (r *Resolver) awaitShares(ctx context.Context, a *answer) {
	if !r.drawable(a) {
		return
	}
	q := question{name: a.name, qtype: dns.TypeSRV}
	r.mu.Lock()
	f := r.flights[q]
	r.mu.Unlock()
	if f == nil {
		return
	}
	now := time.Now()
	if srv, _ := r.kept.get(q, now); srv != nil && srv.shares == nil || r.table(a, now, false) != nil {
		return // what could not be drawn from will hardly be drawn from now
	}
	ctx, cancel := context.WithTimeout(ctx, r.pool.staleWait())
	defer cancel()
	select {
	case <-f.done:
	case <-ctx.Done():
	}
}

// table returns what the addresses of an answer are drawn from, nil when it must be
// given as it is.
func (r *Resolver) table(a *answer, now time.Time, stale bool) *table {
	if !r.drawable(a) {
		return nil
	}
	srv, _ := r.kept.get(question{name: a.name, qtype: dns.TypeSRV}, now)
	if srv == nil || srv.shares == nil || !stale && now.Sub(srv.at) >= srv.ttl+graceOfShares {
		return nil
	}
	t := srv.shares.of(a.qtype)
	if !t.holds(a.addrs) {
		return nil // the one is newer than the other, or the server answers by another law
	}
	return t
}
