package probe

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// LoopConfig says how a Loop tries and whom it tells.
type LoopConfig struct {
	Interval time.Duration // between the starts of two tries; 0 means DefaultInterval
	Timeout  time.Duration // of one try; 0 means the interval, at most MaxDefaultTimeout
	Rise     int           // successes in a row until Passing; 0 means 1
	Fall     int           // failures in a row until Critical; 0 means 1
	// Damp keeps the verdict from changing too often, as Tally.Damp says.
	Damp bool
	// Overdue is how long the verdict must have been Critical for the Result to
	// say so; 0 means that it never does. It is found with the next try.
	Overdue time.Duration
	// OnChange is called with each Result that is another verdict than the one
	// before, or begins or ends to be Flapping or Overdue, one at a time; nil
	// means that nobody is told.
	OnChange func(Result)

	tried func(took time.Duration) // is told of each try; nil: nobody is
}

func (c LoopConfig) withDefaults() LoopConfig {
	if c.Interval == 0 {
		c.Interval = DefaultInterval
	}
	if c.Timeout == 0 {
		c.Timeout = min(c.Interval, MaxDefaultTimeout)
	}
	return c
}

// Loop is one check of a Runner, that is tried again and again, or told. Its
// methods may be called by several goroutines.
type Loop struct {
	runner *Runner
	prober Prober // nil: it is told, with word at least every ttl
	ttl    time.Duration
	cfg    LoopConfig

	// What the Runner knows, under Runner.mu.
	due    time.Time
	timer  *time.Timer // of the next turn; nil before the first
	turn   time.Time   // when it is due, but for a little that is left to chance; of who takes it
	gone   bool
	cancel context.CancelFunc // of the try under way

	order sync.Mutex // held while a result is taken up and told of
	tally Tally      // under order
	since time.Time  // of the verdict, with a monotonic clock; under order

	mu   sync.Mutex
	last Result // under mu
}

// Result is what a Loop knows after its latest try.
type Result struct {
	State    State         // the verdict, thresholds applied
	Since    time.Time     // when that came to be; of Unknown, when the Loop began
	Flapping bool          // it is Critical because it changed too often
	Overdue  bool          // it has been Critical for too long
	At       time.Time     // when the latest try ended, or word came; zero before the first
	Took     time.Duration // how long it took
	Err      error         // why it failed, nil when it passed
	Note     string        // what came with the word
}

// Last returns the latest result.
func (l *Loop) Last() Result {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// try tries once. It returns when the try began.
func (l *Loop) try(ctx context.Context) (began time.Time) {
	began = time.Now()
	err := Try(ctx, l.prober, l.cfg.Timeout)
	if ctx.Err() == nil { // else it was cut short because we stop, which says nothing about the target
		took := time.Since(began)
		if l.cfg.tried != nil {
			l.cfg.tried(took)
		}
		l.take(took, err, "")
	}
	return began
}

// take takes up a result.
func (l *Loop) take(took time.Duration, err error, note string) {
	l.order.Lock()
	defer l.order.Unlock()
	now := time.Now()
	if e, ok := errors.AsType[*Error](err); !ok || e.Reason != NotTried {
		if l.tally.Observe(err == nil) {
			l.since = now
		}
	}
	before := l.Last()
	is := Result{
		State: l.tally.State(), Since: l.since, Flapping: l.tally.Flapping(), At: now, Took: took, Err: err, Note: note,
	}
	is.Overdue = l.isOverdue(is.State, now)
	l.tell(before, is)
}

// isOverdue reports whether the verdict has stood as Critical for too long.
func (l *Loop) isOverdue(s State, now time.Time) bool {
	return s == Critical && l.cfg.Overdue > 0 && now.Sub(l.since) >= l.cfg.Overdue
}

// tell makes is the latest result and tells of it what is new. order is locked.
func (l *Loop) tell(before, is Result) {
	l.mu.Lock()
	l.last = is
	l.mu.Unlock()
	if l.cfg.OnChange != nil && (is.State != before.State || is.Flapping != before.Flapping || is.Overdue != before.Overdue) {
		l.cfg.OnChange(is)
	}
}

// ErrNotTold is met when word comes for a check that is tried.
var ErrNotTold = errors.New("this check is tried, nobody tells it: only a ttl check is told")

// Tell takes up word for a ttl check: whether it passes, and a note that is shown
// with it, cut off after 300 bytes. For as long as the ttl it counts. The error is
// ErrNotTold for other checks.
func (l *Loop) Tell(passes bool, note string) error {
	if l.prober != nil {
		return ErrNotTold
	}
	note = printable(note)
	var err error
	if !passes {
		err = &Error{WrongAnswer, errors.New("told so")} // not why, for this is logged
	}
	l.take(0, err, note)
	l.runner.again(l, time.Now().Add(l.ttl))
	return nil
}

// silent takes up that no word has come for long enough, and returns when it must
// be looked at again, zero for never.
func (l *Loop) silent() (next time.Time) {
	l.order.Lock()
	defer l.order.Unlock()
	now, before := time.Now(), l.Last()
	is := before
	if begun := before.At; before.State != Critical && (begun.IsZero() || now.Sub(begun) >= l.ttl) {
		l.tally.silence()
		l.since = now
		is.State, is.Since, is.Flapping = Critical, now, l.tally.Flapping()
		is.Err = &Error{NoAnswer, fmt.Errorf("not told within %v", l.ttl)}
	}
	is.Overdue = l.isOverdue(is.State, now)
	l.tell(before, is)
	if l.cfg.Overdue > 0 && is.State == Critical && !is.Overdue {
		return l.since.Add(l.cfg.Overdue)
	}
	return time.Time{}
}

// Stop ends the loop, and a try of it that is under way. No result comes from it
// any more, but one that is being told of.
func (l *Loop) Stop() { l.runner.drop(l) }

// Try tries p once and gives it no more time than timeout.
func Try(ctx context.Context, p Prober, timeout time.Duration) error {
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := p.Probe(bounded)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return &Error{NoAnswer, fmt.Errorf("none within %v", timeout)}
	}
	return err
}

// upTo returns a random duration below d, which may be 0.
func upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d)
}
