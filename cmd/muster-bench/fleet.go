package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/musterhq/muster/internal/openloop"
)

// beatEvery is how often an instance beats, as clients of Nacos do by default.
const beatEvery = 5 * time.Second

// patience bounds what is made ready before a run, and cleared away behind it.
const patience = 10 * time.Minute

// fleet is what a command has registered.
type fleet struct {
	naming

	caller *caller
}

// enlist registers all instances as fast as the connections go.
func (f fleet) enlist(ctx context.Context) (openloop.Result, error) {
	return each(ctx, f.caller, f.size(), "register", func(ctx context.Context, at openloop.Slot) string {
		return f.caller.call(ctx, at.Worker, f.register(f.member(int(at.N))), f.good)
	})
}

// dismiss deregisters the first instances, also when ctx has ended.
func (f fleet) dismiss(ctx context.Context, instances int) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	_, err := each(ctx, f.caller, instances, "deregister", func(ctx context.Context, at openloop.Slot) string {
		return f.caller.call(ctx, at.Worker, f.deregister(f.member(int(at.N))), f.good)
	})
	return err
}

// keepAlive has every instance beat until ctx ends, over connections of its own.
func (f fleet) keepAlive(ctx context.Context, by *caller) openloop.Result {
	defer by.close()
	p := openloop.Plan{Rate: perSecond(f.size()), Duration: 1 << 50}
	return openloop.Run(ctx, p, len(by.conns), []string{"keep alive"}, func(ctx context.Context, at openloop.Slot) (int, string) {
		m := f.member(int(at.N % int64(f.size())))
		return 0, by.call(ctx, at.Worker, f.beat(m), f.beaten)
	})
}

// alongside returns a caller with connections of its own for what goes on beside a
// run.
func (c *caller) alongside(connections int) *caller {
	other := *c
	other.conns = nil
	for n := range min(connections, len(c.conns)) {
		other.conns = append(other.conns, &conn{server: c.conns[n].server})
	}
	return &other
}

// during runs a run while the fleet is kept alive, which tells of itself only when it
// went wrong.
func (f fleet) during(ctx context.Context, run func(context.Context) openloop.Result) []openloop.Result {
	if f.persistent {
		return []openloop.Result{run(ctx)}
	}
	beating, stop := context.WithCancel(ctx)
	var (
		wg   sync.WaitGroup
		kept openloop.Result
	)
	wg.Go(func() { kept = f.keepAlive(beating, f.caller.alongside(16)) })
	results := []openloop.Result{run(ctx)}
	stop()
	wg.Wait()
	if kept.Faults() > 0 {
		kept.Interrupted = false // it was to end so
		results = append(results, kept)
	}
	return results
}

// each makes a call for each of n things, as fast as the connections go. The error
// says what went wrong, if anything did.
func each(ctx context.Context, by *caller, n int, what string, call func(context.Context, openloop.Slot) string) (openloop.Result, error) {
	r := openloop.Run(ctx, openloop.Plan{Limit: int64(n)}, len(by.conns), []string{what},
		func(ctx context.Context, at openloop.Slot) (int, string) { return 0, call(ctx, at) })
	if r.Interrupted {
		return r, fmt.Errorf("%s: interrupted after %d of %d", what, r.Kinds[0].Done, n)
	}
	if r.Faults() > 0 {
		return r, fmt.Errorf("%s: %d of %d went wrong: %s", what, r.Faults(), n, faultText(r.Kinds[0].Faults))
	}
	return r, nil
}

// joined joins what a command ends with to what its clean-up does.
func joined(err *error, more error) { *err = errors.Join(*err, more) }
