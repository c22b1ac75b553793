package relay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/musterhq/muster/registry"
)

// Take takes a batch that another server sends. Accepted means that the judge on
// this server heard it, that this server could pass it on within 300 ms, or, as
// nobody judges, that it is kept for the next judge. A batch over 1,000,000
// witnesses or with an id that is empty or over 1 KiB is refused whole.
func (r *Relay) Take(ctx context.Context, b Batch) Answer {
	c := r.config.Cluster()
	a := Answer{Judge: c.Judge, Away: r.config.Away()}
	refuse := func(format string, args ...any) Answer {
		a.Reason = fmt.Sprintf(format, args...)
		return a
	}
	if len(b.Witnesses) > MaxBatch {
		return refuse("%d witnesses in one batch, at most %d are taken", len(b.Witnesses), MaxBatch)
	}
	for i, w := range b.Witnesses {
		if problem := flaw(w); problem != "" {
			return refuse("witness %d of the batch %s", i+1, problem)
		}
	}
	err := r.config.Local.HearAll(b.Witnesses)
	if err == nil {
		a.Accepted, a.Judge = true, c.Self
		return a
	}
	if !errors.Is(err, registry.ErrUnavailable) {
		return refuse("%v", err)
	}
	if b.Relayed {
		return refuse("this server does not judge")
	}
	if err := r.pass(ctx, c, b); err != nil {
		return refuse("this server does not judge, and cannot pass it on: %v", err)
	}
	a.Accepted = true
	return a
}

// pass has the next round deliver a batch, and waits for it.
func (r *Relay) pass(ctx context.Context, c Cluster, b Batch) error {
	if !r.running.Load() {
		return errNotRunning
	}
	if !r.peers.open(c.Judge) && (r.config.Away() || !r.mailWorks()) {
		return errors.New("it reaches neither the one that judges nor etcd")
	}
	if len(b.Witnesses) == 0 {
		return nil
	}
	done := make(chan error, 1)
	if !r.passed.addAll(b.Witnesses, done) {
		return errFull
	}
	select {
	case r.kick <- struct{}{}:
	default: // a round is about to begin
	}
	limit := time.NewTimer(passWithin)
	defer limit.Stop()
	select {
	case err := <-done:
		if errors.Is(err, errHeld) {
			return nil
		}
		return err
	case <-limit.C:
		return errors.New("it took too long")
	case <-ctx.Done():
		return ctx.Err()
	}
}
