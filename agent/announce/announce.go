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
	// coalesce is how long changes gather before they are sent: short, so that
	// a first passing check is answered for soon.
	coalesce = 10 * time.Millisecond
	// FirstRetry and maxRetry bound the pause after a call that failed.
	FirstRetry = 250 * time.Millisecond
	maxRetry   = 5 * time.Second
	// retryRejected is how often a set is sent again of which the server
	// refused members, for the reason may pass.
	retryRejected = 30 * time.Second
)

// beatInterval is the metadata with which an instance asks for faster beats,
// in milliseconds.
const beatInterval = "preserved.heart.beat.interval"

// Announcer tells the server the roll: all of it when it changed, and that
// the agent is alive in between.
type Announcer struct {
	client      *client.Client
	roll        *roll.Roll
	incarnation string
	host        string
	log         *slog.Logger

	// Run's goroutine only
	sent     []byte // the set the server last took, nil when it must get it
	accepted []api.AgentInstance
	resend   time.Time // when a set of which members were rejected goes again
	sequence uint64
	failures int

	// Heard, unless nil, is told what a server answers. It is set before Run.
	Heard func(api.AgentAnswer)

	mu       sync.Mutex
	acked    uint64              // version of the roll the server has; under mu
	news     chan struct{}       // closed when acked grows; under mu
	server   Status              // under mu
	rejected map[roll.Key]string // why the server refused members; under mu
}

// New returns an Announcer of one incarnation of an agent.
func New(c *client.Client, r *roll.Roll, incarnation, host string, log *slog.Logger) *Announcer {
	return &Announcer{client: c, roll: r, incarnation: incarnation, host: host, log: log, news: make(chan struct{})}
}

// Run announces until ctx ends, and returns nil then.
func (a *Announcer) Run(ctx context.Context, id string) error {
	timer := time.NewTimer(coalesce)
	defer timer.Stop()
	for {
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
				continue // a change that was taken back
			}
		}
		timer.Reset(a.announce(ctx, id))
	}
}

// knows reports whether the server has the roll as it is.
func (a *Announcer) knows() bool {
	set, version := a.roll.Set()
	if a.sent == nil || !bytes.Equal(a.sent, encode(set)) {
		return false
	}
	a.ack(version)
	return true
}

// announce makes one call, or two when the server asks for the set, and
// returns how long to wait for the next.
func (a *Announcer) announce(ctx context.Context, id string) time.Duration {
	set, version := a.roll.Set()
	var answer api.AgentAnswer
	var err error
	if a.sent != nil && bytes.Equal(a.sent, encode(set)) && (a.resend.IsZero() || time.Now().Before(a.resend)) {
		answer, err = a.beat(ctx, id)
		if errors.Is(err, client.ErrNotFound) {
			answer, err = api.AgentAnswer{Resync: true}, nil
		}
	} else {
		answer.Resync = true
	}
	if err == nil && answer.Resync {
		answer, err = a.declare(ctx, id, set, version)
	}
	if ctx.Err() != nil {
		return 0
	}
	a.note(answer, err)
	if err != nil {
		a.failures++
		d := min(FirstRetry<<min(a.failures-1, 10), maxRetry)
		return d/2 + rand.N(d/2)
	}
	a.failures = 0
	next := interval(set)
	if answer.Interval > 0 {
		next = time.Duration(answer.Interval) * time.Millisecond
	}
	next = min(max(next, minBeat), maxBeat)
	return next - rand.N(next/10) // early, never late, and not all hosts at once
}

func (a *Announcer) beat(ctx context.Context, id string) (api.AgentAnswer, error) {
	a.sequence++
	digest, health := api.Digest(a.accepted)
	return a.client.BeatAgent(ctx, id, api.AgentBeat{Incarnation: a.incarnation, Sequence: a.sequence, Digest: digest, Health: health})
}

// declare sends the whole set. What the server refuses of it is left out of
// the digests of later beats, or they would never match.
func (a *Announcer) declare(ctx context.Context, id string, set []api.AgentInstance, version uint64) (api.AgentAnswer, error) {
	a.sent = nil
	answer, err := a.client.PutAgent(ctx, id, api.AgentSet{Incarnation: a.incarnation, Host: a.host, Instances: set})
	if err != nil {
		return answer, err
	}
	reasons := make(map[int]string)
	for _, r := range answer.Rejected {
		reasons[r.Index] = r.Reason
	}
	rejected := make(map[roll.Key]string)
	a.accepted = make([]api.AgentInstance, 0, len(set))
	for i, m := range set {
		if reason, refused := reasons[i]; refused {
			rejected[keyOf(m)] = reason
			continue
		}
		a.accepted = append(a.accepted, m)
	}
	a.sent, a.resend = encode(set), time.Time{}
	if len(rejected) > 0 {
		a.resend = time.Now().Add(retryRejected)
	}
	a.noteRejected(rejected)
	a.ack(version)
	answer.Resync = false // it has just been done
	return answer, nil
}

func (a *Announcer) noteRejected(rejected map[roll.Key]string) {
	a.mu.Lock()
	before := a.rejected
	a.rejected = rejected
	a.mu.Unlock()
	for k, reason := range rejected {
		if before[k] != reason {
			a.log.Error("server refuses an instance", "instance", k.String(), "reason", reason)
		}
	}
}

// note keeps the outcome of a call, and logs when it is another than before.
func (a *Announcer) note(answer api.AgentAnswer, err error) {
	a.mu.Lock()
	before := a.server
	a.server.URL = a.client.Server()
	if err != nil {
		a.server.Error = err.Error()
	} else {
		a.server = Status{
			URL: a.server.URL, Reached: time.Now(), Interval: time.Duration(answer.Interval) * time.Millisecond,
			DNS: answer.DNS, Revision: answer.Revision,
		}
	}
	a.mu.Unlock()
	if err == nil && a.Heard != nil {
		a.Heard(answer)
	}
	switch {
	case err != nil && before.Error != err.Error():
		a.log.Warn("server does not take the announcement, trying on", "err", err)
	case err == nil && (before.Error != "" || before.Reached.IsZero()):
		a.log.Info("server has the announcement", "server", a.client.Server(), "revision", answer.Revision)
	}
}

// ack notes that the server has the roll of version.
func (a *Announcer) ack(version uint64) {
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

// Rejected returns why the server refuses the instance k, empty when it does not.
func (a *Announcer) Rejected(k roll.Key) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.rejected[k]
}
