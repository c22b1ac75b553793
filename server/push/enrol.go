package push

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/musterhq/muster/registry"
)

// audience is who is told of one service.
type audience struct {
	rows   map[seat]*row
	logged int // the limit that a list was logged to be over, 0: none
}

// seat tells the subscribers of one service apart. A client may ask for several
// lists of clusters, and keeps each in a cache entry of its own.
type seat struct {
	addr     netip.AddrPort
	clusters string
}

// host is an IP address and its subscribers.
type host struct {
	rows       int
	unanswered int  // datagrams since it acknowledged one
	ours       bool // an address of this host, enrolled from a loopback address
}

// patience is how many datagrams a host may leave unanswered, beside one for each
// subscriber, before it is told less.
const patience = 256

func (h *host) silent() bool { return h.unanswered > h.rows+patience }

// row is a subscriber and what it was told.
type row struct {
	Subscriber

	host     *host
	places   [orders]place
	stale    bool      // there is news for when its rest is over
	stamp    int64     // of the push that it has not acknowledged, 0: none
	sent     time.Time // when that was sent at first
	repeated bool      // that was sent twice
}

func (r *row) ack() ack { return ack{r.Addr, r.stamp} }

// maxText bounds each text that a caller gives, as it is kept for a while.
const maxText = 512

// Why a subscriber was not enrolled.
const (
	refusedAgent   = "agent"   // its agent, or the switch
	refusedAddress = "address" // not one that may be told
	refusedLong    = "long"    // a text is too long
	refusedFull    = "full"    // too many subscribers, in all or at its address
)

// Enrol has a subscriber told of its service for [Config.Lapse] from now on; it
// is called with each list that the client gets. Who is new is told once, a
// moment later, in case something changed in between. From is where the call came
// from, as the edge knows it: the peer, or who a trusted proxy says it is. It
// reports whether the subscriber is enrolled; if not, the client has to poll.
func (p *Pusher) Enrol(s Subscriber, from netip.Addr) bool {
	s.Addr = netip.AddrPortFrom(s.Addr.Addr().Unmap(), s.Addr.Port())
	reason := p.refusal(s, from.Unmap().WithZone(""))
	if reason == "" {
		reason = p.enter(s, from.Unmap())
	}
	if reason != "" {
		p.metrics.refused.WithLabelValues(reason).Inc()
	}
	return reason == ""
}

// refusal returns what is against a subscriber by itself, empty: nothing.
func (p *Pusher) refusal(s Subscriber, from netip.Addr) string {
	k := s.Service
	switch {
	case !p.Accepts(s.Agent):
		return refusedAgent
	case !tellable(s.Addr) || !p.config.Anywhere && !near(s.Addr.Addr(), from):
		return refusedAddress
	case max(len(k.Namespace), len(k.Group), len(k.Name), len(s.Clusters), len(s.Agent), len(s.App)) > maxText:
		return refusedLong
	}
	return ""
}

// enter keeps a subscriber if there is room, and returns why not.
func (p *Pusher) enter(s Subscriber, from netip.Addr) (reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	at := seat{s.Addr, s.Clusters}
	a := p.audiences[s.Service]
	if a != nil && a.rows[at] != nil {
		r := a.rows[at]
		if r.Agent != s.Agent || r.App != s.App {
			r.Agent, r.App = strings.Clone(s.Agent), strings.Clone(s.App)
		}
		p.lapses.put(r, now.Add(p.config.Lapse))
		return ""
	}
	h := p.hosts[s.Addr.Addr()]
	if p.count >= p.config.MaxSubscribers || h != nil && h.rows >= p.config.MaxPerAddr {
		return refusedFull
	}
	if h == nil {
		h = &host{}
		p.hosts[s.Addr.Addr()] = h
	}
	if !h.ours && from.IsLoopback() && ours(s.Addr.Addr()) {
		h.ours = true
		p.ours = append(p.ours, s.Addr.Addr())
	}
	r := &row{Subscriber: s.own(), host: h, stale: true}
	if a == nil {
		a = &audience{rows: map[seat]*row{}}
		p.audiences[r.Service] = a
	}
	a.rows[seat{r.Addr, r.Clusters}] = r
	p.count++
	h.rows++
	p.lapses.put(r, now.Add(p.config.Lapse))
	if p.rests.first == nil {
		select {
		case p.kick <- struct{}{}:
		default: // Run is yet to notice an earlier one
		}
	}
	p.rest(r, now)
	return ""
}

// own returns s with texts of its own, as those of a caller may keep a whole
// request in memory.
func (s Subscriber) own() Subscriber {
	for _, text := range []*string{&s.Service.Namespace, &s.Service.Group, &s.Service.Name, &s.Clusters, &s.Agent, &s.App} {
		*text = strings.Clone(*text)
	}
	return s
}

// rest has r told nothing for a while; p.mu is held.
func (p *Pusher) rest(r *row, now time.Time) {
	if r.host.silent() {
		p.mutes.put(r, now.Add(p.config.AckWithin))
	} else {
		p.rests.put(r, now.Add(p.config.Merge))
	}
}

func (p *Pusher) resting(r *row) bool { return p.rests.has(r) || p.mutes.has(r) }

// leave forgets a row; p.mu is held.
func (p *Pusher) leave(r *row) {
	if r.stamp != 0 {
		p.settle(r)
		p.tally.failed++
	}
	p.lapses.drop(r)
	p.rests.drop(r)
	p.mutes.drop(r)
	a := p.audiences[r.Service]
	if delete(a.rows, seat{r.Addr, r.Clusters}); len(a.rows) == 0 {
		delete(p.audiences, r.Service)
	}
	p.count--
	if r.host.rows--; r.host.rows == 0 {
		delete(p.hosts, r.Addr.Addr())
		p.ours = slices.DeleteFunc(p.ours, func(ip netip.Addr) bool { return ip == r.Addr.Addr() })
	}
}

// Subscribers returns who is told of a service, ordered by address.
func (p *Pusher) Subscribers(k registry.ServiceKey) []Subscriber {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.audiences[k]
	if a == nil {
		return nil
	}
	now := time.Now()
	list := make([]Subscriber, 0, len(a.rows))
	for _, r := range a.rows {
		if r.places[byLapse].at.After(now) {
			list = append(list, r.Subscriber)
		}
	}
	slices.SortFunc(list, func(a, b Subscriber) int {
		return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.Clusters, b.Clusters))
	})
	return list
}

// SubscribersAt returns what is told at an address, ordered by service.
func (p *Pusher) SubscribersAt(at netip.AddrPort) []Subscriber {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hosts[at.Addr()] == nil {
		return nil
	}
	var list []Subscriber
	now := time.Now()
	for _, a := range p.audiences {
		for _, r := range a.rows {
			if r.Addr == at && r.places[byLapse].at.After(now) {
				list = append(list, r.Subscriber)
			}
		}
	}
	slices.SortFunc(list, func(a, b Subscriber) int {
		return cmp.Or(strings.Compare(a.Service.String(), b.Service.String()), cmp.Compare(a.Clusters, b.Clusters))
	})
	return list
}

// SubscriberCount returns how many there are of all services. One that has
// lapsed is counted for up to a second.
func (p *Pusher) SubscriberCount() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}
