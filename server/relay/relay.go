// Package relay carries word of who was heard to the server that judges.
//
// A [Relay] is the roll of a registry on every server. What this server's own
// judge does not take waits in memory, each witness once, and goes out every
// 200 ms by the first way that works: to the server that judges; through another
// server, which passes it on once; through the mailbox in etcd, which the judge
// reads. A witness that could not be delivered goes on waiting, and one that was
// delivered twice or late only has its timers restarted once more.
//
// What a caller of [Relay.Heard] is told while this server does not judge:
//
//	delivery works, or has failed for 3 s at the most  nil
//	etcd answers, and nobody holds the judge's office   nil: nobody is removed, and the next judge is told
//	etcd answers, and no way to the judge works         ErrUnavailable: cut off
//	etcd is away, and a server that is not takes word   nil: that is delivery
//	etcd is away, and no other server is known          nil: nobody can judge
//	etcd is away, and so it is for every other server   nil: nobody can judge
//	etcd is away, and another server does not answer    ErrUnavailable: cut off, that one may judge or know who does
//
// An error sends clients to another server. What they said is kept all the same.
package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/musterhq/muster/registry"
)

// Judge hears witnesses on this server; *sweep.Sweeper does. Both methods return
// registry.ErrUnavailable while this server does not judge.
type Judge interface {
	Heard(witness string) error
	HearAll(witnesses []string) error
}

// Server is where another server takes batches.
type Server struct{ ID, HTTP string }

// Cluster is who is alive and who judges, as last known.
type Cluster struct {
	Self   string   // id of this server
	Judge  string   // id of the server that judges, empty: nobody
	Others []Server // every live server but this one
}

// Batch is word of witnesses that were heard. One without witnesses asks whether
// a batch would be accepted.
type Batch struct {
	From      string // id of the server that sends it
	Relayed   bool   // it came through another server: it must not be passed on
	Witnesses []string
}

// Answer says what became of a batch.
type Answer struct {
	Accepted bool   // the judge has it, or will have it
	Judge    string // id of the server that judges, as the one that answers knows it
	Away     bool   // etcd does not answer the server that answers
	Reason   string // why it is not accepted
}

// Config says what a Relay works with. Local and Cluster are required.
type Config struct {
	// Local judges on this server, at times.
	Local Judge
	// Cluster returns what is known of the servers; it is called often.
	Cluster func() Cluster
	// Post hands a batch to another server within ctx; nil means that no server
	// can be reached.
	Post func(ctx context.Context, to Server, b Batch) (Answer, error)
	// Mail leaves witnesses in etcd for the judge within ctx; nil means there is
	// no mailbox.
	Mail func(ctx context.Context, witnesses []string) error
	// Away reports whether etcd does not answer this server; nil means never.
	Away func() bool
	// Every is the time between two rounds of deliveries; 0 means 200 ms.
	Every time.Duration
	// Registerer takes the metrics; nil means none.
	Registerer prometheus.Registerer
	// Logger is told of servers that take no word and of being cut off; nil means discard.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Post == nil {
		c.Post = func(context.Context, Server, Batch) (Answer, error) { return Answer{}, errNoWay }
	}
	if c.Mail == nil {
		c.Mail = func(context.Context, []string) error { return errNoWay }
	}
	if c.Away == nil {
		c.Away = func() bool { return false }
	}
	if c.Every <= 0 {
		c.Every = 200 * time.Millisecond
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

var errNoWay = errors.New("there is no such way")

// MaxBatch is how many witnesses a batch has at the most.
const MaxBatch = 20_000

const (
	maxWitness = 1 << 10   // bytes of a witness's id
	maxPending = 2_000_000 // witnesses that wait, and as many that another server sent
	maxBytes   = 128 << 20 // and their bytes
)

// Relay is the roll of a server. It is safe for concurrent use, except that one
// Run at a time is all it can do.
type Relay struct {
	config  Config
	metrics *metrics
	peers   peers
	own     queue         // heard by this server
	passed  queue         // heard by another server, which asked to pass it on
	kick    chan struct{} // has a round begin at once

	running atomic.Bool
	refusal atomic.Pointer[error] // what Heard returns, nil while delivery works

	base    time.Time    // monotonic zero of the times below, which are nanoseconds
	failing atomic.Int64 // when deliveries began to fail, 0 while they work
	mail    atomic.Int64 // until when the mailbox is left alone
}

// New returns a Relay, which delivers while it runs. The error is that of a
// missing function or of a metric that is registered already.
func New(c Config) (*Relay, error) {
	if c.Local == nil || c.Cluster == nil {
		return nil, errors.New("relay: Local and Cluster are required")
	}
	r := &Relay{config: c.withDefaults(), kick: make(chan struct{}, 1), base: time.Now()}
	r.bound(maxPending, maxBytes)
	var err error
	r.metrics, err = newMetrics(c.Registerer, r)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// bound says how much may wait.
func (r *Relay) bound(most, bytes int) {
	r.own.most, r.own.mostBytes = most, bytes
	r.passed.most, r.passed.mostBytes = most, bytes
}

var (
	errNotRunning = fmt.Errorf("%w: this server does not judge and carries no word to the one that does", registry.ErrUnavailable)
	errFull       = fmt.Errorf("%w: word of too many instances waits to be carried to the server that judges", registry.ErrUnavailable)
)

// Heard restarts the timers of a witness, here or on the server that judges; one
// that is not known is no error. It implements registry.Roll. The error is
// registry.ErrUnavailable when word of it cannot be delivered, as the package's
// doc says, and *registry.InvalidError for an id that is empty or over 1 KiB.
func (r *Relay) Heard(witness string) error {
	if problem := flaw(witness); problem != "" {
		return &registry.InvalidError{Field: "witness", Value: witness[:min(len(witness), 64)], Reason: problem}
	}
	err := r.config.Local.Heard(witness)
	if err == nil || !errors.Is(err, registry.ErrUnavailable) {
		return err
	}
	if !r.running.Load() {
		return errNotRunning
	}
	if !r.own.add(witness) {
		return errFull
	}
	if refusal := r.refusal.Load(); refusal != nil {
		return *refusal
	}
	return nil
}

// now returns the time since base, never 0.
func (r *Relay) now() int64 { return 1 + int64(time.Since(r.base)) }

// flaw says what is wrong with the id of a witness, empty: nothing.
func flaw(witness string) string {
	switch {
	case witness == "":
		return "is missing"
	case len(witness) > maxWitness:
		return fmt.Sprintf("is longer than %d bytes", maxWitness)
	}
	return ""
}

// Run delivers what was heard until ctx ends, which is no error; what waits then
// has one more round.
func (r *Relay) Run(ctx context.Context) error {
	r.running.Store(true)
	var asks sync.WaitGroup
	defer asks.Wait()
	tick := time.NewTicker(r.config.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			r.running.Store(false)
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWithin)
			defer cancel()
			r.round(ctx, &asks)
			return nil
		case <-tick.C:
		case <-r.kick:
		}
		r.round(ctx, &asks)
	}
}
