package push

import (
	"iter"
	"maps"
	"net/netip"
	"time"

	"github.com/musterhq/muster/registry"
)

// message is one content for all rows that get the same.
type message struct {
	heading

	rows []*row
}

// heading tells messages apart.
type heading struct {
	topic Topic
	stamp int64 // of the push that is repeated, 0: it is a new one
}

// gather returns what is to be told now, given what changed. Nothing is rendered
// under the lock. Only the goroutine of Run calls it, so rows stay while it works.
func (p *Pusher) gather(changed []registry.ServiceKey) map[heading]*message {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	messages := map[heading]*message{}
	for r := p.lapses.due(now); r != nil; r = p.lapses.due(now) {
		p.leave(r)
	}
	for _, k := range changed {
		if a := p.audiences[k]; a != nil {
			for _, r := range a.rows {
				if r.stale = p.resting(r); !r.stale {
					p.renew(messages, r, now)
				}
			}
		}
	}
	for _, o := range []*order{&p.rests, &p.mutes} {
		for r := o.due(now); r != nil; r = o.due(now) {
			if r.stale {
				p.renew(messages, r, now)
			}
		}
	}
	for r := p.overdue.due(now); r != nil; r = p.overdue.due(now) {
		p.repeat(messages, r, now)
	}
	return messages
}

// renew has r told the newest state; p.mu is held. What it was told before is not
// worth repeating then.
func (p *Pusher) renew(messages map[heading]*message, r *row, now time.Time) {
	r.stale = false
	if r.stamp != 0 {
		p.settle(r)
		p.tally.overtaken++
	}
	p.add(messages, r, now)
}

// repeat has r told once more what it did not acknowledge, or gives up; p.mu is
// held. What is sent is the newest state, under the old stamp: so nothing that was
// sent has to be kept, and either acknowledgement will do.
func (p *Pusher) repeat(messages map[heading]*message, r *row, now time.Time) {
	if r.repeated || p.disabled.Load() {
		p.settle(r)
		p.tally.failed++
		return
	}
	r.repeated = true
	p.overdue.put(r, now.Add(p.config.AckWithin))
	p.tally.repeated++
	p.add(messages, r, now)
}

func (p *Pusher) add(messages map[heading]*message, r *row, now time.Time) {
	if p.disabled.Load() {
		return
	}
	p.rest(r, now)
	h := heading{r.Topic, r.stamp}
	m := messages[h]
	if m == nil {
		m = &message{heading: h}
		messages[h] = m
	}
	m.rows = append(m.rows, r)
}

// settle ends the wait for an acknowledgement; p.mu is held.
func (p *Pusher) settle(r *row) {
	delete(p.awaited, r.ack())
	p.overdue.drop(r)
	r.stamp, r.repeated = 0, false
}

// parts returns a message for each lot of rows that get the same: all of them,
// unless a selector makes something else of their addresses.
func (t *teller) parts(m *message) iter.Seq[*message] {
	s := t.snap.Service(m.topic.Service)
	if s == nil || s.Selector.Labels == "" {
		return func(yield func(*message) bool) { yield(m) }
	}
	lots := map[registry.Wants]*message{}
	for _, r := range m.rows {
		wants := s.Wants(r.Addr.Addr())
		if lots[wants] == nil {
			lots[wants] = &message{heading: m.heading}
			lots[wants].topic.Wants = wants
		}
		lots[wants].rows = append(lots[wants].rows, r)
	}
	return maps.Values(lots)
}

// tell sends a message to all its rows.
func (t *teller) tell(m *message) {
	list, hosts := t.config.Render(t.snap, m.topic)
	if list == nil {
		return
	}
	stamp := m.stamp
	if stamp == 0 {
		stamp = t.newStamp()
	}
	packet, err := t.packets.build(list, stamp)
	if err != nil {
		t.config.Logger.Error("a push cannot be written", "service", m.topic.Service.String(), "err", err)
		return
	}
	if limit := maxFor(m.topic.Agent); len(packet) > limit {
		t.tooLong(m, len(packet), limit)
		return
	}
	for _, to := range t.await(m, stamp, hosts) {
		// One that is not sent is not acknowledged, so it is repeated and then failed.
		if _, err := t.conn.WriteToUDPAddrPort(packet, to); err != nil {
			t.metrics.unsent.Inc()
		}
	}
}

func (p *Pusher) newStamp() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stamp = nextStamp(p.stamp, time.Now().UnixNano())
	return p.stamp
}

// await notes that a message is sent, before it is: an acknowledgement may be
// fast. It returns whom to send it to.
func (p *Pusher) await(m *message, stamp int64, hosts int) []netip.AddrPort {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	to := make([]netip.AddrPort, 0, len(m.rows))
	for _, r := range m.rows {
		if r.stamp != m.stamp {
			continue // acknowledged meanwhile
		}
		to = append(to, r.Addr)
		r.host.unanswered++
		if m.stamp != 0 {
			continue
		}
		r.stamp, r.sent = stamp, now
		p.awaited[r.ack()] = r
		p.overdue.put(r, now.Add(p.config.AckWithin))
		p.tally.sent++
		if hosts == 0 {
			p.tally.empty++
		}
	}
	return to
}

// tooLong notes that no datagram holds a list. Its clients poll.
func (t *teller) tooLong(m *message, length, limit int) {
	t.mu.Lock()
	t.tally.tooLong += uint64(len(m.rows))
	a := t.audiences[m.topic.Service] // is there, as its rows are
	first := a.logged < limit
	a.logged = max(a.logged, limit)
	t.mu.Unlock()
	if first {
		t.config.Logger.Warn("a service is too large to be pushed, its clients have to poll",
			"service", m.topic.Service.String(), "bytes", length, "limit", limit)
	}
}
