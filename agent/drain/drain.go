// Package drain takes instances of a host out of rotation and back: all of them
// for a drain, those of a service or a registration for maintenance. Out of
// rotation an instance has weight 0, and stays registered.
package drain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/musterhq/muster/agent/roll"
	"github.com/musterhq/muster/agent/state"
)

// States of a Drainer.
const (
	None     = "none"
	Draining = "draining" // weights are 0, and others may hold older answers
	Drained  = "drained"  // weights are 0, and nobody should hold an older answer
	Leaving  = "leaving"  // draining, to deregister and end after that
)

var (
	// ErrLeaving is met when an agent that leaves is to go on.
	ErrLeaving = errors.New("the agent is leaving")
	// ErrUnknown is met when nothing that is declared has the name.
	ErrUnknown = errors.New("nothing is declared here")
	// ErrNotKept is met when what was said could not be written to disk. It
	// holds for now, and a restart would not know of it.
	ErrNotKept = errors.New("could not be kept on disk")
)

// Status tells how far a drain is.
type Status struct {
	State     string    `json:"state"`
	Instances int       `json:"instances"` // how many are declared
	Since     time.Time `json:"since,omitzero"`
	LeftMs    int64     `json:"leftMs,omitzero"` // of the wait
	// Untold: no server has the weights yet, or, of an agent that leaves, that
	// it is deregistered. The wait begins when one has the weights.
	Untold  bool   `json:"untold,omitempty"`
	Problem string `json:"problem,omitempty"` // why the servers do not have the weights yet, or a restart would not know of it
}

// Config is what a Drainer stands on. Path, Roll, Await and Wait are required.
type Config struct {
	// Path is the file in which is kept what operators said.
	Path string
	Roll *roll.Roll
	// Await returns true once a server has the roll of version, and false when
	// ctx ends before that; at once, either way, when it has ended already.
	Await func(ctx context.Context, version uint64) bool
	// Problem says why no server has it yet; nil means nobody knows.
	Problem func() string
	// Wait returns how long others may hold an answer from before a drain.
	Wait func() time.Duration
	// Patience bounds how long a leave waits for a server to have the weights:
	// without one there is nothing to wait for. 0 means 1.5 s.
	Patience time.Duration
	Logger   *slog.Logger
}

// Drainer drains the instances of one agent. Load it before the roll is told to
// anybody. It is safe for use by several goroutines.
type Drainer struct {
	cfg     Config
	left    chan struct{} // closed when a leave was asked for
	running sync.WaitGroup

	mu      sync.Mutex
	kept    record    // as on disk; under mu
	state   string    // under mu
	since   time.Time // under mu
	turn    *turn     // what is waited for, nil when nothing is; under mu
	skipped bool      // a leave is not to wait; under mu
	version uint64    // of the roll with the weights of the drain; under mu
	undone  error     // why the agent that leaves is not deregistered yet; under mu
	failed  error     // why kept is not on disk; under mu
}

// turn is one wait for the servers to have the weights, and for older answers
// to end.
type turn struct {
	version uint64 // of the roll, with the weights
	members int
	wait    time.Duration
	until   time.Time // zero while the servers do not have the weights; under Drainer.mu
	cancel  context.CancelFunc
	over    chan struct{} // closed at the end
}

// record is what outlives a restart: what operators said.
type record struct {
	Drained bool        `json:"drained,omitempty"`
	Since   time.Time   `json:"since,omitzero"`
	Resting []roll.Rest `json:"resting,omitempty"`
}

// New returns a Drainer of a host where nothing is drained.
func New(cfg Config) *Drainer {
	if cfg.Patience == 0 {
		cfg.Patience = 1500 * time.Millisecond
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Drainer{cfg: cfg, state: None, left: make(chan struct{})}
}

// Load takes up what operators said in an earlier run. What cannot be read is put
// aside and lost, which is logged.
func (d *Drainer) Load() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := state.Read(d.cfg.Path, &d.kept, nil); err != nil {
		d.kept = record{}
		d.cfg.Logger.Error("what was said of drain and maintenance is lost, the file is put aside", "err", err)
	}
	if d.kept.Drained {
		d.state, d.since = Drained, d.kept.Since
		_, d.version = d.cfg.Roll.Drain(true)
	}
	if len(d.kept.Resting) > 0 {
		d.cfg.Roll.Rest(d.kept.Resting)
	}
}

// keep writes what operators said. d.mu is held.
func (d *Drainer) keep() error {
	d.failed = state.Write(d.cfg.Path, d.kept)
	if d.failed != nil {
		d.cfg.Logger.Error("what was said of drain and maintenance is not kept", "err", d.failed)
		return fmt.Errorf("%w: %w", ErrNotKept, d.failed)
	}
	return nil
}

// Begin gives everything weight 0, until End, also over restarts. The wait runs
// from when the servers have the weights; a negative one is that of Config. A
// drain that is under way or done goes on as it is. The error is ErrNotKept.
func (d *Drainer) Begin(wait time.Duration) (Status, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var err error
	if d.state == None {
		now := time.Now().UTC().Truncate(time.Second)
		d.kept.Drained, d.kept.Since = true, now
		err = d.keep()
		d.begin(Draining, wait)
	}
	return d.status(), err
}

// begin begins a drain. d.mu is held.
func (d *Drainer) begin(state string, wait time.Duration) {
	if wait < 0 {
		wait = d.cfg.Wait()
	}
	d.state, d.since = state, time.Now().UTC()
	ctx, cancel := context.WithCancel(context.Background())
	t := &turn{wait: wait, cancel: cancel, over: make(chan struct{})}
	t.members, t.version = d.cfg.Roll.Drain(true)
	d.turn, d.version = t, t.version
	d.cfg.Logger.Info("drain begins", "instances", t.members, "wait", wait)
	d.running.Go(func() { d.run(ctx, t) })
}

// run waits until the servers have the weights, and then for the wait.
func (d *Drainer) run(ctx context.Context, t *turn) {
	defer close(t.over)
	defer t.cancel()
	if d.cfg.Await(ctx, t.version) {
		d.mu.Lock()
		t.until = time.Now().Add(t.wait)
		d.mu.Unlock()
		timer := time.NewTimer(t.wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.turn != t {
		return // what came after it ended it
	}
	d.turn = nil
	if d.state == Draining {
		d.state = Drained
		d.cfg.Logger.Info("drained")
	}
}

// End gives every instance back the weight that it declares, unless it is in
// maintenance. The error is ErrLeaving, or ErrNotKept.
func (d *Drainer) End() (Status, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.state == Leaving {
		return d.status(), ErrLeaving
	}
	var err error
	if d.state != None {
		d.kept.Drained, d.kept.Since = false, time.Time{}
		err = d.keep()
		d.halt()
		d.state, d.since = None, time.Time{}
		d.cfg.Roll.Drain(false)
		d.cfg.Logger.Info("drain ends")
	}
	return d.status(), err
}

// halt ends the wait that is under way. d.mu is held.
func (d *Drainer) halt() {
	if d.turn != nil {
		d.turn.cancel()
		d.turn = nil
	}
}

// Skip ends the wait that is under way, or when there is none, that of a leave
// to come.
func (d *Drainer) Skip() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.turn != nil {
		d.turn.cancel()
	} else {
		d.skipped = true
	}
}

// AskLeave has the agent leave; Left tells it.
func (d *Drainer) AskLeave(wait time.Duration) Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leave(wait)
	select {
	case <-d.left:
	default:
		close(d.left)
	}
	return d.status()
}

// Left returns a channel that is closed once a leave was asked for.
func (d *Drainer) Left() <-chan struct{} { return d.left }

// leave begins to leave. A wait that is under way serves. d.mu is held.
func (d *Drainer) leave(wait time.Duration) {
	if d.state == None {
		d.begin(Leaving, wait)
	}
	d.state = Leaving
}

// Leave drains for the last time, and returns when nobody should hold an older
// answer, the wait was skipped, or no server has taken the weights in time. It
// returns how many instances there are.
func (d *Drainer) Leave(wait time.Duration) (instances int) {
	d.mu.Lock()
	d.leave(wait)
	t, skipped, instances := d.turn, d.skipped, d.status().Instances
	d.mu.Unlock()
	if t == nil || skipped || t.wait == 0 || t.members == 0 {
		return instances
	}
	ctx, cancel := context.WithTimeout(context.Background(), d.cfg.Patience)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if t.until.IsZero() {
			t.cancel()
			d.cfg.Logger.Warn("weights not drained, the server does not answer")
		}
	})
	defer stop()
	<-t.over
	return instances
}

// Stop says that the agent ends, without a drain.
func (d *Drainer) Stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.halt()
	d.state = Leaving
}

// Undone says why the servers still have the agent, which leaves, registered.
func (d *Drainer) Undone(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.undone = err
}

// Leaving reports whether the agent is to end.
func (d *Drainer) Leaving() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state == Leaving
}

// Close ends what waits, and returns when it has.
func (d *Drainer) Close() {
	d.mu.Lock()
	d.halt()
	d.mu.Unlock()
	d.running.Wait()
}

// Status returns how far the drain is.
func (d *Drainer) Status() Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.status()
}

func (d *Drainer) status() Status {
	s := Status{State: d.state, Since: d.since, Instances: len(d.cfg.Roll.Find(func(roll.Key, string) bool { return true }))}
	switch {
	case d.turn == nil:
	case !d.turn.until.IsZero():
		s.LeftMs = max(time.Until(d.turn.until).Milliseconds(), 0)
	default:
		s.LeftMs = d.turn.wait.Milliseconds()
	}
	switch {
	case d.undone != nil:
		s.Untold, s.Problem = true, fmt.Sprintf("not deregistered: %v", d.undone)
	case d.state != None && !d.told():
		s.Untold = true
		if d.cfg.Problem != nil {
			s.Problem = d.cfg.Problem()
		}
	}
	if d.failed != nil {
		s.Problem = strings.TrimPrefix(s.Problem+"; ", "; ") + fmt.Sprintf("%v: %v", ErrNotKept, d.failed)
	}
	return s
}

// told reports whether a server has the weights of the drain. d.mu is held.
func (d *Drainer) told() bool {
	now, cancel := context.WithCancel(context.Background())
	cancel()
	return d.cfg.Await(now, d.version)
}
