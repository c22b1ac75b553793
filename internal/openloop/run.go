package openloop

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Slot is the place of one call in a run.
type Slot struct {
	N      int64 // from 0
	Worker int   // each makes one call at a time
	Due    time.Time
}

// Call makes one call. It returns of which kind it was, an index into the kinds of the
// run, and what went wrong, in few words of which there are few different ones, empty
// when nothing did.
type Call func(ctx context.Context, s Slot) (kind int, fault string)

// Run makes the calls of a plan and returns what came of them, once those under way are
// over. When ctx ends no more are started. The plan is one that [Plan.Check] passes.
func Run(ctx context.Context, p Plan, workers int, kinds []string, call Call) Result {
	r := &run{plan: p, call: call, book: newBook(kinds), began: time.Now(), calls: p.calls()}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() { r.work(ctx, w) })
	}
	wg.Wait()
	return r.result(ctx.Err() != nil)
}

type run struct {
	plan  Plan
	call  Call
	book  *book
	began time.Time
	calls int64 // 0: without a limit

	next    atomic.Int64 // the call that is claimed next
	started atomic.Int64
	busy    atomic.Int64 // calls that were due while every worker had one
}

func (r *run) work(ctx context.Context, worker int) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	var over time.Duration // when its last call was
	for ctx.Err() == nil {
		n := r.next.Add(1) - 1
		if r.calls > 0 && n >= r.calls {
			return
		}
		due, end := r.plan.due(n), r.plan.end()
		now := time.Since(r.began)
		if end > 0 && now >= end {
			return
		}
		if wait := due - now; wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				return
			}
			now = time.Since(r.began)
		}
		switch {
		case r.plan.Rate == 0:
			due = now
		case over > due:
			r.busy.Add(1)
		default:
			r.book.late.Add(now - due)
		}
		r.started.Add(1)
		kind, fault := r.call(ctx, Slot{n, worker, r.began.Add(due)})
		over = time.Since(r.began)
		if fault != "" && ctx.Err() != nil {
			return // it was cut short
		}
		r.book.add(kind, fault, over-due, over-now, r.plan.Rate == 0 || due >= r.plan.Ramp)
	}
}

func (r *run) result(interrupted bool) Result {
	out := Result{
		Intended: r.plan.Rate, Started: r.started.Load(), Busy: r.busy.Load(), Elapsed: time.Since(r.began),
		Late: r.book.late.Summary(), Kinds: r.book.results(), Interrupted: interrupted,
	}
	if r.plan.Rate > 0 && !interrupted {
		out.Unstarted = max(0, r.calls-out.Started)
		if r.plan.Limit == 0 { // the last call is due a little before the end
			out.Elapsed = max(out.Elapsed, r.plan.end())
		}
	}
	return out
}
