// Package announce tells the server what an agent declares, and that the agent is
// alive in between.
package announce

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/musterhq/muster/agent/roll"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

const (
	defaultBeat = 5 * time.Second
	// minBeat and maxBeat bound what metadata or a server may ask for: a slip
	// of the pen must neither flood the server nor silence the agent.
	minBeat = 100 * time.Millisecond
	maxBeat = time.Minute
	// maxHold bounds how long a server may have a stop wait for answers of DNS: one
	// service with a huge TTL, or a word that is none, must not keep hosts from ending.
	maxHold = 10 * time.Minute
	// coalesce is how long changes gather before they are sent: short, so that
	// a first passing check is answered for soon.
	coalesce = 10 * time.Millisecond
	// FirstRetry and maxRetry bound the pause after a call that failed.
	FirstRetry = 250 * time.Millisecond
	// maxRetry lets every host find a server that is back within a few seconds.
	maxRetry = 3 * time.Second
	// contested is the pause of an agent whose id another one has: once that
	// falls silent its instances are unhealthy until this one is taken.
	contested = time.Second
	// turn is the longest that Run goes without Config.Turn.
	turn = 5 * time.Second
	// retryRejected is how often a set is sent again of which the server
	// refused members, for the reason may pass.
	retryRejected = 30 * time.Second
)

// beatInterval is the metadata with which an instance asks for faster beats,
// in milliseconds.
const beatInterval = "preserved.heart.beat.interval"

// Config is what an Announcer stands on. Client, Roll, Dir and Logger are
// required.
type Config struct {
	Client *client.Client
	Roll   *roll.Roll
	// Dir is the data directory.
	Dir string
	// Host is the host's name, for people.
	Host string
	// Turn is called at each turn of Run, at least every 5 s unless a call to the
	// server takes longer; nil means nothing is.
	Turn   func()
	Logger *slog.Logger
}

func (c Config) path() string { return filepath.Join(c.Dir, StateName) }

// StateName is the name of the record in the data directory.
const StateName = "state.json"

// Announcer tells the server the roll: all of it when it changed, and that
// the agent is alive in between.
type Announcer struct {
	cfg    Config
	client *client.Client
	roll   *roll.Roll
	log    *slog.Logger

	// Load's and then Run's goroutine only
	kept      record // as on disk, unless unsaved
	unsaved   bool
	claims    bool   // an incarnation of this boot has ended, as far as this agent knows
	sent      []byte // the set the server last took, nil when it must get it
	accepted  []api.AgentInstance
	resumed   string    // digest of the set that the server took of an earlier run, empty once that is settled
	confirmed bool      // a beat was answered by it
	resend    time.Time // when a set of which members were rejected goes again
	sequence  uint64
	failures  int
	called    time.Time // when the last call ended

	// Heard, unless nil, is told what a server answers. It is set before Run.
	Heard func(api.AgentAnswer)

	mu          sync.Mutex
	incarnation string               // under mu
	acked       uint64               // version of the roll the server has; under mu
	news        chan struct{}        // closed when acked grows; under mu
	server      Status               // under mu
	refused     map[roll.Key]refusal // what the server does not hold for this agent; under mu
}

// New returns an Announcer, which knows nothing of earlier runs before Load.
func New(cfg Config) *Announcer {
	if cfg.Turn == nil {
		cfg.Turn = func() {}
	}
	return &Announcer{cfg: cfg, client: cfg.Client, roll: cfg.Roll, log: cfg.Logger, news: make(chan struct{})}
}

// Incarnation returns that of this run, which is the one of the run before if
// that was not deregistered; empty before Load.
func (a *Announcer) Incarnation() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.incarnation
}

// Run announces until ctx ends, and returns nil then.
func (a *Announcer) Run(ctx context.Context, id string) error {
	due := time.Now().Add(coalesce)
	timer := time.NewTimer(coalesce)
	defer timer.Stop()
	for {
		a.cfg.Turn()
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-a.roll.Changed():
			Rest(ctx, coalesce)
			if ctx.Err() != nil {
				return nil
			}
			if a.knows() {
				continue // a change that was taken back, or one that can wait
			}
			due = time.Now()
			if a.failures > 0 { // else changes would drive the retries
				due = a.called.Add(FirstRetry)
			}
		}
		if time.Until(due) <= 0 {
			due = time.Now().Add(a.announce(ctx, id))
		}
		timer.Reset(min(max(time.Until(due), 0), turn))
	}
}

// announce makes one call, or two when the server asks for the set, and
// returns how long to wait for the next.
func (a *Announcer) announce(ctx context.Context, id string) time.Duration {
	if a.failures > 0 {
		a.mu.Lock()
		a.server.Retries++
		a.mu.Unlock()
	}
	set, version := a.roll.Set()
	answer, err := a.tell(ctx, id, set, version)
	a.called = time.Now()
	if ctx.Err() != nil {
		return 0
	}
	a.note(answer, err)
	if isTaken(err) {
		a.failures = 0
		return contested/2 + rand.N(contested/2)
	}
	if err != nil {
		a.failures++
		d := min(FirstRetry<<min(a.failures-1, 10), maxRetry)
		return d/2 + rand.N(d/2)
	}
	a.failures = 0
	if a.unsaved {
		a.save()
	}
	next := interval(set)
	if answer.Interval > 0 {
		next = time.Duration(answer.Interval) * time.Millisecond
	}
	next = min(max(next, minBeat), maxBeat)
	return next - rand.N(next/10) // early, never late, and not all hosts at once
}

// tell has the server know the set: by a beat if it should have it already.
func (a *Announcer) tell(ctx context.Context, id string, set []api.AgentInstance, version uint64) (answer api.AgentAnswer, err error) {
	due := !a.resend.IsZero() && !time.Now().Before(a.resend)
	resumes := a.resumes(set)
	switch {
	case due:
		answer.Resync = true
	case a.sent != nil && bytes.Equal(a.sent, encode(set)):
		answer, err = a.beat(ctx, id, a.accepted)
	case resumes:
		answer, err = a.beat(ctx, id, a.own(set))
	default:
		answer.Resync = true
	}
	if errors.Is(err, client.ErrNotFound) || isForbidden(err) {
		// An agent that may no longer write all that it has keeps the rest by telling it anew.
		answer, err = api.AgentAnswer{Resync: true}, nil
	}
	switch {
	case err != nil:
		return answer, err
	case answer.Resync:
		return a.declare(ctx, id, set, version, answer.Superseded != "")
	case resumes:
		a.confirmed = true
		if own := a.own(set); !anyHealth(own, api.HealthUnknown) {
			a.sent, a.accepted, a.resumed = encode(set), own, ""
		}
		a.ack(version)
	}
	return answer, nil
}

func (a *Announcer) beat(ctx context.Context, id string, own []api.AgentInstance) (api.AgentAnswer, error) {
	a.sequence++
	digest, health := api.Digest(own)
	return a.client.BeatAgent(ctx, id, api.AgentBeat{Incarnation: a.kept.Incarnation, Sequence: a.sequence, Digest: digest, Health: health})
}

// declare sends the whole set. What the server refuses of it is left out of
// the digests of later beats, or they would never match. An agent that another
// one has superseded while it was alive does not claim its id back: both would
// take it from each other for ever.
func (a *Announcer) declare(ctx context.Context, id string, set []api.AgentInstance, version uint64, superseded bool) (api.AgentAnswer, error) {
	a.sent, a.resumed = nil, ""
	if superseded {
		a.claims = false
	}
	answer, err := a.client.PutAgent(ctx, id, api.AgentSet{
		Incarnation: a.kept.Incarnation, Host: a.cfg.Host, Exclusive: true, Boot: a.kept.Place.Boot, Claim: a.claims, Instances: set,
	})
	if err != nil {
		return answer, err
	}
	a.claims = true
	refused := make([]refusal, 0, len(answer.Rejected))
	for _, r := range answer.Rejected {
		if r.Index >= 0 && r.Index < len(set) {
			refused = append(refused, refusal{keyOf(set[r.Index]), r.Reason, r.Standby})
		}
	}
	a.refuse(refused)
	a.again(refused)
	a.accepted = a.own(set)
	a.sent = encode(set)
	a.mu.Lock()
	a.server.Sets++
	a.mu.Unlock()
	declared, _ := api.Digest(set)
	a.taken(declared, refused)
	a.ack(version)
	answer.Resync = false // it has just been done
	return answer, nil
}

// note keeps the outcome of a call, and logs when it is another than before.
func (a *Announcer) note(answer api.AgentAnswer, err error) {
	a.mu.Lock()
	before := a.server
	a.server.URL = a.client.Server()
	switch {
	case isTaken(err):
		a.server.Standby = err.Error()
	case err == nil: // a server that is away says nothing of it
		a.server.Standby = ""
	}
	if err != nil {
		a.server.Error = err.Error()
		a.server.Failed++
	} else {
		a.server.Reached, a.server.Error = time.Now(), ""
		a.server.Interval = time.Duration(answer.Interval) * time.Millisecond
		a.server.DNS, a.server.Revision = answer.DNS, answer.Revision
		a.server.Hold = time.Duration(min(max(answer.Hold, 0), maxHold.Milliseconds())) * time.Millisecond
	}
	a.mu.Unlock()
	if err == nil && a.Heard != nil {
		a.Heard(answer)
	}
	switch {
	case isTaken(err) && before.Standby == "":
		a.log.Error("another agent has this agent's id, waiting until that one is silent: was the data directory copied?", "err", err)
	case isTaken(err):
	case errors.Is(err, client.ErrNotAllowed) && before.Error != err.Error():
		a.log.Error("servers do not let this agent register, trying on: its instances are found silent meanwhile", "err", err)
	case err != nil && before.Error != err.Error():
		a.log.Warn("server does not take the announcement, trying on", "err", err)
	case err == nil && (before.Error != "" || before.Reached.IsZero()):
		a.log.Info("server has the announcement", "server", a.client.Server(), "revision", answer.Revision)
	}
}

// ack notes that the server has the roll of version.
func (a *Announcer) ack(version uint64) {
	a.roll.Taken(version)
	a.mu.Lock()
	defer a.mu.Unlock()
	if version > a.acked {
		a.acked = version
		close(a.news)
		a.news = make(chan struct{})
	}
}

// Await returns true once the server has the roll of version, and false when
// ctx ends before that.
func (a *Announcer) Await(ctx context.Context, version uint64) bool {
	for {
		a.mu.Lock()
		acked, news := a.acked, a.news
		a.mu.Unlock()
		if acked >= version {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-news:
		}
	}
}

// interval returns the smallest beat interval that the set asks for.
func interval(set []api.AgentInstance) time.Duration {
	least := defaultBeat
	for _, m := range set {
		if ms, err := strconv.ParseUint(m.Metadata[beatInterval], 10, 31); err == nil && ms > 0 {
			least = min(least, time.Duration(ms)*time.Millisecond)
		}
	}
	return least
}

func keyOf(m api.AgentInstance) roll.Key {
	return roll.Key{Namespace: m.Namespace, Group: m.Group, Service: m.Service, Address: m.Address, Port: m.Port}
}

// encode returns a form of the set that differs when the set does.
func encode(set []api.AgentInstance) []byte {
	b, err := json.Marshal(set)
	if err != nil {
		return nil // text and finite numbers: it cannot fail; nil is never known to the server
	}
	return b
}

// Rest waits for d or the end of ctx.
func Rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
