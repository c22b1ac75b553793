package probe

import (
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
	// Tried is called with the kind of a check and how long a try of it took, by
	// several goroutines; nil means that nobody is told.
	Tried func(kind string, took time.Duration)
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

	began time.Time
	busy  sync.WaitGroup // turns under way
	mu    sync.Mutex
	loops map[*Loop]bool // under mu
	turn  func(*Loop)    // takes a turn; nil while Run does not run; under mu
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
	if cfg.Tried == nil {
		cfg.Tried = func(string, time.Duration) {}
	}
	return &Runner{
		cfg: cfg, began: time.Now(), loops: make(map[*Loop]bool),
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
		r.add(l, l.since.Add(l.ttl))
		return l, nil
	}
	p, err := c.Prober()
	if err != nil {
		return nil, err
	}
	k, err := c.kind()
	if err != nil {
		return nil, err
	}
	cfg.tried = func(took time.Duration) { r.cfg.Tried(k.name, took) }
	return r.Loop(p, cfg), nil
}

// Loop returns a Loop over p. It goes on until it is stopped.
func (r *Runner) Loop(p Prober, cfg LoopConfig) *Loop {
	l := r.newLoop(cfg)
	l.prober = p
	r.add(l, l.since)
	return l
}

func (r *Runner) newLoop(cfg LoopConfig) *Loop {
	cfg = cfg.withDefaults()
	now := time.Now()
	return &Loop{
		runner: r, cfg: cfg, since: now,
		tally: Tally{Rise: cfg.Rise, Fall: cfg.Fall, Damp: cfg.Damp},
		last:  Result{State: Unknown, Since: now},
	}
}

// add makes l one of the loops, with its first turn. Both come about at once: Run
// may begin meanwhile, and has every loop take the turn it finds.
func (r *Runner) add(l *Loop, due time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loops[l] = true
	r.schedule(l, due)
}

// Run tries what is due until ctx ends, and returns nil when the tries under way
// have ended too. It may be called once.
func (r *Runner) Run(ctx context.Context) error {
	r.mu.Lock()
	r.turn = func(l *Loop) { r.take(ctx, l) }
	for l := range r.loops {
		r.arm(l)
	}
	r.mu.Unlock()
	defer r.rest()
	ticker := time.NewTicker(restful)
	defer ticker.Stop()
	for {
		if r.works() {
			r.cfg.Beat()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// works returns true, and does not return where no turn could be taken either.
func (r *Runner) works() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.turn != nil
}

// restful is how long a Runner may go without a Beat.
const restful = 10 * time.Second

// rest begins no more turns and waits for those under way.
func (r *Runner) rest() {
	r.mu.Lock()
	r.turn = nil
	for l := range r.loops {
		if l.timer != nil {
			l.timer.Stop()
		}
	}
	r.mu.Unlock()
	r.busy.Wait()
}

// arm has a loop take its turn when it is due. It does so on the goroutine of its
// timer: to wake another one for it costs more than most tries. r.mu is held.
func (r *Runner) arm(l *Loop) {
	wait := max(time.Until(r.meet(l)), 0)
	if l.timer == nil {
		l.timer = time.AfterFunc(wait, func() { r.fire(l) })
	} else {
		l.timer.Reset(wait)
	}
}

// together is how far apart the moments are at which loops take their turns: a
// process that wakes seldom, for several tries, costs a fraction of one that wakes
// for each.
const together = 250 * time.Millisecond

// meet returns when a loop takes its turn: when it is due, or, once it has been
// tried and unless its interval is short, at the next moment after that at which
// others take theirs.
func (r *Runner) meet(l *Loop) time.Time {
	if l.turn.IsZero() || l.cfg.Interval < 16*together {
		return l.due
	}
	since := l.due.Sub(r.began)
	return r.began.Add((since + together - 1).Truncate(together))
}

// fire is called when a loop is due.
func (r *Runner) fire(l *Loop) {
	r.mu.Lock()
	turn := r.turn
	if turn == nil || l.gone {
		r.mu.Unlock()
		return
	}
	r.busy.Add(1)
	r.mu.Unlock()
	defer r.busy.Done()
	turn(l)
}

// take takes the turn of a loop, or has it taken when there is a place.
func (r *Runner) take(ctx context.Context, l *Loop) {
	if l.prober == nil {
		if next := l.silent(); !next.IsZero() {
			r.later(l, next)
		}
		return
	}
	c := &r.probers
	if _, is := l.prober.(commander); is {
		c = &r.commands
	}
	c.Join(ctx, l.run)
}

// commander is a Prober that runs a program.
type commander interface{ runsProgram() }

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

// again has l take a turn when it is due, and not before.
func (r *Runner) again(l *Loop, due time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.schedule(l, due)
}

// later is again, unless a turn in the future came to be meanwhile.
func (r *Runner) later(l *Loop, due time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !l.due.After(time.Now()) {
		r.schedule(l, due)
	}
}

// schedule is again. r.mu is held.
func (r *Runner) schedule(l *Loop, due time.Time) {
	if l.gone {
		return
	}
	l.due = due
	if r.turn != nil {
		r.arm(l)
	}
}

// drop ends l for good.
func (r *Runner) drop(l *Loop) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l.gone = true
	delete(r.loops, l)
	if l.timer != nil {
		l.timer.Stop()
	}
	if l.cancel != nil {
		l.cancel()
	}
}
