package relay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/musterhq/muster/registry"
)

// Bounds of one delivery. A judge that hangs has held up a batch for
// judgeWithin and relayWithin at the most when it is in the mailbox; later ones
// do not try it.
const (
	judgeWithin = time.Second
	relayWithin = 400 * time.Millisecond
	passWithin  = 300 * time.Millisecond // on the server that passes a batch on
	mailWithin  = time.Second
	askWithin   = time.Second
	lastWithin  = 2 * time.Second // for the round after the end of Run

	mailPause = time.Second     // after a letter that failed
	patience  = 3 * time.Second // how long nothing can be delivered before that is an error
)

// errHeld says that nobody judges: what waits is kept for who will.
var errHeld = errors.New("nobody judges")

// round delivers what waits.
func (r *Relay) round(ctx context.Context, asks *sync.WaitGroup) {
	c := r.config.Cluster()
	r.peers.follow(c)
	own, err := r.drain(ctx, c, &r.own, false)
	passed, _ := r.drain(ctx, c, &r.passed, true) // who waits for it is told
	if ctx.Err() != nil {
		return
	}
	if own.tried {
		r.judgeTrouble(c, own.delivered, err)
	}
	if own.tried || passed.tried {
		r.askAll(ctx, c, asks)
	}
}

// outcome says how far a round came with one queue.
type outcome struct{ tried, delivered bool }

// drain delivers what is in a queue now, batch by batch, until one fails.
func (r *Relay) drain(ctx context.Context, c Cluster, q *queue, relayed bool) (o outcome, err error) {
	left, waiter := q.begin()
	for left > 0 && err == nil {
		batch := q.take()
		left -= len(batch)
		o.tried = true
		err = r.deliver(ctx, c, batch, relayed)
		q.settle(batch, err == nil)
		o.delivered = o.delivered || err == nil
	}
	for _, w := range waiter {
		w <- err
	}
	return o, err
}

// deliver tries the ways one after another.
func (r *Relay) deliver(ctx context.Context, c Cluster, batch []string, relayed bool) error {
	err := r.config.Local.HearAll(batch)
	if err == nil {
		r.count("local", "accepted", batch)
		return nil
	}
	if !errors.Is(err, registry.ErrUnavailable) { // it judges, and would not take it the next time either
		r.count("local", "refused", nil)
		return nil
	}
	away := r.config.Away()
	b := Batch{From: c.Self, Relayed: relayed, Witnesses: batch}
	nobody := c.Judge == "" || c.Judge == c.Self // and this server's judge is not ready
	why := errors.New("no way to the server that judges is known")
	if judge, ok := c.server(c.Judge); ok && r.peers.open(judge.ID) {
		if why = r.post(ctx, judge, "judge", b, judgeWithin); why == nil {
			return nil
		}
	}
	if nobody && !away {
		return errHeld
	}
	if !relayed {
		for _, to := range r.peers.others(c) {
			if why = r.post(ctx, to, "relay", b, relayWithin); why == nil {
				return nil
			}
			if !away && !r.peers.open(to.ID) && errors.Is(why, errNoAnswer) {
				break // the mailbox is nearer than the next that may hang
			}
		}
	}
	if away {
		return why
	}
	return r.leave(ctx, batch)
}

// server returns another server by its id.
func (c Cluster) server(id string) (Server, bool) {
	for _, s := range c.Others {
		if s.ID == id {
			return s, true
		}
	}
	return Server{}, false
}

var errNoAnswer = errors.New("no answer")

// post sends a batch to another server and notes how it took it.
func (r *Relay) post(ctx context.Context, to Server, way string, b Batch, within time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	a, err := r.config.Post(limited, to, b)
	if err != nil && ctx.Err() != nil {
		return ctx.Err() // says nothing of the other server
	}
	was := r.peers.note(to, a, err)
	switch {
	case err != nil:
		r.count(way, "failed", nil)
		if was != fails {
			r.config.Logger.Warn("another server takes no word of beats", "server", to.ID, "way", way, "err", err)
		}
		return fmt.Errorf("server %s: %w: %w", to.ID, errNoAnswer, err)
	case !a.Accepted:
		r.count(way, "refused", nil)
		return fmt.Errorf("server %s: %s", to.ID, a.Reason)
	}
	r.count(way, "accepted", b.Witnesses)
	if was == fails {
		r.config.Logger.Info("another server takes word of beats again", "server", to.ID)
	}
	return nil
}

// leave puts a batch in the mailbox.
func (r *Relay) leave(ctx context.Context, batch []string) error {
	if !r.mailWorks() {
		return errors.New("the mailbox in etcd failed just now")
	}
	limited, cancel := context.WithTimeout(ctx, mailWithin)
	defer cancel()
	if err := r.config.Mail(limited, batch); err != nil {
		if ctx.Err() == nil {
			r.mail.Store(r.now() + int64(mailPause))
			r.count("mailbox", "failed", nil)
		}
		return fmt.Errorf("mailbox in etcd: %w", err)
	}
	r.count("mailbox", "accepted", batch)
	return nil
}

func (r *Relay) mailWorks() bool { return r.now() >= r.mail.Load() }

// judgeTrouble draws from the outcome of a round what Heard returns: the table
// in the package's doc.
func (r *Relay) judgeTrouble(c Cluster, delivered bool, err error) {
	if err == nil || errors.Is(err, errHeld) {
		r.failing.Store(0)
		r.refuse(nil)
		return
	}
	since := r.failing.Load()
	if since == 0 || delivered {
		since = r.now()
		r.failing.Store(since)
	}
	if r.now()-since <= int64(patience) {
		r.refuse(nil)
		return
	}
	if !r.config.Away() {
		r.refuse(fmt.Errorf("%w: this server is cut off from the one that judges, %s: %w", registry.ErrUnavailable, c.Judge, err))
		return
	}
	but, away := r.peers.allAway(c)
	if away {
		r.refuse(nil)
		return
	}
	r.refuse(fmt.Errorf("%w: this server is cut off: etcd does not answer it, and %s", registry.ErrUnavailable, but))
}

// refuse has Heard return err from now on.
func (r *Relay) refuse(err error) {
	was := r.refusal.Load()
	if err == nil {
		r.refusal.Store(nil)
		if was != nil {
			r.config.Logger.Info("beats are taken again")
		}
		return
	}
	r.refusal.Store(&err)
	if was == nil {
		r.config.Logger.Warn("beats are refused", "err", err)
	}
}
