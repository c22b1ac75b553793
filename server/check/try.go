package check

import (
	"context"
	"errors"
	"time"

	"github.com/musterhq/muster/probe"
	"github.com/musterhq/muster/registry"
)

// writeWithin bounds the writing of one verdict.
const writeWithin = 5 * time.Second

// try tries a task once and has a verdict written if what stands differs.
func (r *run) try(ctx context.Context, t *task) {
	if t.gone.Load() {
		return // while it waited for its turn
	}
	began := time.Now()
	r.metrics.late.Observe(began.Sub(t.due).Seconds())
	err := probe.Try(ctx, t.prober, t.check.Timeout)
	if ctx.Err() != nil {
		return // cut short as this server judges no more: it says nothing
	}
	if !t.gone.Load() {
		outcome := outcomeOf(err)
		if outcome != string(probe.NotTried) {
			t.tally.Observe(err == nil)
		}
		r.metrics.tries.WithLabelValues(string(t.said.Kind), outcome).Inc()
		r.tried(t, Result{t.said.Kind, t.tally.State(), time.Now(), time.Since(began), err})
		r.decide(ctx, t, err)
	}
	select {
	case r.back <- t:
	case <-ctx.Done():
	}
}

// outcomeOf returns in a few words what came of a try.
func outcomeOf(err error) string {
	if err == nil {
		return "passed"
	}
	if e, ok := errors.AsType[*probe.Error](err); ok {
		return string(e.Reason)
	}
	return "failed"
}

// tried notes the result of a try.
func (r *run) tried(t *task, result Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !t.gone.Load() {
		r.last[t.key] = result
	}
}

// decide has a verdict written if the snapshot shows another one than the count
// of a task stands at.
func (r *run) decide(ctx context.Context, t *task, why error) {
	i := r.view.Snapshot().Instance(t.key)
	state := t.tally.State()
	switch {
	case i == nil || state == probe.Unknown:
		return
	case state == probe.Critical && i.Failing, state == probe.Passing && !i.Failing && i.Declaration().Healthy:
		return
	case !t.writing.CompareAndSwap(false, true):
		return
	}
	r.writers.Do(ctx, func(ctx context.Context) {
		defer t.writing.Store(false)
		if last, _ := r.Last(t.key); t.gone.Load() || last.State != state {
			return // another try has said otherwise while this waited
		}
		ctx, cancel := context.WithTimeout(ctx, writeWithin)
		defer cancel()
		var receipt registry.Receipt
		var err error
		verdict := "fails"
		if state == probe.Passing {
			verdict, why = "passes", nil
			receipt, err = r.registry.Passed(ctx, t.key, t.id)
		} else {
			receipt, err = r.registry.Failed(ctx, t.key, t.id, outcomeOf(why))
		}
		if err != nil || receipt.Wrote {
			r.note(ctx, t, verdict, why, err)
		}
	})
}

// note counts and logs a verdict that was written, or was not for err.
func (r *run) note(ctx context.Context, t *task, verdict string, why, err error) {
	switch {
	case err == nil:
		r.metrics.verdicts.WithLabelValues(verdict).Inc()
		log := r.cfg.Logger.With("instance", t.key, "check", t.said.Kind, "verdict", verdict)
		if why != nil {
			log = log.With("why", why)
		}
		log.Info("verdict of a check")
	case ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded): // judges no more
	default:
		r.metrics.failures.Inc()
		if !errors.Is(err, registry.ErrUnavailable) { // that is told where it comes from
			r.cfg.Logger.Warn("verdict of a check is not written, the next try repeats it", "instance", t.key, "err", err)
		}
	}
}
