package nacos

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/internal/crew"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/nacos/rpc"
)

// holders know what the connections of this server hold, and tell the judge of them while
// they live. What a lost connection held is left to the judge: its client comes back on
// another one.
type holders struct {
	registry Registry
	gate     *access.Gate
	log      *slog.Logger
	most     time.Duration // between two words of a connection
	redo     time.Duration // redoTime, but in tests

	mu    sync.Mutex
	conns map[*rpc.Conn]*holder // that hold something or did; guarded by mu, as is the rest
	seen  *registry.Snapshot    // at the last look
	gone  map[string]time.Time  // ids of those that were lost not long ago
	swept time.Time             // when those of long ago were taken out of gone
}

// holder is one connection.
type holder struct {
	id   string
	conn *rpc.Conn
	next time.Time   // when the judge is to be told; guarded by [holders].mu
	busy atomic.Bool // the judge is being told

	mu     sync.Mutex
	who    access.Subject     // that it is of; guarded by mu, as is the rest
	shown  access.Credentials // by which
	barred int                // in how many of the services it may not hold anything any more
	sets   map[registry.ServiceKey]*holding
	missed map[registry.ServiceKey]bool // of which nothing could be written when the client said what it holds
	back   time.Time                    // since when something can again; zero: nothing can, or nothing is missed
}

// holding is what a connection holds in one service. Its lock is held while that is
// changed, so that the last word of a client is the last one that is written.
type holding struct {
	mu  sync.Mutex
	set []registry.Registration
}

const (
	hearLook   = 250 * time.Millisecond // how often those are looked for that are due
	hearMost   = 5 * time.Second        // the longest time between two words of a connection, and for one
	hearAgain  = time.Second            // after a word that nobody took
	hearers    = 16                     // that tell the judge at once
	goneKnown  = time.Minute            // for how long a lost connection is remembered
	redoTime   = 4 * time.Second        // in which clients of Java, C# and others say anew by themselves what failed
	mostMissed = 16                     // services of a connection that are noted as missed: one is enough to have it connect anew
)

func newHolders(r Registry, gate *access.Gate, log *slog.Logger) *holders {
	return &holders{registry: r, gate: gate, log: log, most: hearMost, redo: redoTime, conns: map[*rpc.Conn]*holder{}, gone: map[string]time.Time{}}
}

// of returns what is known of a connection.
func (h *holders) of(c *rpc.Conn) *holder {
	h.mu.Lock()
	defer h.mu.Unlock()
	o := h.conns[c]
	if o == nil {
		o = &holder{id: c.ID(), conn: c, sets: map[registry.ServiceKey]*holding{}}
		h.conns[c] = o
	}
	return o
}

// renew has a connection judged by what it has shown now.
func (h *holders) renew(c *grpcCall) {
	h.mu.Lock()
	o := h.conns[c.conn]
	h.mu.Unlock()
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.who, o.shown = c.caller.Who, c.shown
}

// lock returns what the connection holds in a service, locked.
func (o *holder) lock(k registry.ServiceKey) *holding {
	for {
		o.mu.Lock()
		s := o.sets[k]
		if s == nil {
			s = new(holding)
			o.sets[k] = s
		}
		o.mu.Unlock()
		s.mu.Lock()
		o.mu.Lock()
		kept := o.sets[k] == s
		o.mu.Unlock()
		if kept {
			return s
		}
		s.mu.Unlock() // it was emptied and forgotten meanwhile
	}
}

// unlock undoes lock. A service in which nothing is held is forgotten, else a client could
// name ever new ones.
func (o *holder) unlock(k registry.ServiceKey, s *holding) {
	if len(s.set) == 0 {
		o.mu.Lock()
		if o.sets[k] == s {
			delete(o.sets, k)
		}
		o.mu.Unlock()
	}
	s.mu.Unlock()
}

// hold has a connection hold a set in a service, in place of all that it held there.
func (h *holders) hold(c *grpcCall, k registry.ServiceKey, set []registry.Registration) (registry.Receipt, error) {
	k = own(k)
	o := h.of(c.conn)
	o.mu.Lock()
	o.who, o.shown = c.caller.Who, c.shown
	o.mu.Unlock()
	s := o.lock(k)
	defer o.unlock(k, s)
	receipt, err := h.registry.Hold(c.ctx, o.id, k, set)
	o.said(k, err)
	if err != nil {
		return receipt, err
	}
	s.set = slices.Clone(set)
	for i := range s.set {
		s.set[i].Key.Service = k // one text for all
	}
	return receipt, nil
}

// release has a connection hold nothing in a service, as [registry.Registry.LetGo].
func (h *holders) release(ctx context.Context, c *rpc.Conn, k registry.ServiceKey, named registry.Endpoint) (registry.Receipt, error) {
	k = own(k)
	o := h.of(c)
	s := o.lock(k)
	defer o.unlock(k, s)
	receipt, err := h.registry.LetGo(ctx, c.ID(), k, named)
	o.said(k, err)
	if err == nil {
		s.set = nil
	}
	return receipt, err
}

// said notes what became of what a client said of a service.
func (o *holder) said(k registry.ServiceKey, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case err == nil:
		delete(o.missed, k)
	case is(err, registry.ErrUnavailable, context.DeadlineExceeded) && len(o.missed) < mostMissed: // all else is no better later
		if o.missed == nil {
			o.missed = map[registry.ServiceKey]bool{}
		}
		o.missed[k] = true
	}
}

// anew reports whether a client has to connect anew, as it has not said again what could not
// be written: those of Go and Rust say after each connect what they hold, and if that
// fails, not until the next one.
func (h *holders) anew(ctx context.Context, o *holder) bool {
	o.mu.Lock()
	missed := len(o.missed)
	o.mu.Unlock()
	if missed == 0 {
		return false
	}
	_, err := h.registry.Regain(ctx, o.id, nil, h.isGone) // of nothing: whether etcd answers
	o.mu.Lock()
	defer o.mu.Unlock()
	switch now := time.Now(); {
	case err != nil, len(o.missed) == 0:
		o.back = time.Time{}
	case o.back.IsZero():
		o.back = now
	case now.Sub(o.back) >= h.redo:
		o.missed, o.back = nil, time.Time{}
		return true
	}
	return false
}

// leave forgets a connection. What it held and another one declares too goes to that one
// with its next word.
func (h *holders) leave(c *rpc.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conns[c] == nil {
		return
	}
	delete(h.conns, c)
	now := time.Now()
	if now.Sub(h.swept) > goneKnown { // not each time: all may be lost at once
		h.swept = now
		maps.DeleteFunc(h.gone, func(_ string, since time.Time) bool { return now.Sub(since) > goneKnown })
	}
	h.gone[c.ID()] = now
}

// isGone reports whether a connection was lost by this server not long ago.
func (h *holders) isGone(id string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, gone := h.gone[id]
	return gone
}

// run tells the judge of connections until ctx ends.
func (h *holders) run(ctx context.Context) {
	tellers := &crew.Crew{Most: hearers}
	defer tellers.Wait()
	tick := time.NewTicker(hearLook)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for _, o := range h.due(time.Now()) {
			tellers.Do(ctx, func(ctx context.Context) {
				defer o.busy.Store(false)
				h.hear(ctx, o)
			})
		}
	}
}

// due returns the connections that the judge is to be told of. One that it has just called
// silent, or has taken something from, is due at once: its word came too late.
func (h *holders) due(now time.Time) (due []*holder) {
	snap := h.registry.Snapshot()
	if snap == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	judged := map[string]bool{}
	if h.seen != nil {
		for id := range registry.DiffJudged(h.seen, snap) {
			judged[id] = true
		}
	}
	h.seen = snap
	for _, o := range h.conns {
		if judged[o.id] {
			o.next = now
		}
		if !o.next.After(now) && o.busy.CompareAndSwap(false, true) {
			o.next = now.Add(h.interval(snap, o.id))
			due = append(due, o)
		}
	}
	return due
}

// interval returns how often the judge is to be told of a connection: as often as the
// most demanding of its instances wants.
func (h *holders) interval(snap *registry.Snapshot, id string) time.Duration {
	least := h.most
	if c := snap.Connection(id); c != nil {
		for _, k := range c.Instances {
			if i := snap.Instance(k); i != nil && i.Timeouts.Interval > 0 {
				least = min(least, i.Timeouts.Interval)
			}
		}
	}
	return least
}

// hear tells the judge that a connection lives, and has it hold again what it lost while
// nobody heard of it. For what it may not register any more it vouches no more; of one that
// may not register any of what it has the judge does not hear, as of one that is silent.
func (h *holders) hear(ctx context.Context, o *holder) {
	ctx, cancel := context.WithTimeout(ctx, hearMost)
	defer cancel()
	sets, barred := h.held(ctx, o)
	h.warn(o, len(barred))
	if len(barred) > 0 && len(barred) == len(sets) {
		return
	}
	if err := h.registry.Forsake(ctx, o.id, barred); err != nil { // tried again with the next word
		h.log.Debug("a connection vouches still for what it may not register", "connection", o.id, "err", err)
	}
	if err := h.registry.HearConnection(ctx, o.id); err != nil {
		h.log.Debug("nobody takes word of a connection", "connection", o.id, "err", err)
		h.mu.Lock()
		o.next = time.Now().Add(hearAgain)
		h.mu.Unlock()
		return
	}
	if h.anew(ctx, o) {
		h.log.Info("a client has to connect anew: what it said of its instances could not be written, and it has not said it again", "connection", o.id)
		o.conn.Reset("")
	}
	for k, s := range sets {
		if !barred[k] && s.mu.TryLock() { // else its client just says what it wants
			h.regain(ctx, o.id, s)
			o.unlock(k, s)
		}
	}
}

// held returns what a connection holds, and in which services it may not any more.
func (h *holders) held(ctx context.Context, o *holder) (sets map[registry.ServiceKey]*holding, barred map[registry.ServiceKey]bool) {
	o.mu.Lock()
	sets, who, shown := maps.Clone(o.sets), o.who, o.shown
	o.mu.Unlock()
	if !h.gate.Shut() {
		return sets, nil
	}
	if _, renews := h.gate.Who.(access.Renewer); renews && who.Type == access.User {
		// The end of a session, or of the key that signed it, says nothing of its user. A client
		// that has nothing to do but to be there does not notice either.
		shown = access.Credentials{From: shown.From, User: who.Name}
	}
	caller, err := h.gate.Again(ctx, who, shown)
	barred = map[registry.ServiceKey]bool{}
	for k := range sets {
		if err != nil || !caller.May(access.Write, access.Resource{Kind: access.Naming, Namespace: k.Namespace, Group: k.Group}) {
			barred[k] = true
		}
	}
	return sets, barred
}

// warn logs when a connection may not register any more something of what it has.
func (h *holders) warn(o *holder, barred int) {
	o.mu.Lock()
	was, who := o.barred, o.who
	o.barred = barred
	o.mu.Unlock()
	if barred > was {
		h.log.Warn("a connection may not register any more what it has: it counts as silent there", "connection", o.id, "user", who.String(), "services", barred)
	}
}

// regain has a connection hold what the judge took from it, and what it lost to another one
// that is silent or gone. What somebody deregistered is forgotten, and what somebody else
// holds is left to that one. The holding is locked.
func (h *holders) regain(ctx context.Context, id string, s *holding) {
	snap := h.registry.Snapshot()
	s.set = slices.DeleteFunc(s.set, func(r registry.Registration) bool { return snap.Instance(r.Key) == nil && snap.Buried(r.Key) })
	var lost []registry.Registration
	for _, r := range s.set {
		if snap.Lost(r.Key, id, h.isGone) {
			lost = append(lost, r)
		}
	}
	if len(lost) == 0 {
		return
	}
	if _, err := h.registry.Regain(ctx, id, lost, h.isGone); err != nil {
		h.log.Warn("what a connection lost cannot be registered again", "connection", id, "service", lost[0].Key.Service.String(), "err", err)
		return
	}
	h.log.Info("registered again what a connection had lost", "connection", id, "instances", len(lost))
}
