// Package roll is what an agent declares: the instances of its host, each with
// the health that its checks find.
package roll

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/probe"
)

// Key tells instances apart.
type Key struct {
	Namespace, Group, Service, Address string
	Port                               uint16
}

func (k Key) String() string {
	return client.Name{Namespace: k.Namespace, Group: k.Group, Name: k.Service}.String() + "/" + client.Endpoint(k.Address, k.Port)
}

func sortKeys(keys []Key) { slices.SortFunc(keys, Key.Compare) }

// Compare orders keys by namespace, group, service, address and port.
func (k Key) Compare(o Key) int {
	return cmp.Or(strings.Compare(k.Namespace, o.Namespace), strings.Compare(k.Group, o.Group),
		strings.Compare(k.Service, o.Service), strings.Compare(k.Address, o.Address), cmp.Compare(k.Port, o.Port))
}

// Member is one instance as it is to be registered.
type Member struct {
	Instance api.AgentInstance // without health
	Checks   []probe.Check
	Origin   string // the file or registration it comes from
	// Health is what whoever declares it knows of its health; empty means passing.
	// The worst of it and of what the checks find counts.
	Health string
	Line   int // of the file, where it begins; 0 when not known
	// After is the instance whose place it takes, with another address: that one
	// stays until this one stands. Nil for most.
	After *Key
}

// member is one instance of the roll.
type member struct {
	Member

	running   []*check
	health    string
	withdrawn bool // its checks have failed for too long
}

// Roll is the agent's declared set with the health of each member. Run runs
// the checks; everything else may be called by several goroutines.
type Roll struct {
	log     *slog.Logger
	turn    func()                                // see OnTurn
	tried   func(kind string, took time.Duration) // see OnTry
	runner  *probe.Runner
	changed chan struct{} // something the server must learn, one is enough

	mu       sync.Mutex
	members  map[Key]*member
	draining bool
	resting  []Rest // replaced, never changed
	leaving  map[Key]leaver
	version  uint64        // grows with each change the server must learn
	news     chan struct{} // closed when version grows; under mu
}

// New returns an empty Roll.
func New(log *slog.Logger) *Roll {
	r := &Roll{
		log: log, turn: func() {}, tried: func(string, time.Duration) {}, members: make(map[Key]*member), version: 1,
		changed: make(chan struct{}, 1), news: make(chan struct{}),
	}
	r.runner = probe.NewRunner(probe.RunnerConfig{
		Beat: func() { r.turn() }, Tried: func(kind string, took time.Duration) { r.tried(kind, took) },
	})
	return r
}

// OnTurn has f called while checks are run: MaxTurn after the time before at the
// latest. It must be called before Run.
func (r *Roll) OnTurn(f func()) { r.turn = f }

// OnTry has f called with the kind of a check and how long a try of it took, by
// several goroutines. It must be called before Run.
func (r *Roll) OnTry(f func(kind string, took time.Duration)) { r.tried = f }

// MaxTurn is how often at least the checks are looked after.
const MaxTurn = 10 * time.Second

// Changed returns a channel on which there is something when the server must
// learn of a change.
func (r *Roll) Changed() <-chan struct{} { return r.changed }

// Version returns a number that grows with every change of the roll, and a
// channel that is closed at the next one.
func (r *Roll) Version() (uint64, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.version, r.news
}

// bump notes a change. r.mu is held.
func (r *Roll) bump() {
	r.version++
	close(r.news)
	r.news = make(chan struct{})
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is on already
	}
}

// Run runs the checks of the members until ctx ends, and returns nil then. It
// may be called once.
func (r *Roll) Run(ctx context.Context) error { return r.runner.Run(ctx) }

// Declare makes want the declared set. Members and checks that are in it
// unchanged go on as if nothing had happened.
func (r *Roll) Declare(want map[Key]Member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.version
	r.follow(want)
	for k, m := range r.members {
		if _, ok := want[k]; !ok && !r.stays(k) {
			for _, c := range m.running {
				c.stop()
			}
			delete(r.members, k)
			r.bump()
			r.log.Info("instance withdrawn", "instance", k.String(), "origin", m.Origin)
		}
	}
	for k, d := range want {
		r.put(k, d)
	}
	if r.version != before {
		signal(r.changed)
	}
}

// Put declares the one instance k, or declares it anew, and leaves all others as
// they are.
func (r *Roll) Put(k Key, d Member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.version
	r.put(k, d)
	if r.version != before {
		signal(r.changed)
	}
}

// put makes k what d says. r.mu is held.
func (r *Roll) put(k Key, d Member) {
	m := r.members[k]
	if m == nil {
		m = &member{}
		r.members[k] = m
		r.log.Info("instance declared", "instance", k.String(), "origin", d.Origin, "checks", len(d.Checks))
	}
	if !reflect.DeepEqual(m.Instance, d.Instance) {
		r.bump()
	}
	m.Member = d
	r.recheck(k, m)
	r.judge(k, m, nil)
}

// Set returns the declared set in a fixed order, without the members whose
// checks have failed for too long, and its version.
func (r *Roll) Set() (set []api.AgentInstance, version uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	set = make([]api.AgentInstance, 0, len(r.members))
	for _, k := range slices.SortedFunc(maps.Keys(r.members), Key.Compare) {
		m := r.members[k]
		if m.withdrawn {
			continue
		}
		i := m.Instance
		i.Health = m.health
		if r.draining || r.rest(k, m) != nil {
			i.Weight = new(0.0)
		}
		set = append(set, i)
	}
	return set, r.version
}

// Origin returns where the instance k comes from, if it is declared.
func (r *Roll) Origin(k Key) (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.members[k]; m != nil {
		return m.Origin, true
	}
	return "", false
}
