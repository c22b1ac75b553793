package probe

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"github.com/musterhq/muster/internal/crew"
)

// Defaults of a RunnerConfig.
const (
	DefaultAtOnce         = 128
	DefaultCommandsAtOnce = 16
)

// RunnerConfig says how much a Runner does at once.
type RunnerConfig struct {
	AtOnce         int // tries under way; 0 means DefaultAtOnce
	CommandsAtOnce int // tries that run a program, beside the others; 0 means DefaultCommandsAtOnce
	// Beat is called now and then, every 10 s at least, while the Runner does its
	// work; nil means not at all.
	Beat func()
}

// Runner tries checks on time: each at once when it is new, then every interval
// from a random moment on, so that checks that came together spread out. A check
// is never tried while a try of it is under way, and of all no more are tried at
// once than there are places: waiting for one takes nothing of the time that a
// try has, and a turn that was missed meanwhile is left out. There is no
// goroutine of a check that is not being tried.
type Runner struct {
	cfg      RunnerConfig
	probers  crew.Crew
	commands crew.Crew
	wake     chan struct{}

	mu  sync.Mutex
	due agenda // under mu
}

// NewRunner returns a Runner; it tries nothing until Run.
func NewRunner(cfg RunnerConfig) *Runner {
	if cfg.AtOnce <= 0 {
		cfg.AtOnce = DefaultAtOnce
	}
	if cfg.CommandsAtOnce <= 0 {
		cfg.CommandsAtOnce = DefaultCommandsAtOnce
	}
	if cfg.Beat == nil {
		cfg.Beat = func() {}
	}
	return &Runner{
		cfg: cfg, wake: make(chan struct{}, 1),
		probers: crew.Crew{Most: cfg.AtOnce}, commands: crew.Crew{Most: cfg.CommandsAtOnce},
	}
}

// Check returns a Loop that runs c, or the error of Validate. It goes on until it
// is stopped.
func (r *Runner) Check(c Check, onChange func(Result)) (*Loop, error) {
	cfg := LoopConfig{
		Interval: time.Duration(c.Interval), Timeout: time.Duration(c.Timeout), Rise: c.Rise, Fall: c.Fall,
		Damp: !c.NoDamping, Overdue: time.Duration(c.DeregisterAfter), OnChange: onChange,
	}
	if c.TTL != 0 {
		if err := c.Validate(); err != nil {
			return nil, err
		}
		l := r.newLoop(cfg)
		l.ttl = time.Duration(c.TTL)
		r.again(l, l.since.Add(l.ttl))
		return l, nil
	}
	p, err := c.Prober()
	if err != nil {
		return nil, err
	}
	return r.Loop(p, cfg), nil
}

// Loop returns a Loop over p. It goes on until it is stopped.
func (r *Runner) Loop(p Prober, cfg LoopConfig) *Loop {
	l := r.newLoop(cfg)
	l.prober = p
	r.again(l, l.last.Since)
	return l
}

func (r *Runner) newLoop(cfg LoopConfig) *Loop {
	cfg = cfg.withDefaults()
	now := time.Now()
	return &Loop{
		runner: r, cfg: cfg, place: away, since: now,
		tally: Tally{Rise: cfg.Rise, Fall: cfg.Fall, Damp: cfg.Damp},
		last:  Result{State: Unknown, Since: now},
	}
}

// Run tries what is due until ctx ends, and returns nil when the tries under way
// have ended too. It may be called once.
func (r *Runner) Run(ctx context.Context) error {
	defer r.commands.Wait()
	defer r.probers.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		case <-timer.C:
		}
		r.cfg.Beat()
		timer.Reset(r.start(ctx))
	}
}

// restful is how long a Runner may sleep.
const restful = 10 * time.Second

// start begins what is due and returns how long until there is more.
func (r *Runner) start(ctx context.Context) time.Duration {
	for {
		l, wait := r.next(time.Now())
		switch {
		case l == nil:
			return wait
		case l.prober == nil:
			if next := l.silent(); !next.IsZero() {
				r.later(l, next)
			}
		default:
			c := &r.probers
			if _, is := l.prober.(commander); is {
				c = &r.commands
			}
			c.Do(ctx, l.run)
		}
	}
}

// commander is a Prober that runs a program.
type commander interface{ runsProgram() }

// next takes what is due from the agenda, nil with how long until there is
// something.
func (r *Runner) next(now time.Time) (*Loop, time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.due) == 0 {
		return nil, restful
	}
	if l := r.due[0]; l.due.After(now) {
		return nil, min(l.due.Sub(now), restful)
	}
	return heap.Pop(&r.due).(*Loop), 0
}

// run is a turn of a loop.
func (l *Loop) run(ctx context.Context) {
	r := l.runner
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.mu.Lock()
	l.cancel = cancel
	gone := l.gone
	r.mu.Unlock()
	if gone {
		return // while it waited for a place
	}
	l.turn = l.after(l.try(ctx))
	r.again(l, l.turn.Add(upTo(min(l.cfg.Interval/20, maxJitter))))
}

// maxJitter is how long at most a turn is put off by chance, in which tries of
// several loops that met once part again.
const maxJitter = 500 * time.Millisecond

// after returns the first turn after a try that began at that time. The first of
// all turns is at random. A turn that comes too soon after a try that was late
// is left out, for thresholds are to count results of different moments.
func (l *Loop) after(began time.Time) time.Time {
	every := l.cfg.Interval
	soonest := began.Add(every / 2)
	if now := time.Now(); now.After(soonest) {
		soonest = now
	}
	if l.turn.IsZero() {
		return soonest.Add(upTo(every))
	}
	turn := l.turn.Add(every)
	if late := soonest.Sub(turn); late > 0 {
		turn = turn.Add((late + every - 1) / every * every)
	}
	return turn
}

// again puts l on the agenda, or moves it there.
func (r *Runner) again(l *Loop, due time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.gone {
		return
	}
	l.due = due
	if l.place == away {
		heap.Push(&r.due, l)
	} else {
		heap.Fix(&r.due, l.place)
	}
	if r.due[0] == l {
		select {
		case r.wake <- struct{}{}:
		default: // it will look soon enough
		}
	}
}

// later puts l on the agenda unless it came there meanwhile.
func (r *Runner) later(l *Loop, due time.Time) {
	r.mu.Lock()
	there := l.place != away
	r.mu.Unlock()
	if !there { // only Run's goroutine, which is here, takes anything off
		r.again(l, due)
	}
}

// drop takes l from the agenda for good.
func (r *Runner) drop(l *Loop) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l.gone = true
	if l.place != away {
		heap.Remove(&r.due, l.place)
	}
	if l.cancel != nil {
		l.cancel()
	}
}

// away is the place of a Loop that is not on the agenda.
const away = -1

// agenda is a heap of loops by when they are due.
type agenda []*Loop

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].due.Before(a[j].due) }
func (a agenda) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].place, a[j].place = i, j
}

// Push implements heap.Interface.
func (a *agenda) Push(x any) {
	l := x.(*Loop)
	l.place = len(*a)
	*a = append(*a, l)
}

// Pop implements heap.Interface.
func (a *agenda) Pop() any {
	last := len(*a) - 1
	l := (*a)[last]
	(*a)[last] = nil
	*a = (*a)[:last]
	l.place = away
	return l
}
