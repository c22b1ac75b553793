package relay

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// peers is what is known of the other servers as takers of word.
type peers struct {
	mu    sync.Mutex
	byID  map[string]*peer // guarded by mu
	judge string           // who judged when last looked; guarded by mu
	best  string           // who took word last to pass it on; guarded by mu
}

// peer is another server, as its last answer showed it. One that did not accept
// gets no batch until it accepts an empty one, which is sent on the side: so a
// server that hangs holds up one batch and no more.
type peer struct {
	Server

	state  state
	away   bool   // its last answer: etcd is away for it too
	reason string // of the last refusal or failure
	asking bool
	ask    time.Time // when to ask it next
}

type state int

const (
	accepts state = iota // or was not asked yet
	refuses
	fails
)

const (
	askRefused = 250 * time.Millisecond  // until a server that refused is asked again, at the least
	askFailed  = 1500 * time.Millisecond // the same for one that did not answer
)

// follow forgets servers that are gone. A server that is new, has moved or just
// became the judge is one that accepts.
func (p *peers) follow(c Cluster) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := make(map[string]*peer, len(c.Others))
	for _, s := range c.Others {
		k := p.byID[s.ID]
		if k == nil || k.Server != s || c.Judge != p.judge && c.Judge == s.ID {
			k = &peer{Server: s}
		}
		now[s.ID] = k
	}
	p.byID, p.judge = now, c.Judge
}

// open reports whether a server may be sent a batch.
func (p *peers) open(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.byID[id]
	return k != nil && k.state == accepts
}

// others returns the servers besides the judge that may be sent a batch to pass
// on, the one that last did so first.
func (p *peers) others(c Cluster) []Server {
	p.mu.Lock()
	defer p.mu.Unlock()
	var open []Server
	for _, s := range c.Others {
		if k := p.byID[s.ID]; s.ID != c.Judge && k != nil && k.state == accepts {
			open = append(open, s)
		}
	}
	if i := slices.IndexFunc(open, func(s Server) bool { return s.ID == p.best }); i > 0 {
		open[0], open[i] = open[i], open[0]
	}
	return open
}

// note takes in how a server answered, and reports what it was before.
func (p *peers) note(to Server, a Answer, err error) (was state) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.byID[to.ID]
	if k == nil || k.Server != to {
		return accepts
	}
	was = k.state
	pause := askRefused
	switch {
	case err != nil:
		k.state, k.away, k.reason, pause = fails, false, err.Error(), askFailed
	case a.Accepted:
		k.state, k.away, k.reason = accepts, false, ""
		if to.ID != p.judge {
			p.best = to.ID
		}
	default:
		k.state, k.away, k.reason = refuses, a.Away, a.Reason
	}
	k.ask = time.Now().Add(pause + rand.N(pause)) // servers do not ask in step
	return was
}

// silenced returns the servers that are to be asked now.
func (p *peers) silenced() []Server {
	p.mu.Lock()
	defer p.mu.Unlock()
	var ask []Server
	for _, k := range p.byID {
		if k.state != accepts && !k.asking && !time.Now().Before(k.ask) {
			k.asking = true
			ask = append(ask, k.Server)
		}
	}
	return ask
}

func (p *peers) asked(to Server) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k := p.byID[to.ID]; k != nil && k.Server == to {
		k.asking = false
	}
}

// allAway reports whether every other server said that etcd is away for it too
// and that it knows no way, which says nothing when there is none. One that says
// otherwise, or nothing, is named.
func (p *peers) allAway(c Cluster) (but string, away bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range c.Others {
		switch k := p.byID[s.ID]; {
		case k == nil || k.state == accepts:
			return "server " + s.ID + " was not asked yet", false
		case k.state == fails || !k.away:
			return "server " + s.ID + ": " + k.reason, false
		}
	}
	return "", true
}

// askAll asks the servers that took no word whether they do now.
func (r *Relay) askAll(ctx context.Context, c Cluster, asks *sync.WaitGroup) {
	for _, to := range r.peers.silenced() {
		asks.Go(func() {
			defer r.peers.asked(to)
			_ = r.post(ctx, to, "ask", Batch{From: c.Self}, askWithin) // noted
		})
	}
}
