package nacos

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/server/nacos/rpc"
)

// How a connection is told of a change.
const (
	configPushTime = 3 * time.Second // for the acknowledgement, as in Nacos
	mostFlying     = 32              // pushes to a connection that wait for theirs; the rest waits its turn
	// mostTries is how often a push is made that comes to nothing, 2, 4, 6, … seconds after one
	// another: for two minutes. The client asks by itself every few minutes.
	mostTries = 10
	// mostUnheeded is how often a push is made again that was acknowledged, 1, 2, 4, … seconds
	// after one another, to a client that has not listened anew since, nor fetched it. The
	// clients of Go and Python forget what they acknowledged while an answer was under way that
	// puts them in step, and would ask by themselves after five minutes.
	mostUnheeded = 4
	// stillThere is after what time a connection is noted anew in the push track, where
	// who is not heard of for 90 s is gone.
	stillThere = time.Minute
)

// errands are what the loop of pushes has to do. They are safe for concurrent use: those
// who leave one never wait for the loop.
type errands struct {
	bell chan struct{}

	mu      sync.Mutex
	changes map[change]struct{} // guarded by mu
	acks    []ack               // guarded by mu
}

// change is a document that changed, and somebody who listens to it.
type change struct {
	one *configListener
	key config.Key
}

// ack is what became of a push.
type ack struct {
	one *configListener
	key config.Key
	err error
}

func newErrands() errands {
	return errands{bell: make(chan struct{}, 1), changes: map[change]struct{}{}}
}

func (e *errands) changed(one *configListener, k config.Key) {
	e.mu.Lock()
	e.changes[change{one, k}] = struct{}{}
	e.mu.Unlock()
	e.ring()
}

func (e *errands) answered(one *configListener, k config.Key, err error) {
	e.mu.Lock()
	e.acks = append(e.acks, ack{one, k, err})
	e.mu.Unlock()
	e.ring()
}

func (e *errands) ring() {
	select {
	case e.bell <- struct{}{}:
	default:
	}
}

// take returns what there is to do.
func (e *errands) take() (map[change]struct{}, []ack) {
	e.mu.Lock()
	defer e.mu.Unlock()
	acks := e.acks
	e.acks = nil
	if len(e.changes) == 0 {
		return nil, acks
	}
	changes := e.changes
	e.changes = map[change]struct{}{}
	return changes, acks
}

// run tells connections of changes until ctx ends.
func (l *configListeners) run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		l.rounds++
		select {
		case <-l.errands.bell:
			l.round(ctx)
		case now := <-tick.C:
			l.again(ctx, now)
			l.refresh(ctx, now)
		case <-ctx.Done():
			return nil
		}
		clear(l.pushes)
	}
}

// round does what there is to do.
func (l *configListeners) round(ctx context.Context) {
	changes, acks := l.errands.take()
	for _, a := range acks {
		l.answered(ctx, a)
	}
	for c := range changes {
		c.one.mu.Lock()
		if c.key == anyKey {
			l.compareAll(c.one)
		} else {
			l.compare(c.one, c.key)
		}
		l.pump(ctx, c.one)
		c.one.mu.Unlock()
	}
}

// anyKey stands for every document that a connection listens to.
var anyKey config.Key

// compareAll is compare for each document. one.mu is held.
func (l *configListeners) compareAll(one *configListener) {
	for k := range one.docs {
		l.compare(one, k)
	}
}

// compare has a push made of a document of which a client does not know what it gets by
// now. one.mu is held.
func (l *configListeners) compare(one *configListener, k config.Key) {
	doc := one.docs[k]
	if doc == nil {
		return
	}
	md5, differs := l.h.cfg.Configs.View().Snapshot().Differs(k, l.client(one), doc.told)
	if !differs {
		return
	}
	doc.told, doc.heeded, doc.unheeded = md5, false, 0
	switch doc.state {
	case noticeIdle, noticeResting:
		doc.state = noticeReady
		one.ready = append(one.ready, k)
	case noticeFlying:
		doc.again = true // it may have asked before the change
	}
}

// pump pushes what is ready, as far as the connection keeps up. one.mu is held.
func (l *configListeners) pump(ctx context.Context, one *configListener) {
	for one.flying < mostFlying && len(one.ready) > 0 {
		k := one.ready[0]
		one.ready = one.ready[1:]
		doc := one.docs[k]
		if doc == nil || doc.state != noticeReady {
			continue
		}
		doc.state, doc.again = noticeIdle, false
		if _, differs := l.h.cfg.Configs.View().Snapshot().Differs(k, l.client(one), doc.has); !differs && !doc.unsure {
			continue
		}
		if !l.may(ctx, one, k) {
			doc.told = doc.has // it is compared again, and told once it may know
			continue
		}
		doc.state, doc.unsure = noticeFlying, true
		one.flying++
		one.conn.Push("ConfigChangeNotifyRequest", l.push(spelled{k, doc.tenant}), configPushTime, func(err error) { l.errands.answered(one, k, err) })
	}
	if len(one.ready) == 0 {
		one.ready = nil
	}
}

// spelled is a document as a client names it.
type spelled struct {
	key    config.Key
	tenant string
}

// push returns the message that a document changed, the same bytes to all who are told
// in a round.
func (l *configListeners) push(of spelled) []byte {
	body := l.pushes[of]
	if body == nil {
		text, _ := encode(changeNotice{Module: "config", listenedName: listenedName{of.key.Group, of.key.DataID, of.tenant}}) // texts have no errors
		body = []byte(text)
		l.pushes[of] = body
	}
	return body
}

// listenedName is a document as a client wrote it. The Python SDK wants every key.
type listenedName struct {
	Group  string `json:"group"`
	DataID string `json:"dataId"`
	Tenant string `json:"tenant"`
}

type changeNotice struct {
	Module string `json:"module"`
	listenedName
}

// answered takes what became of a push.
func (l *configListeners) answered(ctx context.Context, a ack) {
	one := a.one
	one.mu.Lock()
	defer one.mu.Unlock()
	one.flying--
	if a.err == nil {
		one.acked = true
	}
	if doc := one.docs[a.key]; doc != nil && doc.state == noticeFlying {
		doc.state = noticeIdle
		switch {
		case doc.again:
			doc.state = noticeReady
			one.ready = append(one.ready, a.key)
		case a.err == nil, errors.Is(a.err, rpc.ErrGone):
			doc.tries = 0
			l.caughtUp(one, a.key, doc)
			if a.err == nil && doc.unsure && !doc.heeded && doc.unheeded < mostUnheeded {
				l.rests(one, a.key, doc, time.Second<<doc.unheeded)
				doc.unheeded++
			}
		default:
			l.unanswered(one, a.key, doc)
		}
	}
	l.pump(ctx, one)
}

// unanswered has a push made again, or gives it up. A client that acknowledged others
// before is out of step then: it is asked to connect anew, and to listen anew with that.
// A Go client acknowledges only what it caches, so it is left alone. one.mu is held.
func (l *configListeners) unanswered(one *configListener, k config.Key, doc *listenedDoc) {
	if !one.deaf && !doc.behind {
		doc.behind = true
		l.h.behind.add(change{one, k}, one.conn, time.Now())
	}
	if doc.tries++; doc.tries < mostTries {
		l.rests(one, k, doc, time.Duration(doc.tries)*2*time.Second)
		return
	}
	doc.tries = 0
	if one.acked && !one.deaf {
		one.conn.Reset("")
	}
}

// rests has a push made again after a while, unless the client listens anew before. one.mu
// is held.
func (l *configListeners) rests(one *configListener, k config.Key, doc *listenedDoc, pause time.Duration) {
	doc.state = noticeResting
	if one.rest == nil {
		one.rest = map[config.Key]time.Time{}
	}
	one.rest[k] = time.Now().Add(pause)
	l.resting[one] = struct{}{}
}

// caughtUp notes that a client knows of a document, or does not want to. one.mu is held.
func (l *configListeners) caughtUp(one *configListener, k config.Key, doc *listenedDoc) {
	if doc.behind {
		doc.behind = false
		l.h.behind.remove(change{one, k})
	}
}

// fetched notes which content of a document a client was answered, "" for none. The clients
// of Rust fetch what they are told of and do not listen anew: one of them calls its users for
// each push, whatever it has fetched. That of Go, which pushes are made again for, fetches
// for its users alone what it has forgotten.
func (l *configListeners) fetched(conn pushed, k config.Key, md5 string) {
	l.mu.Lock()
	one := l.by[conn]
	l.mu.Unlock()
	if one == nil || one.deaf {
		return
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	doc := one.docs[k]
	if doc == nil || !doc.unsure || doc.told != md5 {
		return
	}
	doc.heeded = true
	if doc.state == noticeResting && doc.tries == 0 {
		doc.state = noticeIdle
	}
}

// again makes the pushes whose time to rest is over.
func (l *configListeners) again(ctx context.Context, now time.Time) {
	for one := range l.resting {
		one.mu.Lock()
		for k, until := range one.rest {
			doc := one.docs[k]
			rests := doc != nil && doc.state == noticeResting
			if rests && now.Before(until) {
				continue
			}
			delete(one.rest, k)
			if rests {
				doc.state = noticeReady
				one.ready = append(one.ready, k)
			}
		}
		if len(one.rest) == 0 {
			one.rest = nil
			delete(l.resting, one)
		}
		l.pump(ctx, one)
		one.mu.Unlock()
	}
}

// refresh notes in the push track that those are still there who listen. While at it, it
// looks whether they get something else by now: what is known of a client may have
// changed, and no document with it.
func (l *configListeners) refresh(ctx context.Context, now time.Time) {
	l.mu.Lock()
	var due []*configListener
	for _, one := range l.by {
		if now.Sub(one.heard) >= stillThere {
			due = append(due, one)
		}
	}
	l.mu.Unlock()
	for _, one := range due {
		one.mu.Lock()
		one.heard = now
		l.h.cfg.Track.Listens(l.client(one), func(yield func(config.Key, string) bool) {
			for k, doc := range one.docs {
				if !yield(k, doc.has) {
					return
				}
			}
		})
		l.compareAll(one)
		l.pump(ctx, one)
		one.mu.Unlock()
	}
}
