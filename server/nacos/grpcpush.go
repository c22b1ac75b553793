package nacos

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/nacos/rpc"
)

// tells tell clients over their connections that services changed. Each subscription is
// told one thing at a time, and the newest state after that: a burst of changes costs a
// client few pushes, and one that is slow none but itself.
type tells struct {
	h      *Handler
	log    *slog.Logger
	kick   chan struct{} // something is due that run does not know of
	within time.Duration // tellWithin, and
	again  time.Duration // tellAgain, but in tests

	mu       sync.Mutex
	services map[registry.ServiceKey]map[string]*topic // by the clusters, as clients write them; guarded by mu, as is the rest
	conns    map[*rpc.Conn]*listening
	count    int // subscriptions
	due      agenda
	paused   bool   // operators have switched pushes off: what is due waits
	sent     uint64 // pushes
	failed   uint64 // of these, not acknowledged

	began time.Time // zero of the times of subscriptions
	late  prometheus.Histogram
}

// topic is what some subscriptions have in common.
type topic struct {
	wish

	subscribed map[*rpc.Conn]*subscription
}

// listening is a connection with its subscriptions.
type listening struct {
	topics map[*topic]struct{}
	flying int                // pushes that are not acknowledged, mostFlying at most
	turns  []*subscription    // that wait until there is room for theirs
	who    access.Subject     // as it was let in last
	shown  access.Credentials // by which
	caller *access.Caller     // as it may now; nil: to be found out
	asked  time.Time          // when that was
}

// subscription is one client that is told of one topic.
type subscription struct {
	conn  *rpc.Conn
	topic *topic

	flying   bool  // something was told and is not acknowledged
	waits    bool  // it is in [listening].turns
	gone     bool  // it is no subscription any more
	failures uint8 // pushes in a row that were not acknowledged
	place    int32 // in the agenda; -1: it is not

	// The times are nanoseconds since [tells].began.
	news  int64 // since when there is something to tell; 0: there is nothing
	told  int64 // of what is flying or failed, since when there was that to tell
	rests int64 // until when nothing more is told
	at    int64 // when it is due, while it is in the agenda
}

const (
	tellMerge     = 40 * time.Millisecond // the least time between two pushes to a subscription
	tellLittle    = 5 * time.Millisecond  // that others are waited for when something changed
	tellWithin    = 5 * time.Second       // for an acknowledgement, as in Nacos
	tellAgain     = time.Second           // after a push that was not acknowledged, as in Nacos
	tellPatience  = 12                    // of these in a row, after which the client has to connect anew
	tellMayAgain  = time.Second           // for how long a right is taken to stand
	tellForbidden = 5 * time.Second       // after which a right that is missing is asked for again

	maxSubscriptions     = 1_000_000
	maxSubscriptionsEach = 20_000 // of one connection
)

func newTells(h *Handler) *tells {
	return &tells{h: h, log: h.log, kick: make(chan struct{}, 1), within: tellWithin, again: tellAgain, services: map[registry.ServiceKey]map[string]*topic{},
		conns: map[*rpc.Conn]*listening{}, began: time.Now(), late: newLate()}
}

// subscribe has a client told of a topic from now on, first how it is: Java clients that
// subscribe anew after they were away read no answer to that.
func (t *tells) subscribe(c *grpcCall, w wish) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.conns[c.conn]
	if l == nil {
		l = &listening{topics: map[*topic]struct{}{}}
		t.conns[c.conn] = l
	}
	l.who, l.shown, l.caller = c.caller.Who, c.shown, nil
	o := t.services[w.service][w.clusters]
	if o != nil && o.subscribed[c.conn] != nil {
		return nil
	}
	if t.count >= maxSubscriptions || len(l.topics) >= maxSubscriptionsEach {
		return &refusal{status: http.StatusServiceUnavailable, text: "too many subscriptions"}
	}
	if o == nil {
		w.service, w.clusters = own(w.service), strings.Clone(w.clusters)
		o = &topic{w, map[*rpc.Conn]*subscription{}}
		if t.services[w.service] == nil {
			t.services[w.service] = map[string]*topic{}
		}
		t.services[w.service][w.clusters] = o
	}
	now := t.now()
	s := &subscription{conn: c.conn, topic: o, place: -1, news: now, rests: now + int64(tellMerge)}
	o.subscribed[c.conn] = s
	t.plan(s, s.rests)
	t.wake()
	l.topics[o] = struct{}{}
	t.count++
	return nil
}

// own returns a key whose texts lie in no message that is longer than they are.
func own(k registry.ServiceKey) registry.ServiceKey {
	return registry.ServiceKey{Namespace: strings.Clone(k.Namespace), Group: strings.Clone(k.Group), Name: strings.Clone(k.Name)}
}

// renew has a connection judged by what it has shown now.
func (t *tells) renew(c *grpcCall) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l := t.conns[c.conn]; l != nil {
		l.who, l.shown, l.caller = c.caller.Who, c.shown, nil
	}
}

// unsubscribe ends that.
func (t *tells) unsubscribe(c *rpc.Conn, w wish) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if o := t.services[w.service][w.clusters]; o != nil && o.subscribed[c] != nil {
		t.drop(o.subscribed[c])
	}
}

// leave ends all subscriptions of a connection.
func (t *tells) leave(c *rpc.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l := t.conns[c]; l != nil {
		l.turns = nil
		for o := range l.topics {
			t.drop(o.subscribed[c])
		}
		delete(t.conns, c)
	}
}

// drop forgets a subscription. t.mu is held.
func (t *tells) drop(s *subscription) {
	s.gone = true
	t.h.behind.remove(s)
	if s.place >= 0 {
		heap.Remove(&t.due, int(s.place))
	}
	o, l := s.topic, t.conns[s.conn]
	if s.waits {
		l.turns = slices.DeleteFunc(l.turns, func(other *subscription) bool { return other == s })
	}
	delete(l.topics, o)
	if delete(o.subscribed, s.conn); len(o.subscribed) == 0 {
		if delete(t.services[o.service], o.clusters); len(t.services[o.service]) == 0 {
			delete(t.services, o.service)
		}
	}
	t.count--
}

// run tells of changes until ctx ends.
func (t *tells) run(ctx context.Context) {
	view := t.h.cfg.View
	if view == nil || !view.Wait(ctx, 0) {
		<-ctx.Done()
		return
	}
	snap := view.Snapshot()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		changed := view.Changed()
		var services []registry.ServiceKey
		if now := view.Snapshot(); now != snap {
			services, snap = changes(snap, now), now
		}
		for o, to := range t.gather(services) {
			t.tell(ctx, o, to)
		}
		timer.Reset(t.idle())
		select {
		case <-changed:
			if !pause(ctx, tellLittle) { // others often come with it
				return
			}
		case <-timer.C:
		case <-t.kick:
		case <-ctx.Done():
			return
		}
	}
}

// changes returns the services that differ between two snapshots.
func changes(was, is *registry.Snapshot) (changed []registry.ServiceKey) {
	for old, now := range registry.Diff(was, is) {
		changed = append(changed, cmp.Or(now, old).Key)
	}
	return changed
}

// pause waits for d, and reports whether ctx is still on.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// idle returns how long nothing is due.
func (t *tells) idle() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.due) == 0 || t.paused {
		return time.Hour
	}
	return time.Duration(t.due[0].at - t.now())
}

// now returns the time since t began; it is above 0.
func (t *tells) now() int64 { return int64(time.Since(t.began)) + 1 }

// tell tells subscriptions of one topic how it is now. What they get is rendered once,
// but where a selector makes something else of their addresses.
func (t *tells) tell(ctx context.Context, o *topic, to []*subscription) {
	bodies := map[registry.Wants][]byte{}
	s := t.h.cfg.Registry.Snapshot().Service(o.service)
	for _, sub := range to {
		if !t.may(ctx, sub) {
			t.settle(sub, errForbidden)
			continue
		}
		var wants registry.Wants
		if s != nil && s.Selector.Labels != "" {
			wants = s.Wants(sub.conn.Client().IP.Unmap())
		}
		body := bodies[wants]
		if body == nil {
			w := o.wish
			w.wants = wants
			body = t.render(w)
			bodies[wants] = body
		}
		sub.conn.Push("NotifySubscriberRequest", body, t.within, func(err error) { t.settle(sub, err) })
	}
}

// notice is what a client is told.
type notice struct {
	Module      string   `json:"module"`
	Namespace   string   `json:"namespace"`
	ServiceName string   `json:"serviceName"`
	GroupName   string   `json:"groupName"`
	Service     hostList `json:"serviceInfo"`
}

func (t *tells) render(w wish) []byte {
	k := w.service
	text, err := encode(notice{"naming", k.Namespace, k.Name, k.Group, t.h.view(w, nil)})
	if err != nil { // there is nothing in it that could fail
		t.log.Error("a list cannot be written", "service", k.String(), "err", err)
		return []byte("{}")
	}
	return []byte(text)
}

var errForbidden = errors.New("it may not be told")

// settle takes what became of a push.
func (t *tells) settle(s *subscription, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.flying = false
	now := t.now()
	t.nextTurn(s.conn, now)
	switch {
	case s.gone, errors.Is(err, rpc.ErrGone):
		return
	case errors.Is(err, errForbidden): // it may be later, and is told what it missed then
		t.plan(s, now+int64(tellForbidden))
	case err != nil:
		t.failed++
		t.h.behind.add(s, s.conn, t.began.Add(time.Duration(s.told)))
		if s.failures++; s.failures >= tellPatience {
			s.failures = 0
			t.log.Warn("a client acknowledges nothing: it has to connect anew", "client", s.conn.Client().Version, "address", s.conn.Client().Addr, "err", err)
			go s.conn.Reset("")
		}
		t.plan(s, now+int64(t.again))
	default:
		t.late.Observe(time.Duration(now - s.told).Seconds())
		t.h.behind.remove(s)
		s.failures, s.told = 0, 0
		if s.news == 0 {
			return
		}
		t.plan(s, s.rests)
	}
	t.wake()
}

// wake has run look at what is due.
func (t *tells) wake() {
	select {
	case t.kick <- struct{}{}:
	default: // run is yet to notice an earlier one
	}
}

// may reports whether a client may still be told what it subscribed to.
func (t *tells) may(ctx context.Context, s *subscription) bool {
	if !t.h.cfg.Gate.Shut() {
		return true
	}
	t.mu.Lock()
	l := t.conns[s.conn]
	if l == nil {
		t.mu.Unlock()
		return false
	}
	who, shown, caller := l.who, l.shown, l.caller
	if time.Since(l.asked) >= tellMayAgain {
		caller = nil
	}
	t.mu.Unlock()
	if caller == nil {
		var err error
		if caller, err = t.h.cfg.Gate.Again(ctx, who, shown); err != nil {
			return false
		}
		t.mu.Lock()
		l.caller, l.asked = caller, time.Now()
		t.mu.Unlock()
	}
	k := s.topic.service
	return caller.May(access.Read, access.Resource{Kind: access.Naming, Namespace: k.Namespace, Group: k.Group})
}
