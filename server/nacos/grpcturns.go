package nacos

import (
	"container/heap"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/nacos/rpc"
)

// gather returns who is to be told now, given which services changed.
func (t *tells) gather(services []registry.ServiceKey) map[*topic][]*subscription {
	paused := !t.h.switches.Current().PushEnabled
	t.mu.Lock()
	defer t.mu.Unlock()
	t.paused = paused
	now := t.now()
	to := map[*topic][]*subscription{}
	take := func(s *subscription) {
		if s.place >= 0 {
			heap.Remove(&t.due, int(s.place))
		}
		l := t.conns[s.conn]
		if l.flying >= mostFlying {
			s.waits, l.turns = true, append(l.turns, s)
			return
		}
		if s.told == 0 {
			s.told = s.news
		}
		s.news, s.flying, s.rests = 0, true, now+int64(tellMerge)
		l.flying++
		t.sent++
		to[s.topic] = append(to[s.topic], s)
	}
	for _, k := range services {
		for _, o := range t.services[k] {
			for _, s := range o.subscribed {
				if s.news == 0 {
					s.news = now
				}
				switch {
				case s.flying, s.waits, s.place >= 0: // told later
				case now < s.rests, t.paused:
					t.plan(s, s.rests)
				default:
					take(s)
				}
			}
		}
	}
	for len(t.due) > 0 && t.due[0].at <= now && !t.paused {
		take(t.due[0])
	}
	return to
}

// plan has a subscription told at a time. t.mu is held.
func (t *tells) plan(s *subscription, at int64) {
	s.at = at
	heap.Push(&t.due, s)
}

// nextTurn has a connection told the next thing that waits, as one push less is on its way.
// t.mu is held.
func (t *tells) nextTurn(c *rpc.Conn, now int64) {
	l := t.conns[c]
	if l == nil {
		return
	}
	l.flying--
	if len(l.turns) > 0 {
		s := l.turns[0]
		l.turns, s.waits = l.turns[1:], false
		t.plan(s, now)
		t.wake()
	}
}
