package nacos

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/musterhq/muster/agent/roll"
	"github.com/musterhq/muster/agent/state"
	"github.com/musterhq/muster/api"
)

// Origin is what instances say that clients of Nacos registered.
const Origin = "nacos"

// member is one instance that a client registered here.
type member struct {
	Instance api.AgentInstance `json:"instance"` // without health

	health string    // as the beats have it
	heard  time.Time // of the last beat; by the monotonic clock
	times  times
}

func (m *member) key() roll.Key {
	return roll.Key{Namespace: m.Instance.Namespace, Group: m.Instance.Group, Service: m.Instance.Service, Address: m.Instance.Address, Port: m.Instance.Port}
}

// members are the instances that live by the beats of clients.
type members struct {
	sources Joiner
	path    string
	log     *slog.Logger
	kick    chan struct{} // a deadline may have come nearer

	mu  sync.Mutex
	all map[roll.Key]*member
}

func newMembers(cfg Config) *members {
	return &members{sources: cfg.Sources, path: cfg.Path, log: cfg.Logger, kick: make(chan struct{}, 1), all: make(map[roll.Key]*member)}
}

// kept is what lies on disk.
type kept struct {
	Instances []*member `json:"instances"`
}

// load takes up what was registered in an earlier run. Until a beat comes the
// health that stands on the servers stays.
func (s *members) load() {
	var k kept
	if _, err := state.Read(s.path, &k, nil); err != nil {
		s.log.Error("registrations of Nacos clients are lost until they beat, the file is put aside", "err", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range k.Instances[:min(len(k.Instances), maxMembers)] {
		if m == nil || m.Instance.Service == "" || m.Instance.Address == "" {
			continue
		}
		m.times, m.heard, m.health = timesOf(m.Instance.Metadata), time.Now(), api.HealthUnknown
		if err := s.sources.Join(m.key(), m.joined()); err != nil {
			s.log.Warn("registration of a Nacos client given up", "instance", m.key().String(), "err", err)
			continue
		}
		s.all[m.key()] = m
	}
}

// joined returns the member as it is declared.
func (m *member) joined() roll.Member {
	return roll.Member{Instance: m.Instance, Origin: Origin, Health: m.health}
}

// store writes all members down. s.mu is held.
func (s *members) store() error {
	k := kept{Instances: slices.SortedFunc(maps.Values(s.all), func(a, b *member) int { return a.key().Compare(b.key()) })}
	return state.Write(s.path, k)
}

// put registers an instance, or registers it anew, which is a sign of life.
func (s *members) put(i api.AgentInstance, healthy bool) error {
	m := &member{Instance: i, heard: time.Now(), times: timesOf(i.Metadata), health: api.HealthPassing}
	if !healthy {
		m.health = api.HealthCritical
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k := m.key()
	before := s.all[k]
	if before == nil && len(s.all) >= maxMembers {
		return refuse(http.StatusServiceUnavailable, "more than %d instances are registered with this agent", maxMembers)
	}
	if err := s.sources.Join(k, m.joined()); err != nil {
		return refuse(http.StatusConflict, "%s", err)
	}
	s.all[k] = m
	s.roused()
	if before != nil && equal(before.Instance, i) {
		return nil
	}
	s.keep()
	return nil
}

func equal(a, b api.AgentInstance) bool {
	weight := func(i api.AgentInstance) float64 { return *cmp.Or(i.Weight, new(1.0)) }
	enabled := func(i api.AgentInstance) bool { return *cmp.Or(i.Enabled, new(true)) }
	return a.Cluster == b.Cluster && weight(a) == weight(b) && enabled(a) == enabled(b) && maps.Equal(a.Metadata, b.Metadata)
}

// keep stores, and logs where it cannot: what is declared stands all the same, its
// client brings it back after a restart with its next full beat.
func (s *members) keep() {
	if err := s.store(); err != nil {
		s.log.Error("registrations of Nacos clients not kept on disk", "err", err)
	}
}

// get returns an instance that is registered here.
func (s *members) get(k roll.Key) (api.AgentInstance, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.all[k]; m != nil {
		return m.Instance, true
	}
	return api.AgentInstance{}, false
}

// change sets anew what is declared of an instance, and reports whether it is
// registered here. That is no sign of life.
func (s *members) change(i api.AgentInstance) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := (&member{Instance: i}).key()
	m := s.all[k]
	if m == nil {
		return false
	}
	m.Instance, m.times = i, timesOf(i.Metadata)
	if err := s.sources.Join(k, m.joined()); err != nil {
		s.log.Warn("change of a Nacos client's instance is not declared", "instance", k.String(), "err", err)
	}
	s.roused()
	s.keep()
	return true
}

// remove withdraws an instance, and reports whether it was registered here.
func (s *members) remove(k roll.Key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[k] == nil {
		return false
	}
	delete(s.all, k)
	s.sources.Part(k)
	s.keep()
	return true
}

// beat takes a sign of life. It reports whether the instance is registered here,
// what is declared of it, and whether the beat changed its health.
func (s *members) beat(k roll.Key) (i api.AgentInstance, known, changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.all[k]
	if m == nil {
		return i, false, false
	}
	m.heard = time.Now()
	if m.health == api.HealthPassing {
		return m.Instance, true, false
	}
	m.health = api.HealthPassing
	if err := s.sources.Join(k, m.joined()); err != nil {
		s.log.Debug("beat of an instance that another source declares", "instance", k.String(), "err", err)
	}
	s.roused() // its deadline is another one
	return m.Instance, true, true
}

// roused has run look at the deadlines anew.
func (s *members) roused() {
	select {
	case s.kick <- struct{}{}:
	default: // it is due already
	}
}

// late is how late run may come to a deadline before that counts as time in which
// no beat could be taken.
const late = time.Second

// run judges members by their deadlines until ctx ends.
func (s *members) run(ctx context.Context) {
	for {
		next := s.judge(time.Now())
		timer := time.NewTimer(time.Until(next))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-s.kick:
		case <-timer.C:
			// An agent that was held up has not heard the beats that came meanwhile:
			// it gives everybody the time back.
			if missed := time.Since(next); missed > late {
				s.postpone(missed)
			}
		}
		timer.Stop()
	}
}

func (s *members) postpone(by time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.all {
		m.heard = m.heard.Add(by)
	}
}

// idle is how long run sleeps where nobody has a deadline.
const idle = time.Hour

// judge finds those who have been silent too long, and returns when the next one
// may have been.
func (s *members) judge(now time.Time) (next time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next = now.Add(idle)
	var gone []roll.Key
	for k, m := range s.all {
		unhealthy, gonesAt := m.heard.Add(m.times.unhealthy), m.heard.Add(m.times.gone)
		switch {
		case !now.Before(gonesAt):
			gone = append(gone, k)
			continue
		case m.health != api.HealthCritical && !now.Before(unhealthy):
			m.health = api.HealthCritical
			s.log.Info("instance of a Nacos client is silent", "instance", k.String(), "since", now.Sub(m.heard))
			if err := s.sources.Join(k, m.joined()); err != nil {
				s.log.Debug("silence of an instance that another source declares", "instance", k.String(), "err", err)
			}
		}
		due := gonesAt
		if m.health != api.HealthCritical && unhealthy.Before(due) {
			due = unhealthy
		}
		if due.Before(next) {
			next = due
		}
	}
	if len(gone) > 0 {
		for _, k := range gone {
			delete(s.all, k)
			s.log.Info("instance of a Nacos client is withdrawn, it was silent too long", "instance", k.String())
		}
		s.sources.Part(gone...)
		s.keep()
	}
	return next
}
