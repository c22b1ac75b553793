package nacos

import (
	"cmp"
	"context"
	"encoding/json"
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
	// UID is the user that registered it; nil when that is not known.
	UID *int `json:"uid,omitempty"`

	size   int       // of Instance in JSON
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

	mu      sync.Mutex
	all     map[roll.Key]*member // under mu
	size    int                  // of all of them; under mu
	changes uint64               // how often what is kept on disk has changed; under mu

	disk    sync.Mutex // held while it is written, and taken before mu
	written uint64     // up to which change that was; under disk
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
		m.size = sizeOf(m.Instance)
		s.all[m.key()] = m
		s.size += m.size
	}
}

// sizeOf returns how many bytes an instance takes in a set.
func sizeOf(i api.AgentInstance) int {
	b, err := json.Marshal(i)
	if err != nil {
		return maxMembersSize // texts and finite numbers: it cannot fail
	}
	return len(b)
}

// room refuses instances that take so many bytes more. s.mu is held.
func (s *members) room(more int) error {
	if more > 0 && s.size+more > maxMembersSize {
		return refuse(http.StatusServiceUnavailable, "instances of more than %d bytes are registered with this agent", maxMembersSize)
	}
	return nil
}

// joined returns the member as it is declared.
func (m *member) joined() roll.Member {
	return roll.Member{Instance: m.Instance, Origin: Origin, Health: m.health}
}

// put registers an instance, or registers it anew, which is a sign of life.
// It is uid's, if that is known and it was nobody's.
func (s *members) put(i api.AgentInstance, healthy bool, uid *int) error {
	m := &member{Instance: i, UID: uid, size: sizeOf(i), heard: time.Now(), times: timesOf(i.Metadata), health: api.HealthPassing}
	if !healthy {
		m.health = api.HealthCritical
	}
	changed, err := s.take(m)
	s.keep(changed)
	return err
}

// take is put without the disk. It returns the change that it is, 0 for none.
func (s *members) take(m *member) (change uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := m.key()
	before := s.all[k]
	if before == nil && len(s.all) >= maxMembers {
		return 0, refuse(http.StatusServiceUnavailable, "more than %d instances are registered with this agent", maxMembers)
	}
	more := m.size
	if before != nil {
		more -= before.size
	}
	if err := s.room(more); err != nil {
		return 0, err
	}
	if err := s.sources.Join(k, m.joined()); err != nil {
		return 0, refuse(http.StatusConflict, "%s", err)
	}
	if before != nil && before.UID != nil {
		m.UID = before.UID
	}
	s.all[k] = m
	s.size += more
	s.roused()
	if before != nil && equal(before.Instance, m.Instance) && before.UID == m.UID {
		return 0, nil
	}
	s.changes++
	return s.changes, nil
}

func equal(a, b api.AgentInstance) bool {
	weight := func(i api.AgentInstance) float64 { return *cmp.Or(i.Weight, new(1.0)) }
	enabled := func(i api.AgentInstance) bool { return *cmp.Or(i.Enabled, new(true)) }
	return a.Cluster == b.Cluster && weight(a) == weight(b) && enabled(a) == enabled(b) && maps.Equal(a.Metadata, b.Metadata)
}

// keep returns when a change is on disk, and does nothing for change 0. What many
// calls change at once is written once for all of them, for the file is written
// whole. Where it cannot be, that is logged: what is declared stands all the same,
// its client brings it back after a restart with its next full beat.
func (s *members) keep(change uint64) {
	if change == 0 {
		return
	}
	s.disk.Lock()
	defer s.disk.Unlock()
	if s.written >= change {
		return // with those of others
	}
	s.mu.Lock()
	all, upTo := kept{Instances: make([]*member, 0, len(s.all))}, s.changes
	for _, m := range s.all {
		all.Instances = append(all.Instances, &member{Instance: m.Instance, UID: m.UID}) // as it is now
	}
	s.mu.Unlock()
	slices.SortFunc(all.Instances, func(a, b *member) int { return a.key().Compare(b.key()) })
	if err := state.Write(s.path, all); err != nil {
		s.log.Error("registrations of Nacos clients not kept on disk", "err", err)
	}
	s.written = upTo
}

// owner returns the user that registered an instance here, nil when that is not
// known, or there is none.
func (s *members) owner(k roll.Key) *int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.all[k]; m != nil {
		return m.UID
	}
	return nil
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

// change sets anew what is declared of an instance that is registered here. That is
// no sign of life.
func (s *members) change(i api.AgentInstance) error {
	change, err := func() (uint64, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		k := (&member{Instance: i}).key()
		m := s.all[k]
		if m == nil {
			return 0, nil
		}
		size := sizeOf(i)
		if err := s.room(size - m.size); err != nil {
			return 0, err
		}
		s.size += size - m.size
		m.Instance, m.size, m.times = i, size, timesOf(i.Metadata)
		if err := s.sources.Join(k, m.joined()); err != nil {
			s.log.Warn("change of a Nacos client's instance is not declared", "instance", k.String(), "err", err)
		}
		s.roused()
		s.changes++
		return s.changes, nil
	}()
	s.keep(change)
	return err
}

// remove withdraws an instance, and reports whether it was registered here.
func (s *members) remove(k roll.Key) bool {
	change := func() uint64 {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.all[k] == nil {
			return 0
		}
		return s.drop(k)
	}()
	s.keep(change)
	return change != 0
}

// drop withdraws instances, and returns the change that this is. s.mu is held.
func (s *members) drop(keys ...roll.Key) uint64 {
	for _, k := range keys {
		s.size -= s.all[k].size
		delete(s.all, k)
	}
	s.sources.Part(keys...)
	s.changes++
	return s.changes
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

const (
	// turn is how often run comes round while anybody is registered, so that it
	// knows when it was held up.
	turn = time.Second
	// late is how late it may come before that counts as time in which no beat
	// could be taken.
	late = time.Second
)

// run judges members by their deadlines until ctx ends.
func (s *members) run(ctx context.Context) {
	due := time.Now()
	for {
		now := time.Now()
		if missed := now.Sub(due); missed > late {
			// An agent that was held up, or stopped, has not heard the beats that came
			// meanwhile: it gives everybody the time back.
			s.postpone(missed+turn, now)
		}
		due = s.judge(now)
		timer := time.NewTimer(time.Until(due))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-s.kick:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// postpone takes all to be heard so much later, but not later than now.
func (s *members) postpone(by time.Duration, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.all {
		if m.heard = m.heard.Add(by); m.heard.After(now) {
			m.heard = now
		}
	}
}

// idle is how long run sleeps where nobody has a deadline.
const idle = time.Hour

// judge finds those who have been silent too long, and returns when to look again.
func (s *members) judge(now time.Time) (next time.Time) {
	next, change := s.silent(now)
	s.keep(change)
	return next
}

// silent is judge without the disk. It returns the change that it made too, 0 for
// none.
func (s *members) silent(now time.Time) (next time.Time, change uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next = now.Add(idle)
	if len(s.all) > 0 {
		next = now.Add(turn)
	}
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
			s.log.Info("instance of a Nacos client is withdrawn, it was silent too long", "instance", k.String())
		}
		change = s.drop(gone...)
	}
	return next, change
}
